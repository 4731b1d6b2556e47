"""Sending transactions from one account: refused ones cost nothing, sent ones are never sent twice.

A call is simulated first, so that a contract's refusal is known before anything is paid; then it is signed, written to
disk, broadcast and watched until its receipt (`flight.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from depin_desktop.chain.calls import Call, Receipt
from depin_desktop.chain.chain import Chain, refused
from depin_desktop.chain.estimates import MAX_FEE_CAP, Estimates, with_margin
from depin_desktop.chain.fees import FeeOracle, Fees
from depin_desktop.chain.flight import PRIVATE, PUBLIC, Flight, Flights, Pace
from depin_desktop.chain.logs import LogDecoder, unhex
from depin_desktop.chain.outbox import Draft, Ending, Outbox
from depin_desktop.chain.reverts import Reverted, decode_revert
from depin_desktop.chain.rpc import RpcError
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

TRIES = 3  # against other programs that use the same account


@dataclass(frozen=True)
class Pending:
    """A transaction whose fate is open, for people to look at; `since` in Unix seconds."""

    purpose: str
    name: str
    nonce: int
    since: float
    hashes: tuple[bytes, ...]


class Sender:
    """Sends for one account.

    Processes that send from the same account must share the database: then they never use a nonce or a key twice.
    Without it two equal calls can become one and the same transaction.

    Args:
        account: eth-account's LocalAccount.
        database: open; rows live in the namespace "sender".
        pace: how patient to be; by default what suits the network.
        max_fee_cap: never bid more than this, in wei per gas.

    Attributes:
        estimates: what calls from the account would cost.
    """

    def __init__(
        self,
        chain: Chain,
        account: LocalAccount,
        database: Database,
        *,
        pace: Pace | None = None,
        max_fee_cap: int = MAX_FEE_CAP,
    ) -> None:
        self.address: str = account.address
        self._chain = chain
        self._decoder = LogDecoder(chain.contracts)
        self._outbox = Outbox(database, f"{chain.network.chain_id}:{chain.genesis.hex()[:16]}", account.address)
        fees = FeeOracle(chain.rpc)
        self.estimates = Estimates(chain, account.address, fees=fees, max_fee_cap=max_fee_cap)
        pace = pace or (PRIVATE if chain.network.private else PUBLIC)
        self._flights = Flights(chain, account, self._outbox, fees, pace, max_fee_cap)
        self._keyed: dict[str, asyncio.Task[Receipt]] = {}

    async def start(self) -> None:
        """Takes up transactions that an earlier run left open; needs no network to return."""
        await self._outbox.open()
        await self._flights.start()

    async def stop(self) -> None:
        """Stops watching; open transactions stay on disk, and whoever waits for one is cancelled."""
        for task in list(self._keyed.values()):
            task.cancel()
        await self._flights.stop()

    @property
    def pending(self) -> tuple[Pending, ...]:
        """What is open now, lowest nonce first."""
        return tuple(
            Pending(
                flight.row.purpose,
                flight.row.call.name,
                flight.row.nonce,
                flight.row.created_at,
                tuple(attempt.hash for attempt in flight.attempts),
            )
            for flight in self._flights.open
        )

    def trigger(self) -> None:
        """Looks for receipts now: for whoever hears of a new block first."""
        self._flights.cycle.trigger()

    def chain_went_back(self) -> None:
        """To be told when the chain was reorganised: what it forgot of ours is broadcast again, with its old nonces."""
        self._flights.chain_went_back()

    async def send(
        self,
        call: Call,
        *,
        purpose: str,
        gas_limit: int | None = None,
        key: str | None = None,
        timeout_s: float = 600.0,
        taken_off: Callable[[bytes], object] | None = None,
    ) -> Receipt:
        """Sends and waits for the receipt.

        Args:
            purpose: why, in a few words; for people and logs.
            gas_limit: instead of an estimate.
            key: makes it idempotent, over restarts too. What was once sent under a key is never sent again: a later
                call waits for it, and gets its receipt or its refusal. Keys are remembered for the account's last 5,000
                transactions.
            timeout_s: how long to wait. A transaction that takes longer stays in flight.
            taken_off: is told the transaction's hash once it is on its way, without a key only.

        Raises:
            Reverted: the contract refused. `tx` is set when that cost gas.
            UserFacingError: "no-gas", "chain-unreachable", "chain-refused", "transaction-pending".
        """
        if key is None:
            return await self._send(call, purpose, None, gas_limit, timeout_s, taken_off)
        running = self._keyed.get(key)
        if running is None:
            running = asyncio.ensure_future(self._send(call, purpose, key, gas_limit, timeout_s))
            self._keyed[key] = running
            running.add_done_callback(lambda task: self._forget(key, task))
        return await asyncio.shield(running)

    def _forget(self, key: str, task: asyncio.Task[Receipt]) -> None:
        self._keyed.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever waits gets it; if all were cancelled, nobody needs it

    async def send_many(
        self, calls: Sequence[Call], *, purpose: str, key: str | None = None, timeout_s: float = 600.0
    ) -> list[Receipt]:
        """Sends in this order without waiting in between, and returns all receipts.

        A call that is refused while earlier ones are open may depend on them: it waits for them and is tried again. The
        first failure ends the row; what was sent before it stays sent.

        Raises:
            as `send`.
        """
        sent: list[asyncio.Task[Receipt]] = []
        try:
            for number, call in enumerate(calls):
                one_key = None if key is None else f"{key}/{number}"
                flying = asyncio.get_running_loop().create_future()
                sent.append(asyncio.ensure_future(self._ordered(call, purpose, one_key, timeout_s, list(sent), flying)))
                await asyncio.wait([flying, sent[-1]], return_when=asyncio.FIRST_COMPLETED)
                if sent[-1].done() and sent[-1].exception() is not None:
                    break
            return [await task for task in sent]
        finally:
            for task in sent:
                task.cancel()  # ends the waiting only: what took off stays in flight
            await asyncio.gather(*sent, return_exceptions=True)

    async def _ordered(
        self,
        call: Call,
        purpose: str,
        key: str | None,
        timeout_s: float,
        before: list[asyncio.Task[Receipt]],
        flying: asyncio.Future[None],
    ) -> Receipt:
        def took_off(_: bytes) -> None:
            if not flying.done():
                flying.set_result(None)

        try:
            return await self._send(call, purpose, key, None, timeout_s, took_off)
        except Reverted as error:
            if error.tx is not None or all(task.done() for task in before):
                raise
        await asyncio.gather(*before)
        return await self._send(call, purpose, key, None, timeout_s, took_off)

    # --- one transaction -----------------------------------------------------------------------------------------

    async def _send(
        self,
        call: Call,
        purpose: str,
        key: str | None,
        gas_limit: int | None,
        timeout_s: float,
        taken_off: Callable[[bytes], object] | None = None,
    ) -> Receipt:
        for _ in range(TRIES):
            flight = await self._known(key) if key is not None else None
            if isinstance(flight, Ending):
                return self._receipt(flight)
            if flight is None:
                gas, fees, nonce = await self._prepare(call, gas_limit)
                flight = await self._flights.take_off(Draft(call, purpose, key, gas), fees, nonce)
            if flight is None:
                continue  # somebody sent it under this key just now
            if taken_off is not None:
                taken_off(flight.last.hash)
            ending = await self._wait(flight, timeout_s)
            if ending.state != "lost":
                return self._receipt(ending)
        raise UserFacingError(
            f"Another program keeps sending from {self.address}.",
            "Give every program an account of its own.",
            code="nonce-contested",
            status=409,
        )

    async def _known(self, key: str) -> Flight | Ending | None:
        row = await self._outbox.by_key(key)
        if row is None:
            return None
        return self._flights.follow(row) if row.state == "sent" else Ending(row.id, row.state, row.receipt, row.failure)

    async def _wait(self, flight: Flight, timeout_s: float) -> Ending:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(flight.landed)
        raise UserFacingError(
            f"The chain has not taken up “{flight.row.purpose}” within {timeout_s:.0f} s.",
            "It stays in flight and is watched; nothing needs to be sent again.",
            code="transaction-pending",
            status=504,
        )

    def _receipt(self, ending: Ending) -> Receipt:
        if ending.state == "rejected":
            raise self.estimates.rejected(ending.failure or "")
        assert ending.receipt is not None
        if ending.state == "mined":
            return self._decoder.receipt(ending.receipt)
        reverted = decode_revert(bytes.fromhex(ending.failure or ""))
        reverted.tx = unhex(ending.receipt["transactionHash"])
        raise reverted

    async def _prepare(self, call: Call, gas_limit: int | None) -> tuple[int, Fees, int]:
        """Simulates. Returns the gas limit, the bid, and the node's idea of the next nonce."""
        fees = await self.estimates.bid()
        body = self.estimates.body(call)
        block = self._chain.now_block
        method = "eth_estimateGas" if gas_limit is None else "eth_call"
        estimate, balance, nonce = await self._chain.rpc.batch(
            [
                (method, (body, block)),
                ("eth_getBalance", (self.address, "latest")),
                ("eth_getTransactionCount", (self.address, "pending")),
            ]
        )
        if isinstance(estimate, RpcError):
            raise self.estimates.refusal(estimate)
        for answer in (balance, nonce):
            if isinstance(answer, RpcError):
                raise refused(self._chain.rpc.url, answer)
        gas = gas_limit or with_margin(int(estimate, 16))
        need = gas * fees.max_fee + call.value
        if int(balance, 16) < need:
            raise self.estimates.no_gas(need, int(balance, 16))
        return gas, fees, int(nonce, 16)

    async def simulate(self, call: Call) -> int:
        """The gas that a call would use now; sends nothing.

        Raises:
            Reverted: the contract would refuse.
        """
        return await self.estimates.simulate(call)

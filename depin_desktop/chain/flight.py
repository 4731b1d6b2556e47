"""One account's transactions between signature and receipt: nonces, persistence, broadcast, replacement, healing.

Rules that keep money safe: a signed transaction is on disk before the node sees it; every attempt at it carries the
same nonce, so at most one takes effect; a nonce is given to something else only once it is certain that the first was
never taken; success comes from a receipt alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from depin_desktop.chain.broadcast import Answer, broadcast
from depin_desktop.chain.calls import Call
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.fees import FeeOracle, Fees
from depin_desktop.chain.outbox import Attempt, Draft, Ending, Outbox, Row
from depin_desktop.chain.reverts import revert_of
from depin_desktop.chain.rpc import RpcError
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.tasks import Cycle, Tasks

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

log = logging.getLogger(__name__)

IDLE_S = 60.0
FILLER_GAS = 21_000
HEAL_AT_ONCE = 16


@dataclass(frozen=True)
class Pace:
    """How patient to be, in seconds.

    Attributes:
        stuck_s: after this long without being mined, the oldest transaction is outbid.
        certain_s: for how long a sign must be seen (a nonce taken by others, a gap) before it is acted upon.
    """

    fastest_poll_s: float
    slowest_poll_s: float
    rebroadcast_s: float
    stuck_s: float
    certain_s: float


PUBLIC = Pace(fastest_poll_s=0.5, slowest_poll_s=4.0, rebroadcast_s=15.0, stuck_s=60.0, certain_s=30.0)
PRIVATE = Pace(fastest_poll_s=0.001, slowest_poll_s=0.5, rebroadcast_s=2.0, stuck_s=15.0, certain_s=1.0)


class Flight:
    """One transaction on its way. `landed` resolves with its ending; a lost or rejected one never took effect.

    Args:
        resumed: read from disk, so that a node may have taken it although we never heard so.
    """

    def __init__(self, row: Row, *, resumed: bool) -> None:
        self.row = row
        self.attempts = list(row.attempts)
        self.landed: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self.maybe_taken = resumed
        self.broadcast_at = float("-inf")  # monotonic, like all times here
        self.bid_at = time.monotonic()
        self.outbid_now = False
        self.foreign_since: float | None = None

    @property
    def last(self) -> Attempt:
        return self.attempts[-1]


class Flights:
    """Everything of one account that is not mined yet.

    Args:
        max_fee_cap: never bid more than this, in wei per gas; a stuck transaction then waits for calmer times.
    """

    def __init__(
        self, chain: Chain, account: LocalAccount, outbox: Outbox, fees: FeeOracle, pace: Pace, max_fee_cap: int
    ) -> None:
        self._chain = chain
        self._account = account
        self._outbox = outbox
        self._fees = fees
        self._pace = pace
        self._max_fee_cap = max_fee_cap
        self._open: dict[int, Flight] = {}
        self._next_nonce = 0
        self._taking_off = asyncio.Lock()
        self._gap_since: float | None = None
        self._went_back = False
        self._tasks = Tasks(f"sender {account.address[:8]}")
        self.cycle = Cycle(f"sender {account.address[:8]}", IDLE_S, self._round)

    async def start(self) -> None:
        """Takes up what an earlier run left open; it is broadcast again, with the nonces that it has."""
        for row in await self._outbox.unfinished():
            self._open[row.id] = Flight(row, resumed=True)
        self._tasks.spawn("watch", self.cycle.run())

    async def stop(self) -> None:
        """Stops watching. What is open stays on disk and is taken up by the next start."""
        await self._tasks.close()
        for flight in self._open.values():
            flight.landed.cancel()
        self._open.clear()

    @property
    def open(self) -> list[Flight]:
        return sorted(self._open.values(), key=lambda flight: flight.row.nonce)

    def follow(self, row: Row) -> Flight:
        """The flight of an open row; one that another process began is watched here as well."""
        if row.id not in self._open:
            self._open[row.id] = Flight(row, resumed=True)
            self.cycle.trigger()
        return self._open[row.id]

    def chain_went_back(self) -> None:
        """Looks whether the chain has forgotten what it had mined; what it has is broadcast again."""
        self._went_back = True
        self.cycle.interval_s = self._pace.fastest_poll_s
        self.cycle.trigger()

    # --- take-off ------------------------------------------------------------------------------------------------

    async def take_off(self, draft: Draft, fees: Fees, node_nonce: int) -> Flight | None:
        """Signs, writes and broadcasts. Once begun it goes on even if the caller is cancelled.

        Args:
            node_nonce: the account's next nonce as the node sees it; ours may be ahead of it.

        Returns:
            None when something was sent under this key meanwhile.
        """
        return await asyncio.shield(self._tasks.spawn("take-off", self._take_off(draft, fees, node_nonce)))

    async def _take_off(self, draft: Draft, fees: Fees, node_nonce: int) -> Flight | None:
        # Never below what we have used: a node that lags behind, or was set back, must not make us reuse a nonce.
        async with self._taking_off:
            row = await self._outbox.insert(
                draft, lambda nonce: self._sign(nonce, draft, fees), at_least=max(self._next_nonce, node_nonce)
            )
            if row is None:
                return None
            self._next_nonce = row.nonce + 1
            flight = self._open[row.id] = Flight(row, resumed=False)
        await self._broadcast([flight])
        self.cycle.interval_s = self._pace.fastest_poll_s
        self.cycle.trigger()
        return flight

    def _sign(self, nonce: int, what: Draft | Row, fees: Fees) -> Attempt:
        call = what.call
        body: dict[str, Any] = {
            "type": 2,
            "chainId": self._chain.network.chain_id,
            "nonce": nonce,
            "value": call.value,
            "data": call.data,
            "gas": what.gas_limit,
            "maxFeePerGas": fees.max_fee,
            "maxPriorityFeePerGas": fees.tip,
        }
        if call.to is not None:
            body["to"] = call.to
        signed = self._account.sign_transaction(body)
        return Attempt(bytes(signed.hash), bytes(signed.raw_transaction), fees, time.time())

    async def _broadcast(self, flights: list[Flight]) -> None:
        """Tells the node; silence is no answer, so what was not understood is told again later."""
        for flight in flights:
            flight.broadcast_at = time.monotonic()
        try:
            answers = await broadcast(self._chain.rpc, [flight.last.raw for flight in flights])
        except UserFacingError as error:
            log.warning("broadcast of %d transactions: %s", len(flights), error.message)
            for flight in flights:
                flight.maybe_taken = True
            return
        endings: list[tuple[Flight, Ending]] = []
        for flight, (answer, words) in zip(flights, answers, strict=True):
            if answer is Answer.TAKEN:
                flight.maybe_taken = True
            elif answer is Answer.FEE_TOO_LOW:
                flight.outbid_now = True
            elif answer in (Answer.NO_FUNDS, Answer.REFUSED) and not flight.maybe_taken:
                # Nobody has it, and it is never broadcast again: its nonce may serve something else.
                endings.append((flight, Ending(flight.row.id, "rejected", failure=words)))
            elif answer is Answer.NONCE_CONTESTED and not flight.maybe_taken:
                endings.append((flight, Ending(flight.row.id, "lost", failure=words)))
            elif answer is not Answer.NONCE_USED:
                flight.maybe_taken = True
                log.warning("%s (nonce %d): the node says %s", flight.row.purpose, flight.row.nonce, words)
        await self._land(endings)

    # --- watching ------------------------------------------------------------------------------------------------

    async def _round(self) -> None:
        if not self._open and not self._went_back:
            self.cycle.interval_s = IDLE_S
            return
        try:
            landed, count = await self._look()
            if self._open or self._went_back:
                await self._nurse(count)
        except (UserFacingError, RpcError) as error:
            log.warning("watching %d transactions: %s", len(self._open), error)
            landed = 0
        slower = min(self.cycle.interval_s * 1.5, self._pace.slowest_poll_s)
        self.cycle.interval_s = self._pace.fastest_poll_s if landed else slower

    async def _look(self) -> tuple[int, int]:
        """Reads receipts; returns how many landed, and the account's mined nonce count."""
        flights = self.open
        asked = [(flight, attempt) for flight in flights for attempt in flight.attempts]
        # The count comes first: a transaction mined between the two answers then shows its receipt.
        count_hex, head_hex, *receipts = await self._chain.rpc.batch(
            [
                ("eth_getTransactionCount", (self._account.address, "latest")),
                ("eth_blockNumber", ()),
                *(("eth_getTransactionReceipt", ("0x" + attempt.hash.hex(),)) for _, attempt in asked),
            ]
        )
        if isinstance(count_hex, RpcError) or isinstance(head_hex, RpcError):
            raise count_hex if isinstance(count_hex, RpcError) else head_hex
        count, head = int(count_hex, 16), int(head_hex, 16)
        found: dict[int, dict[str, Any]] = {}
        for (flight, _), receipt in zip(asked, receipts, strict=True):
            if isinstance(receipt, dict) and receipt.get("blockNumber"):
                found[flight.row.id] = receipt
        endings = []
        for flight in flights:
            receipt = found.get(flight.row.id)
            if receipt is not None:
                flight.foreign_since = None
                if head - int(receipt["blockNumber"], 16) + 1 >= self._chain.network.confirmations:
                    endings.append((flight, await self._ending(flight, receipt)))
            elif flight.row.nonce < count and (ending := await self._without_receipt(flight)) is not None:
                endings.append((flight, ending))
        await self._land(endings)
        return len(endings), count

    async def _ending(self, flight: Flight, receipt: dict[str, Any]) -> Ending:
        if int(receipt["status"], 16) == 1:
            return Ending(flight.row.id, "mined", receipt)
        return Ending(flight.row.id, "reverted", receipt, await self._why(flight, receipt))

    async def _why(self, flight: Flight, receipt: dict[str, Any]) -> str:
        """Revert data in hex, from running the call again on the block that refused it; empty when that is silent."""
        call = flight.row.call
        body = {"from": self._account.address, "data": "0x" + call.data.hex(), "value": hex(call.value)}
        if call.to is not None:
            body["to"] = call.to
        try:
            await self._chain.rpc.request("eth_call", body, receipt["blockNumber"])
        except RpcError as error:
            reverted = revert_of(error)
            return "" if reverted is None else reverted.data.hex()
        except UserFacingError:
            pass
        return ""

    async def _without_receipt(self, flight: Flight) -> Ending | None:
        """What became of a transaction whose nonce is used, though none of its attempts has a receipt.

        Another process may have outbid it for us, or ended it. Else it is lost once the sight has lasted, and no node
        knows any attempt: only another transaction can have its nonce.
        """
        now = time.monotonic()
        if flight.foreign_since is None:
            flight.foreign_since = now
        if now - flight.foreign_since < self._pace.certain_s:
            return None
        row = await self._outbox.get(flight.row.id)
        if row is not None and row.state != "sent":
            return Ending(row.id, row.state, row.receipt, row.failure)
        if row is not None and len(row.attempts) > len(flight.attempts):
            flight.attempts = list(row.attempts)
            return None
        known = await self._chain.rpc.batch(
            [("eth_getTransactionByHash", ("0x" + attempt.hash.hex(),)) for attempt in flight.attempts]
        )
        if any(answer is not None for answer in known):
            return None
        return Ending(flight.row.id, "lost", failure="another transaction took its nonce")

    async def _land(self, endings: list[tuple[Flight, Ending]]) -> None:
        if not endings:
            return
        # Whoever waits goes on while this is written: a crash in between loses nothing, for the row is still open then
        # and the next start finds the receipt again. What the waiter reads or writes comes after it in the same queue.
        for flight, ending in endings:
            self._open.pop(flight.row.id, None)
            if ending.state == "rejected" and self._next_nonce == flight.row.nonce + 1:
                self._next_nonce = flight.row.nonce  # an older one leaves a gap, which `_heal` closes
            if not flight.landed.done():
                flight.landed.set_result(ending)
        try:
            await self._outbox.end([ending for _, ending in endings])
        except BaseException:
            self._open.update((flight.row.id, flight) for flight, _ in endings)
            raise

    # --- nursing -------------------------------------------------------------------------------------------------

    async def _nurse(self, count: int) -> None:
        """Keeps what is open moving: told again, outbid, gaps closed."""
        now = time.monotonic()
        silent = [f for f in self.open if now - f.broadcast_at >= self._pace.rebroadcast_s and f.row.nonce >= count]
        if silent:
            await self._broadcast(silent)
        await self._outbid(count)
        await self._heal(count)

    async def _outbid(self, count: int) -> None:
        for flight in self.open:
            stuck = time.monotonic() - flight.bid_at >= self._pace.stuck_s and flight.row.nonce == count
            if not (stuck or flight.outbid_now):
                continue
            flight.outbid_now = False
            flight.bid_at = time.monotonic()
            bid = flight.last.fees.outbid(await self._fees.suggest())
            if bid.max_fee > self._max_fee_cap:
                log.warning("%s waits: %d wei per gas is above the cap", flight.row.purpose, bid.max_fee)
                continue
            attempt = self._sign(flight.row.nonce, flight.row, bid)
            await self._outbox.add_attempt(flight.row.id, attempt)
            flight.attempts.append(attempt)
            await self._broadcast([flight])

    async def _heal(self, count: int) -> None:
        """Closes a gap below our lowest nonce, which nobody else will fill.

        It comes from a rejected transaction, or from a chain that was set back (a node restored from an older state).
        """
        lowest = self.open[0].row.nonce if self._open else await self._outbox.next_after_mined()
        if count >= lowest:
            self._gap_since, self._went_back = None, False
            return
        now = time.monotonic()
        self._gap_since = now if self._gap_since is None else self._gap_since
        if now - self._gap_since < self._pace.certain_s:
            return
        self._gap_since = None
        waiting = int(await self._chain.rpc.request("eth_getTransactionCount", self._account.address, "pending"), 16)
        if waiting >= lowest:
            return  # another program's transactions fill it, and are not mined yet
        for nonce in range(max(count, waiting), min(lowest, count + HEAL_AT_ONCE)):
            row = await self._outbox.mined_at(nonce)
            if row is not None and row.attempts:
                log.warning("the chain forgot %s (nonce %d): broadcast again", row.purpose, nonce)
                await self._outbox.reopen(row.id)
                flight = Flight(row, resumed=True)
            else:
                log.warning("filling the gap at nonce %d", nonce)
                flight = Flight(await self._filler(nonce), resumed=False)
            self._open[flight.row.id] = flight
            await self._broadcast([flight])

    async def _filler(self, nonce: int) -> Row:
        """Nothing, sent to ourselves: all that a nonce is good for when what it was meant for is gone."""
        draft = Draft(Call(self._account.address, b"", "filler"), "fill a gap in the nonces", None, FILLER_GAS)
        fees = await self._fees.suggest()
        row = await self._outbox.insert(draft, lambda free: self._sign(free, draft, fees), exactly=nonce)
        assert row is not None, "it has no key"
        return row

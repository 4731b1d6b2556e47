"""Reading logs and headers from a node so that they are certain to belong to one and the same chain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from depin_desktop.chain.calls import Block
from depin_desktop.chain.chain import Chain, header
from depin_desktop.chain.log_store import StoredLog
from depin_desktop.chain.logs import unhex
from depin_desktop.chain.rpc import RpcError, TooLarge, Unreachable

HEADERS_AT_ONCE = 100
# Bytes of one answer with logs; as objects they take some five times as much. One block is read whatever it holds.
LARGEST_ANSWER = 2 * 1024 * 1024
FEW_LOGS = 50  # more are handled in a thread, so that the event loop goes on


class Moved(Exception):
    """The chain is not the one that we had read up to, or changed while we read."""


class TooMuch(Exception):
    """The node refused the range, or was too slow with it: ask for fewer blocks."""

    def __init__(self, cause: RpcError | Unreachable | TooLarge) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Interests:
    """Which logs are wanted: all of the network's registry and deals; of what others use too, only what is ours.

    That is, of the token transfers from or to our accounts, and of x402's channels, which on a public chain the whole
    world shares, what our accounts sent or were paid, and every payer's wish to withdraw. Without accounts: no
    transfers, and all channels.
    """

    def __init__(self, chain: Chain, accounts: tuple[str, ...]) -> None:
        self._contracts = {contract.address.lower(): contract for contract in chain.contracts}
        own, shared = [chain.registry.address, chain.deals.address], chain.settlement.address
        self._filters: list[dict[str, Any]] = [{"address": own if accounts else [*own, shared]}]
        if accounts:
            transfer = "0x" + chain.token.interface.event("Transfer").topic.hex()
            settled = "0x" + chain.settlement.interface.event("Settled").topic.hex()
            ours = ["0x" + "00" * 12 + account[2:].lower() for account in accounts]
            by_ends: list[list[Any]] = [[transfer, ours], [transfer, None, ours]]
            for topics in by_ends:
                self._filters.append({"address": chain.token.address, "topics": topics})
            # Events name the channel and who sent the transaction, a payout also the receiver. Who begins to withdraw
            # is not named, so that everybody's wish to do so is read.
            began = "0x" + chain.settlement.interface.event("WithdrawInitiated").topic.hex()
            by_parties: list[list[Any]] = [[began], [settled, ours], [None, None, ours]]
            for topics in by_parties:
                self._filters.append({"address": shared, "topics": topics})
        self.scope = f"{self._filters} {chain.network.start_block}"

    def requests(self, start: int, end: int) -> list[tuple[str, list[Any]]]:
        """The `eth_getLogs` calls for a range of blocks, both ends included."""
        blocks = {"fromBlock": hex(start), "toBlock": hex(end)}
        return [("eth_getLogs", [{**one, **blocks}]) for one in self._filters]

    def stored(self, log: dict[str, Any], block_time: int) -> StoredLog | None:
        """The row for a log, or None for an event that our interfaces do not know."""
        contract = self._contracts.get(log["address"].lower())
        topics = tuple(unhex(topic) for topic in log["topics"])
        if contract is None or not topics or (event := contract.interface.events.get(topics[0])) is None:
            return None
        return StoredLog(
            unhex(log["blockHash"]),
            unhex(log["transactionHash"]),
            int(log["logIndex"], 16),
            int(log["blockNumber"], 16),
            block_time,
            contract.label,
            event.name,
            contract.address,
            topics,
            unhex(log["data"]),
        )


class LogReader:
    """Reads ranges of blocks."""

    def __init__(self, chain: Chain, interests: Interests) -> None:
        self._rpc = chain.rpc
        self._interests = interests

    async def read(self, start: int, end: int, tip: Block | None) -> tuple[list[StoredLog], Block]:
        """The wanted logs of blocks `start` to `end`, in the chain's order, and the header of `end`.

        The order of the questions makes the answer certain: when the last block is the same before and after the logs
        were read, and our tip is still canonical in between, the logs belong to the chain that goes on from the tip.

        Raises:
            Moved: it does not.
            TooMuch: see there.
        """
        last = ("eth_getBlockByNumber", [hex(end), False])
        ours = [] if tip is None else [("eth_getBlockByNumber", [hex(tip.number), False])]
        wanted = self._interests.requests(start, end)
        try:
            at_most = LARGEST_ANSWER if start < end else None
            answers = await self._rpc.batch([last, *wanted, *ours, last], at_most=at_most)
        except (Unreachable, TooLarge) as error:
            raise TooMuch(error) from error
        for answer in answers:
            if isinstance(answer, RpcError):
                raise TooMuch(answer)
        before, after = answers[0], answers[-1]
        if before is None or after is None or before["hash"] != after["hash"]:
            raise Moved
        if tip is not None and (answers[-2] is None or unhex(answers[-2]["hash"]) != tip.hash):
            raise Moved
        found = {
            (log["blockHash"], log["logIndex"]): log for logs in answers[1 : 1 + len(wanted)] for log in logs or []
        }
        if any(log["blockNumber"] == before["number"] and log["blockHash"] != before["hash"] for log in found.values()):
            raise Moved
        return await self._in_order(list(found.values())), header(before)

    async def _in_order(self, logs: list[dict[str, Any]]) -> list[StoredLog]:
        times = await self._times(logs)

        def work() -> list[StoredLog]:
            rows = (self._interests.stored(log, times[log["blockNumber"]]) for log in logs)
            return sorted((row for row in rows if row is not None), key=lambda row: (row.block, row.log_index))

        return work() if len(logs) <= FEW_LOGS else await asyncio.to_thread(work)

    async def _times(self, logs: list[dict[str, Any]]) -> dict[str, int]:
        """Block times by number; newer nodes put them into the logs."""
        times = {log["blockNumber"]: int(log["blockTimestamp"], 16) for log in logs if log.get("blockTimestamp")}
        missing = sorted({log["blockNumber"] for log in logs} - times.keys())
        for first in range(0, len(missing), HEADERS_AT_ONCE):
            numbers = missing[first : first + HEADERS_AT_ONCE]
            answers = await self._rpc.batch([("eth_getBlockByNumber", [number, False]) for number in numbers])
            for number, answer in zip(numbers, answers, strict=True):
                if isinstance(answer, RpcError):
                    raise TooMuch(answer)
                if answer is None:
                    raise Moved
                times[number] = int(answer["timestamp"], 16)
        return times

    async def first_canonical(self, headers: Sequence[Block]) -> Block | None:
        """The first of these headers that the chain still has."""
        answers = await self._rpc.batch([("eth_getBlockByNumber", [hex(one.number), False]) for one in headers])
        for ours, answer in zip(headers, answers, strict=True):
            if isinstance(answer, RpcError):
                raise answer
            if answer is not None and unhex(answer["hash"]) == ours.hash:
                return ours
        return None

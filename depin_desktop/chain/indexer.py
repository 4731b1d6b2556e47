"""The index of our contracts' logs: complete, in the chain's order, and corrected when the chain corrects itself.

Complete as far back as a reorganisation could reach; of what is older, whoever asks gets what lasts (`log_store`).

Polling is the ground: the head is looked at every few seconds. A WebSocket subscription makes that prompt where there
is one. Memory stays flat: ranges are bounded, and what is read goes to SQLite before the next range is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from depin_desktop.chain.bindings.contract import Contract
from depin_desktop.chain.calls import Block, LogEvent
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.heads import Heads
from depin_desktop.chain.log_reader import FEW_LOGS, Interests, LogReader, Moved, TooMuch
from depin_desktop.chain.log_store import LogStore, StoredLog
from depin_desktop.chain.logs import LogDecoder
from depin_desktop.chain.rpc import RpcError
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.tasks import Cycle, Tasks

log = logging.getLogger(__name__)

Callback = Callable[[LogEvent], Awaitable[object]]

PUBLIC_POLL_S = 6.0
PRIVATE_POLL_S = 2.0
LIVE_POLL_S = 6.0  # while new heads are announced, polling only finds out when they no longer are
SILENT_S = 5.0  # a subscription that is this far behind what polling sees is dropped and made anew
FIRST_RANGE = 500
LARGEST_RANGE = 5000
MANY_LOGS = 2000
ANCESTORS_AT_ONCE = 32


class Indexer:
    """Follows one network's contracts.

    Args:
        accounts: token transfers and payment channels are indexed only when they touch one of these; on a public chain
            all others are noise. With another set of accounts the index is built anew.
        poll_s: seconds between two looks at the head.

    Attributes:
        height: the block up to which everything is indexed; -1 before the first.
        head: the chain's newest block, as last seen.
        synced_at: when height last equalled head, Unix seconds; 0 if never.
    """

    def __init__(
        self, chain: Chain, database: Database, *, accounts: Collection[str] = (), poll_s: float | None = None
    ) -> None:
        self._chain = chain
        self._accounts = set(accounts)
        self._database = database
        self._store: LogStore
        self._reader: LogReader
        self._decoder = LogDecoder(chain.contracts)
        self._callbacks: list[tuple[str, str | None, Callback]] = []
        self._height_callbacks: list[Callable[[], object]] = []
        self._back_callbacks: list[Callable[[], object]] = []
        self._loss_callbacks: list[Callable[[], Awaitable[object]]] = []
        self._range = FIRST_RANGE
        self._tip: Block | None = None
        self._wider_since: int | None = None  # from this block on there is an account whose logs were not read
        self.height = -1
        self.head = -1
        self.synced_at = 0.0
        poll = PRIVATE_POLL_S if chain.network.private else PUBLIC_POLL_S
        self._poll_s, self._live_poll_s = (poll, LIVE_POLL_S) if poll_s is None else (poll_s, poll_s)
        self.cycle = Cycle("index", self._poll_s, self._round)
        self._heads = Heads(chain.network.ws_url, self._on_head) if chain.network.ws_url else None
        self._tasks = Tasks("index")

    def also(self, account: str) -> None:
        """Adds an account, as if it had been among `accounts`; before `start`."""
        self._accounts.add(account)

    def widen(self, account: str, since: int) -> None:
        """Adds an account after `start`: what touches it from block `since` on is indexed and told, too.

        The index keeps what it has. A later `start` with this account among `accounts` goes on from there.
        """
        if account not in self._accounts:
            self._accounts.add(account)
            self._widen_since(since)
            self.cycle.trigger()

    def _widen_since(self, since: int) -> None:
        self._wider_since = since if self._wider_since is None else min(since, self._wider_since)

    async def start(self) -> None:
        """Opens the index and begins to follow; needs no network to return."""
        self._reader, scope = self._interested()
        self._store = LogStore(self._database, scope, self._accounts)
        await self._store.open()
        self._tip = await self._store.tip()
        self.height = -1 if self._tip is None else self._tip.number
        self._tasks.spawn("follow", self.cycle.run())
        if self._heads is not None:
            self._tasks.spawn("heads", self._heads.run())

    def _interested(self) -> tuple[LogReader, str]:
        """The reader for the accounts that there are now, and the name of what it reads."""
        interests = Interests(self._chain, tuple(sorted(self._accounts)))
        scope = hashlib.sha256(f"{self._chain.genesis.hex()} {interests.scope}".encode()).hexdigest()
        return LogReader(self._chain, interests), scope

    async def stop(self) -> None:
        """Stops following; a later start goes on from here."""
        await self._tasks.close()

    @property
    def floor(self) -> int:
        """The block up to which only lasting logs are left; −1 while all are there."""
        return self._store.floor

    @property
    def lag(self) -> int:
        """Blocks between the chain's head, as last seen, and what is indexed."""
        return max(0, self.head - self.height)

    @property
    def live(self) -> bool:
        """Whether new heads are announced now, rather than found by polling."""
        return self._heads is not None and self._heads.connected

    def on(self, name: str, callback: Callback, *, contract: str | None = None) -> Callable[[], None]:
        """Calls back for every log of that event, in the chain's order, once it is in the index.

        What a reorganisation takes back is announced again with `removed`, newest first. A callback must be quick, for
        the index waits for it, and must not wait for the index. One that fails is logged and not repeated: whoever must
        not miss an event reads `events` since the block that it last dealt with.

        Args:
            contract: only this contract's, such as "deals", where several have an event of that name.

        Returns:
            a function that ends it.
        """
        entry = (name, contract, callback)
        self._callbacks.append(entry)

        def end() -> None:
            with contextlib.suppress(ValueError):
                self._callbacks.remove(entry)

        return end

    def on_height(self, callback: Callable[[], object]) -> None:
        """Calls back, without arguments, whenever `height` has changed: `indexer.on_height(sender.trigger)`."""
        self._height_callbacks.append(callback)

    def on_way_back(self, callback: Callable[[], object]) -> None:
        """Calls back whenever blocks were taken back: `indexer.on_way_back(sender.chain_went_back)`."""
        self._back_callbacks.append(callback)

    def on_loss(self, callback: Callable[[], Awaitable[object]]) -> None:
        """Calls back, and waits, when the chain has none of our newest blocks any more, before all is read anew.

        Logs up to `floor` are not announced as removed then: what was made of them has to go, too.
        """
        self._loss_callbacks.append(callback)

    async def events(
        self,
        name: str,
        *,
        contract: str | None = None,
        since: int = 0,
        until: int | None = None,
        limit: int = 10_000,
        newest_first: bool = False,
        **indexed: Any,
    ) -> list[LogEvent]:
        """Indexed logs of an event; those of blocks up to `floor` only if they last.

        Args:
            since, until: block numbers, both included.
            indexed: values of indexed arguments, by their names in snake case: `events("Proven", provider=owner)`.

        Raises:
            ValueError: no contract of ours has such an event with such indexed arguments.
        """
        found: list[LogEvent] = []
        for one, topics in self._sources(name, contract, indexed):
            stored = await self._store.find(
                one.label, name, topics, since=since, until=until, limit=limit, newest_first=newest_first
            )
            found += await self._decode_all(stored)
        found.sort(key=lambda event: (event.block, event.log_index), reverse=newest_first)
        return found[:limit]

    def _sources(
        self, name: str, contract: str | None, indexed: dict[str, Any]
    ) -> list[tuple[Contract, dict[int, bytes]]]:
        sources = []
        for one in self._chain.contracts:
            if contract is None or one.label == contract:
                with contextlib.suppress(KeyError):
                    event = one.interface.event(name)
                    sources.append((one, dict(event.topic_of(key, value) for key, value in indexed.items())))
        if not sources:
            raise ValueError(f"no event {name} with indexed {', '.join(indexed) or 'arguments'}")
        return sources

    # --- following -----------------------------------------------------------------------------------------------

    def _on_head(self, _number: int) -> None:
        self.cycle.trigger()

    async def sync(self) -> None:
        """Returns when everything that the chain held at the time of the call is indexed."""
        await self.cycle.trigger_and_wait()

    async def _round(self) -> None:
        try:
            await self._catch_up()
        except (UserFacingError, RpcError) as error:
            log.warning("the index stands at block %d: %s", self.height, error)
        self.cycle.interval_s = self._live_poll_s if self.live else self._poll_s

    async def _catch_up(self) -> None:
        head = await self._chain.block("latest")
        self.head = head.number
        await self._watch_heads(head.number)
        await self._read_wider()
        if self._tip is not None and (self._tip.hash == head.hash or await self._is_behind(head, self._tip)):
            self.synced_at = time.time()
            return
        while self._tip is None or self._tip.number < head.number or self._tip.hash != head.hash:
            if not await self._step(head):
                head = await self._chain.block("latest")
                self.head = head.number
        self.synced_at = time.time()

    async def _is_behind(self, head: Block, tip: Block) -> bool:
        """Whether this node merely lags behind one that answered before, as happens behind a public address."""
        if self._chain.network.private or head.number >= tip.number:
            return False
        same_height = await self._store.headers(1, head.number + 1)
        return bool(same_height) and same_height[0].hash == head.hash

    async def _step(self, head: Block) -> bool:
        """Indexes one range. False when the chain moved meanwhile: the head must be looked at again."""
        await self._read_wider()
        start = self._chain.network.start_block if self._tip is None else self._tip.number + 1
        end = min(head.number, start + self._range - 1)
        try:
            if end < start:  # the chain is shorter than it was, or has another block at our height
                raise Moved  # noqa: TRY301
            logs, tip = await self._reader.read(start, end, self._tip)
        except Moved:
            await self._find_fork()
            return False
        except TooMuch as error:
            self._range = end - start + 1
            self._halve_range(error)
            return True
        if len(logs) < MANY_LOGS:
            self._range = min(self._range * 2, LARGEST_RANGE)
        else:
            self._range = max(1, self._range // 2)
        await self._store.append(logs, tip)
        self._moved_to(tip)
        await self._announce(logs)
        return True

    async def _read_wider(self) -> None:
        """Reads what new accounts have in blocks that are indexed already; later ranges are read for them anyway."""
        while (since := self._wider_since) is not None:
            self._wider_since = None
            self._reader, scope = self._interested()
            self._store.keep_for(self._accounts)
            try:
                await self._read_again(since)
            except BaseException as error:
                self._widen_since(since)
                if isinstance(error, Moved):
                    return  # the next step finds out how far back; then it is tried again
                raise
            await self._store.rescope(scope)
            _tell(self._height_callbacks)

    async def _read_again(self, since: int) -> None:
        while self._tip is not None and since <= self._tip.number:
            end = min(self._tip.number, since + self._range - 1)
            try:
                logs, _ = await self._reader.read(since, end, self._tip)
            except TooMuch as error:
                self._halve_range(error)
                continue
            await self._announce(await self._store.add(logs))
            since = end + 1

    def _halve_range(self, error: TooMuch) -> None:
        if self._range == 1:
            raise error.cause from error
        self._range = max(1, self._range // 2)

    async def _find_fork(self) -> None:
        """Rolls back to the newest block that we and the chain have in common."""
        below = None
        while headers := await self._store.headers(ANCESTORS_AT_ONCE, below):
            ancestor = await self._reader.first_canonical(headers)
            if ancestor is not None:
                if ancestor != self._tip:
                    await self._roll_back(ancestor)
                return
            below = headers[-1].number
        await self._roll_back(None)

    async def _roll_back(self, ancestor: Block | None) -> None:
        to = -1 if ancestor is None else ancestor.number
        log.info("the chain was reorganised: from block %d back to %d", self.height, to)
        if ancestor is None:
            # First: whoever is killed in between finds no common block again at the next start.
            for callback in self._loss_callbacks:
                await callback()
        removed = await self._store.roll_back(to)
        self._moved_to(ancestor)
        _tell(self._back_callbacks)
        await self._announce(removed, removed=True)

    def _moved_to(self, tip: Block | None) -> None:
        self._tip = tip
        self.height = -1 if tip is None else tip.number
        _tell(self._height_callbacks)

    async def _watch_heads(self, polled: int) -> None:
        if self._heads is not None and self._heads.is_silent(polled, SILENT_S):
            log.info("the subscription to new heads has gone silent")
            await self._heads.reconnect()

    async def _announce(self, rows: list[StoredLog], *, removed: bool = False) -> None:
        wanted = {name for name, _, _ in self._callbacks}
        for event in await self._decode_all([row for row in rows if row.name in wanted], removed=removed):
            for name, contract, callback in tuple(self._callbacks):
                if name == event.name and contract in (None, event.contract):
                    try:
                        await callback(event)
                    except Exception:
                        log.exception("a callback for %s failed", event.name)

    async def _decode_all(self, rows: list[StoredLog], *, removed: bool = False) -> list[LogEvent]:
        def work() -> list[LogEvent]:
            return [event for row in rows if (event := self._decode(row, removed)) is not None]

        return work() if len(rows) <= FEW_LOGS else await asyncio.to_thread(work)

    def _decode(self, row: StoredLog, removed: bool) -> LogEvent | None:
        return self._decoder.decode(
            address=row.address,
            topics=list(row.topics),
            data=row.data,
            block=row.block,
            block_hash=row.block_hash,
            block_time=row.block_time,
            tx=row.tx,
            log_index=row.log_index,
            removed=removed,
        )


def _tell(callbacks: list[Callable[[], object]]) -> None:
    for callback in callbacks:
        try:
            callback()
        except Exception:
            log.exception("a callback of the index failed")

"""The ledger's rows: what `ledger.entry_of` made of each event, and sums per quarter of an hour, always in step."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

from depin_desktop.api.wallet import HistoryEntry
from depin_desktop.chain.calls import LogEvent
from depin_desktop.chain.indexer import Indexer
from depin_desktop.core.database import Database
from depin_desktop.wallet.fees import LedgerFees
from depin_desktop.wallet.ledger import (
    EARNED_KINDS,
    EVENTS,
    PAYOUT,
    QUARTER_S,
    STORAGE,
    Amount,
    Entry,
    Parties,
    Source,
    entry_of,
    sources,
)

NAMESPACE = "ledger"
# Amounts are text: SQLite's integers end at 2^63.
SCRIPTS = (
    """
    CREATE TABLE ledger_entries (
        tx BLOB NOT NULL,
        log_index INTEGER NOT NULL,
        block INTEGER NOT NULL,
        block_hash BLOB NOT NULL,
        at INTEGER NOT NULL,
        kind TEXT NOT NULL,
        amount TEXT NOT NULL,
        counterparty TEXT NOT NULL,
        detail TEXT NOT NULL,
        PRIMARY KEY (tx, log_index)
    );
    CREATE INDEX ledger_entries_by_time ON ledger_entries (at, block, log_index);
    CREATE TABLE ledger_sums (
        quarter INTEGER NOT NULL,
        kind TEXT NOT NULL,
        amount TEXT NOT NULL,
        PRIMARY KEY (quarter, kind)
    );
    """,
    """
    CREATE TABLE ledger_payouts (
        address TEXT PRIMARY KEY
    ) WITHOUT ROWID;
    """,
)
SUMMED_KINDS = EARNED_KINDS | {PAYOUT}
RECHECKED_BLOCKS = 256
PAGE = 2000


class Ledger:
    """One owner's ledger in the engine's database, for `parties`.

    Events may be applied in any order and more than once: a row is known by its transaction and log index, and what a
    reorganisation took back is taken back here.
    """

    def __init__(self, database: Database, parties: Parties) -> None:
        self.fees = LedgerFees(database, parties)
        self.parties = parties
        self._database = database
        self._writing = asyncio.Lock()

    async def open(self) -> None:
        """Makes the tables, and learns where earnings went before."""
        await self._database.migrate(NAMESPACE, SCRIPTS)
        await self.fees.open()
        rows = await self._database.rows("SELECT address FROM ledger_payouts")
        await self.pay_to(self.parties.payout, *(row["address"] for row in rows))

    async def pay_to(self, payout: str, *former: str) -> None:
        """Earnings go to `payout` from now on; what came to it, or to `former` ones, is told of as well."""
        payouts = self.parties.payouts | {payout, *former}
        self.parties = replace(self.parties, payout=payout, former=payouts - {payout})

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR IGNORE INTO ledger_payouts VALUES (?)", [(one,) for one in payouts])

        await self._database.run(work)

    def attach(self, indexer: Indexer) -> None:
        """Has the index tell what comes and what is taken back. Call it before `indexer.start`."""
        for name in EVENTS:
            indexer.on(name, self.apply)
        indexer.on_loss(self._forget)

    async def catch_up(self, indexer: Indexer) -> None:
        """Brings the ledger in line with the index; call it after `indexer.start`.

        A run that was killed may not have heard of what it had indexed last, so the newest blocks are compared anew.
        """
        async with self._writing:
            newest = await self._database.row("SELECT coalesce(max(block), 0) AS block FROM ledger_entries")
            since = max(0, newest["block"] - RECHECKED_BLOCKS, indexer.floor + 1) if newest is not None else 0
            rows = await self._database.rows(
                "SELECT tx, log_index, block FROM ledger_entries WHERE block >= ?", (since,)
            )
            there: set[tuple[bytes, int]] = set()
            for source in sources(self.parties):
                async for page in _pages(indexer, source, since):
                    there |= {(event.tx, event.log_index) for event in page}
                    await self._write(page)
            # What the index has let go of meanwhile, because it was old, is not gone from the chain.
            known = [(row["tx"], row["log_index"]) for row in rows if row["block"] > indexer.floor]
            gone = [key for key in known if key not in there]
            await self._database.run(lambda connection: _remove_all(connection, gone))

    async def _forget(self) -> None:
        """The chain that all lines came from is gone; the index reads the new one from its beginning."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM ledger_entries")
            connection.execute("DELETE FROM ledger_sums")

        async with self._writing:
            await self._database.run(work)

    async def apply(self, event: LogEvent) -> None:
        """Takes an event in, or takes it back when it is marked as removed."""
        await self.apply_all((event,))

    async def apply_all(self, events: Iterable[LogEvent]) -> None:
        """Takes events in within one transaction."""
        async with self._writing:
            await self._write(events)

    async def _write(self, events: Iterable[LogEvent]) -> None:
        known = [(event, entry) for event in events if (entry := entry_of(event, self.parties)) is not None]
        if not known:
            return

        def work(connection: sqlite3.Connection) -> None:
            for event, entry in known:
                # A removal names the block that was undone: the row of a newer block is not meant.
                _remove(connection, event.tx, event.log_index, event.block_hash if event.removed else None)
                if not event.removed:
                    _insert(connection, event, entry)

        await self._database.run(work)

    async def history(self, limit: int, *, before: float | None = None) -> list[HistoryEntry]:
        """The newest lines first; `before` (Unix seconds) pages on. Sets that one transaction proves are one line."""

        def work(connection: sqlite3.Connection) -> list[HistoryEntry]:
            rows = connection.execute(
                "SELECT * FROM ledger_entries WHERE ? IS NULL OR at < ? ORDER BY at DESC, block DESC, log_index DESC",
                (before, before),
            )
            proofs_together = itertools.groupby(
                rows, lambda row: (row["tx"], -1 if row["kind"] == STORAGE else row["log_index"])
            )
            return [_line(list(group)) for _, group in itertools.islice(proofs_together, limit)]

        return await self._database.run(work)

    async def storage_amounts(self) -> list[Amount]:
        """What proofs were paid, per quarter of an hour, oldest first."""
        rows = await self._database.rows(
            "SELECT quarter, amount FROM ledger_sums WHERE kind = 'storage' ORDER BY quarter"
        )
        return [Amount(float(row["quarter"] * QUARTER_S), int(row["amount"])) for row in rows]

    async def paid_out(self) -> int:
        """What reached the payout address so far."""
        rows = await self._database.rows("SELECT amount FROM ledger_sums WHERE kind = ?", (PAYOUT,))
        return sum(int(row["amount"]) for row in rows)


async def _pages(indexer: Indexer, source: Source, since: int) -> AsyncIterator[list[LogEvent]]:
    """All indexed events of one source since a block, in pages; a page may repeat the end of the one before."""
    limit = PAGE
    while True:
        page = await indexer.events(source.name, contract=source.contract, since=since, limit=limit, **source.indexed)
        yield page
        if len(page) < limit:
            return
        if page[-1].block == since:
            limit *= 2  # one block that holds more than a page
        since = page[-1].block


def _insert(connection: sqlite3.Connection, event: LogEvent, entry: Entry) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO ledger_entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            event.tx,
            event.log_index,
            event.block,
            event.block_hash,
            event.block_time,
            entry.kind,
            str(entry.amount),
            entry.counterparty,
            entry.detail,
        ),
    )
    _add(connection, event.block_time, entry.kind, entry.amount)


def _remove(connection: sqlite3.Connection, tx: bytes, log_index: int, block_hash: bytes | None = None) -> None:
    """Takes a row back, if there is one; with `block_hash` only when it is of that block."""
    row = connection.execute(
        "SELECT * FROM ledger_entries WHERE tx = ? AND log_index = ? AND block_hash = coalesce(?, block_hash)",
        (tx, log_index, block_hash),
    ).fetchone()
    if row is None:
        return
    connection.execute("DELETE FROM ledger_entries WHERE tx = ? AND log_index = ?", (tx, log_index))
    _add(connection, row["at"], row["kind"], -int(row["amount"]))


def _remove_all(connection: sqlite3.Connection, keys: Iterable[tuple[bytes, int]]) -> None:
    for tx, log_index in keys:
        _remove(connection, tx, log_index)


def _add(connection: sqlite3.Connection, at: int, kind: str, amount: int) -> None:
    if kind not in SUMMED_KINDS:
        return
    key = (at // QUARTER_S, kind)
    row = connection.execute("SELECT amount FROM ledger_sums WHERE quarter = ? AND kind = ?", key).fetchone()
    total = amount + (int(row["amount"]) if row else 0)
    if total:
        connection.execute("INSERT OR REPLACE INTO ledger_sums VALUES (?, ?, ?)", (*key, str(total)))
    else:
        connection.execute("DELETE FROM ledger_sums WHERE quarter = ? AND kind = ?", key)


def _line(rows: list[sqlite3.Row]) -> HistoryEntry:
    row = rows[0]
    detail = row["detail"] if len(rows) == 1 else f"{len(rows)} data sets, {row['detail'].rpartition(', ')[2]}"
    return HistoryEntry(
        at=float(row["at"]),
        kind=row["kind"],
        amount=sum(int(one["amount"]) for one in rows),
        counterparty=row["counterparty"],
        transaction="0x" + row["tx"].hex(),
        block=row["block"],
        detail=detail,
    )

"""The indexer's rows: logs as the chain wrote them, and the headers that say which chain that was.

Only as many headers are kept as a reorganisation could reach back over, and of older blocks only the few logs that are
asked for at any age: what else they told has long been told to whoever listens.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from depin_desktop.chain.calls import Block
from depin_desktop.core.database import Database

SCRIPTS = (
    """
    CREATE TABLE index_state (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        scope TEXT NOT NULL
    );
    CREATE TABLE index_blocks (
        number INTEGER PRIMARY KEY,
        hash BLOB NOT NULL,
        parent BLOB NOT NULL,
        time INTEGER NOT NULL
    );
    CREATE TABLE index_logs (
        block_hash BLOB NOT NULL,
        tx BLOB NOT NULL,
        log_index INTEGER NOT NULL,
        block INTEGER NOT NULL,
        block_time INTEGER NOT NULL,
        contract TEXT NOT NULL,
        name TEXT NOT NULL,
        address TEXT NOT NULL,
        topic0 BLOB NOT NULL,
        topic1 BLOB,
        topic2 BLOB,
        topic3 BLOB,
        data BLOB NOT NULL,
        PRIMARY KEY (block_hash, tx, log_index)
    ) WITHOUT ROWID;
    CREATE INDEX index_logs_by_name ON index_logs (name, block);
    CREATE INDEX index_logs_by_block ON index_logs (block);
    CREATE INDEX index_logs_by_topic1 ON index_logs (name, topic1, block);
    CREATE INDEX index_logs_by_topic2 ON index_logs (name, topic2, block);
    """,
    """
    ALTER TABLE index_state ADD COLUMN floor INTEGER NOT NULL DEFAULT -1;
    """,
)
KEEP_HEADERS = 1024
_LASTING = "(contract = 'registry' OR (contract = 'deals' AND name = 'Opened'))"
"""Kept for ever where they name an account of ours: where earnings went, and whose data sets there are."""
_INSERT_LOG = "INSERT OR IGNORE INTO index_logs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True)
class StoredLog:
    """One log of our contracts, undecoded: names for searching, topics and data for decoding."""

    block_hash: bytes
    tx: bytes
    log_index: int
    block: int
    block_time: int
    contract: str
    name: str
    address: str
    topics: tuple[bytes, ...]
    data: bytes

    def row(self) -> tuple[object, ...]:
        topics = (*self.topics, None, None, None)[:4]
        return (
            *(self.block_hash, self.tx, self.log_index, self.block, self.block_time),
            *(self.contract, self.name, self.address, *topics, self.data),
        )


class LogStore:
    """What is indexed of one network by one set of interests (`scope`).

    Args:
        accounts: ours; without any, everything is kept.

    Attributes:
        floor: of the blocks up to it only lasting logs are left; -1 while all are there.
    """

    def __init__(self, database: Database, scope: str, accounts: Collection[str] = ()) -> None:
        self.floor = -1
        self._database = database
        self._scope = scope
        self.keep_for(accounts)

    def keep_for(self, accounts: Collection[str]) -> None:
        """These are ours from now on."""
        self._ours = tuple(bytes(12) + bytes.fromhex(account[2:]) for account in sorted(accounts))

    async def open(self) -> None:
        """Creates or migrates the tables. Another scope's rows are dropped: they can be read from the chain again."""
        await self._database.migrate("index", SCRIPTS)

        def work(connection: sqlite3.Connection) -> int:
            row = connection.execute("SELECT scope, floor FROM index_state").fetchone()
            if row is not None and row["scope"] == self._scope:
                return int(row["floor"])
            connection.execute("DELETE FROM index_blocks")
            connection.execute("DELETE FROM index_logs")
            connection.execute("INSERT OR REPLACE INTO index_state (id, scope) VALUES (1, ?)", (self._scope,))
            return -1

        self.floor = await self._database.run(work)

    async def tip(self) -> Block | None:
        """The newest block up to which everything is indexed."""
        found = await self.headers(1)
        return found[0] if found else None

    async def headers(self, limit: int, below: int | None = None) -> list[Block]:
        """Headers that we believed in, newest first; not every number is there."""
        rows = await self._database.rows(
            "SELECT * FROM index_blocks WHERE number < ? ORDER BY number DESC LIMIT ?",
            (2**62 if below is None else below, limit),
        )
        return [Block(row["number"], row["hash"], row["parent"], row["time"], None) for row in rows]

    async def append(self, logs: Sequence[StoredLog], tip: Block) -> None:
        """Adds a range's logs together with the header of its last block, and lets go of what is too old."""

        def work(connection: sqlite3.Connection) -> int:
            connection.executemany(_INSERT_LOG, [log.row() for log in logs])
            connection.execute(
                "INSERT OR REPLACE INTO index_blocks VALUES (?, ?, ?, ?)", (tip.number, tip.hash, tip.parent, tip.time)
            )
            connection.execute(
                "DELETE FROM index_blocks WHERE number < (SELECT number FROM index_blocks ORDER BY number DESC"
                " LIMIT 1 OFFSET ?)",
                (KEEP_HEADERS,),
            )
            return self._raise_floor(connection)

        self.floor = await self._database.run(work)

    def _raise_floor(self, connection: sqlite3.Connection) -> int:
        """Drops logs that no reorganisation can take back any more; the new floor."""
        row = connection.execute("SELECT min(number) AS oldest, count(*) AS kept FROM index_blocks").fetchone()
        if not self._ours or row["kept"] <= KEEP_HEADERS or row["oldest"] <= self.floor:
            return self.floor
        self._drop(connection, self.floor, row["oldest"])
        connection.execute("UPDATE index_state SET floor = ?", (row["oldest"],))
        return int(row["oldest"])

    def _drop(self, connection: sqlite3.Connection, above: int, up_to: int) -> None:
        """Drops the logs of blocks after `above` and up to `up_to` that do not last."""
        marks = ", ".join("?" * len(self._ours))
        named = " OR ".join(f"ifnull(topic{at}, '') IN ({marks})" for at in (1, 2, 3))
        connection.execute(
            f"DELETE FROM index_logs WHERE block > ? AND block <= ? AND NOT ({_LASTING} AND ({named}))",  # noqa: S608
            (above, up_to, *self._ours, *self._ours, *self._ours),
        )

    async def add(self, logs: Sequence[StoredLog]) -> list[StoredLog]:
        """Adds logs of blocks that are indexed already; returns those that were not there.

        What was there once and was let go is returned if it names one of ours, and is let go again.
        """

        def work(connection: sqlite3.Connection) -> list[StoredLog]:
            new = [log for log in logs if connection.execute(_INSERT_LOG, log.row()).rowcount]
            if self.floor >= 0:
                self._drop(connection, -1, self.floor)
            return [log for log in new if log.block > self.floor or not set(self._ours).isdisjoint(log.topics)]

        return await self._database.run(work)

    async def rescope(self, scope: str) -> None:
        """What is here is now all that `scope` asks for."""
        self._scope = scope
        await self._database.execute("UPDATE index_state SET scope = ?", (scope,))

    async def roll_back(self, to: int) -> list[StoredLog]:
        """Forgets every block above `to`; returns the logs that went with them, newest first."""

        def work(connection: sqlite3.Connection) -> list[StoredLog]:
            rows = connection.execute(
                "SELECT * FROM index_logs WHERE block > ? ORDER BY block DESC, log_index DESC", (to,)
            ).fetchall()
            connection.execute("DELETE FROM index_logs WHERE block > ?", (to,))
            connection.execute("DELETE FROM index_blocks WHERE number > ?", (to,))
            connection.execute("UPDATE index_state SET floor = min(floor, ?)", (to,))
            return [_stored(row) for row in rows]

        removed = await self._database.run(work)
        self.floor = min(self.floor, to)
        return removed

    async def find(
        self,
        contract: str,
        name: str,
        topics: dict[int, bytes],
        *,
        since: int,
        until: int | None,
        limit: int,
        newest_first: bool,
    ) -> list[StoredLog]:
        """Logs of one event whose topics have the given values, in the chain's order or the reverse."""
        conditions = "".join(f" AND topic{position} = ?" for position in topics)
        order = "DESC" if newest_first else "ASC"
        rows = await self._database.rows(
            "SELECT * FROM index_logs WHERE name = ? AND contract = ? AND block BETWEEN ? AND ?"  # noqa: S608
            f"{conditions} ORDER BY block {order}, log_index {order} LIMIT ?",
            (name, contract, since, 2**62 if until is None else until, *topics.values(), limit),
        )
        return [_stored(row) for row in rows]


def _stored(row: sqlite3.Row) -> StoredLog:
    topics = tuple(topic for n in range(4) if (topic := row[f"topic{n}"]) is not None)
    return StoredLog(
        row["block_hash"],
        row["tx"],
        row["log_index"],
        row["block"],
        row["block_time"],
        row["contract"],
        row["name"],
        row["address"],
        topics,
        row["data"],
    )

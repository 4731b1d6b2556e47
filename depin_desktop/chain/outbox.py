"""The sender's rows: every transaction, and every signed attempt at it, on disk before it is broadcast."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from depin_desktop.chain.calls import Call
from depin_desktop.chain.fees import Fees
from depin_desktop.core.database import Database

SCRIPTS = (
    """
    CREATE TABLE sender_transactions (
        id INTEGER PRIMARY KEY,
        chain TEXT NOT NULL,
        account TEXT NOT NULL,
        nonce INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('sent', 'mined', 'reverted', 'lost', 'rejected')),
        key TEXT,
        purpose TEXT NOT NULL,
        name TEXT NOT NULL,
        recipient TEXT,
        data BLOB NOT NULL,
        value TEXT NOT NULL,
        gas_limit INTEGER NOT NULL,
        created_at REAL NOT NULL,
        receipt TEXT,
        failure TEXT
    );
    CREATE UNIQUE INDEX sender_keys ON sender_transactions (chain, account, key) WHERE key IS NOT NULL;
    CREATE INDEX sender_nonces ON sender_transactions (chain, account, nonce);
    CREATE INDEX sender_states ON sender_transactions (chain, account, state);
    CREATE TABLE sender_attempts (
        hash BLOB PRIMARY KEY,
        transaction_id INTEGER NOT NULL REFERENCES sender_transactions (id) ON DELETE CASCADE,
        raw BLOB NOT NULL,
        max_fee TEXT NOT NULL,
        tip TEXT NOT NULL,
        signed_at REAL NOT NULL
    );
    CREATE INDEX sender_attempts_of ON sender_attempts (transaction_id);
    """,
)
# By number, not by age: where periods last seconds, days of proofs would fill gigabytes.
KEEP_WHOLE = 500  # newest transactions that are kept with their bytes, in case the chain forgets them
RECENT_S = 60.0
KEEP_KEYS = 5000  # newest transactions whose keys and receipts are remembered


@dataclass(frozen=True)
class Attempt:
    """One signed form of a transaction; attempts at the same one differ in fees only, so one at most is mined."""

    hash: bytes
    raw: bytes = field(repr=False)
    fees: Fees = field(repr=False)
    signed_at: float


@dataclass(frozen=True)
class Draft:
    """A transaction before it has a nonce."""

    call: Call
    purpose: str
    key: str | None
    gas_limit: int


@dataclass(frozen=True)
class Row:
    """One transaction as stored; `failure` is revert data in hex once it was mined and failed."""

    id: int
    nonce: int
    state: str
    key: str | None
    purpose: str
    call: Call
    gas_limit: int
    created_at: float
    receipt: dict[str, Any] | None
    failure: str | None
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True)
class Ending:
    """How a transaction ended: its new state, with the receipt where there is one."""

    id: int
    state: str
    receipt: dict[str, Any] | None = None
    failure: str | None = None


class Outbox:
    """The rows of one account on one chain."""

    def __init__(self, database: Database, chain: str, account: str) -> None:
        self._database = database
        self._scope = (chain, account)

    async def open(self) -> None:
        """Creates or migrates the tables."""
        await self._database.migrate("sender", SCRIPTS)

    async def unfinished(self) -> list[Row]:
        """Transactions whose fate is open, lowest nonce first."""
        return await self._rows("state = 'sent' ORDER BY nonce")

    async def get(self, transaction_id: int) -> Row | None:
        """One transaction, as it is on disk now: another process may have gone on with it."""
        rows = await self._rows("id = ?", transaction_id)
        return rows[0] if rows else None

    async def by_key(self, key: str) -> Row | None:
        """The transaction that was sent under this key."""
        rows = await self._rows("key = ?", key)
        return rows[0] if rows else None

    async def mined_at(self, nonce: int) -> Row | None:
        """The transaction that was last seen mined with this nonce."""
        rows = await self._rows("nonce = ? AND state IN ('mined', 'reverted') ORDER BY id DESC LIMIT 1", nonce)
        return rows[0] if rows else None

    async def next_after_mined(self) -> int:
        """The nonce after the highest that was seen mined; 0 where there is none."""
        row = await self._database.row(
            "SELECT coalesce(max(nonce) + 1, 0) AS next FROM sender_transactions"
            " WHERE chain = ? AND account = ? AND state IN ('mined', 'reverted')",
            self._scope,
        )
        return 0 if row is None else int(row["next"])

    async def insert(
        self, draft: Draft, sign: Callable[[int], Attempt], *, at_least: int = 0, exactly: int | None = None
    ) -> Row | None:
        """Gives a transaction the next nonce, signs it and writes it; on disk when it returns.

        All in one database transaction, so that processes which share the file never use a nonce or a key twice.

        Args:
            sign: makes the first attempt, given the nonce; runs in the database's thread.
            at_least: the lowest nonce that may be free.
            exactly: this nonce and no other.

        Returns:
            None when the draft's key is in use.
        """

        def work(connection: sqlite3.Connection) -> Row | None:
            taken = "SELECT 1 FROM sender_transactions WHERE chain = ? AND account = ? AND key = ?"
            if draft.key is not None and connection.execute(taken, (*self._scope, draft.key)).fetchone() is not None:
                return None
            nonce = max(at_least, self._above_recent(connection)) if exactly is None else exactly
            attempt = sign(nonce)
            call = draft.call
            cursor = connection.execute(
                "INSERT INTO sender_transactions (chain, account, nonce, state, key, purpose, name, recipient, data,"
                " value, gas_limit, created_at) VALUES (?, ?, ?, 'sent', ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(*self._scope, nonce, draft.key, draft.purpose, call.name, call.to, call.data),
                    *(str(call.value), draft.gas_limit, attempt.signed_at),
                ),
            )
            assert cursor.lastrowid is not None
            _insert_attempt(connection, cursor.lastrowid, attempt)
            return _row(connection, self._by_id(connection, cursor.lastrowid))

        return await self._database.run(work)

    def _above_recent(self, connection: sqlite3.Connection) -> int:
        """The nonce after the highest that is open, or was used so lately that a node may not count it yet."""
        newest = connection.execute(
            "SELECT max(nonce) FROM sender_transactions WHERE chain = ? AND account = ?"
            " AND (state = 'sent' OR (state IN ('mined', 'reverted') AND created_at > ?))",
            (*self._scope, time.time() - RECENT_S),
        ).fetchone()[0]
        return 0 if newest is None else int(newest) + 1

    def _by_id(self, connection: sqlite3.Connection, row_id: int) -> sqlite3.Row:
        found: sqlite3.Row = connection.execute("SELECT * FROM sender_transactions WHERE id = ?", (row_id,)).fetchone()
        return found

    async def add_attempt(self, transaction_id: int, attempt: Attempt) -> None:
        """Writes a replacement; on disk when it returns."""
        await self._database.run(lambda connection: _insert_attempt(connection, transaction_id, attempt))

    async def end(self, endings: Sequence[Ending]) -> None:
        """Closes transactions. One that never took effect gives its key back, so that it may be sent anew.

        What another process has closed already stays as it is. Old rows are trimmed on the way.
        """

        def work(connection: sqlite3.Connection) -> None:
            for ending in endings:
                receipt = None
                if ending.receipt is not None:
                    receipt = json.dumps({name: v for name, v in ending.receipt.items() if name != "logsBloom"})
                connection.execute(
                    "UPDATE sender_transactions SET state = ?, receipt = ?, failure = ?,"
                    " key = CASE WHEN ? IN ('lost', 'rejected') THEN NULL ELSE key END WHERE id = ? AND state = 'sent'",
                    (ending.state, receipt, ending.failure, ending.state, ending.id),
                )
            self._trim(connection)

        await self._database.run(work)

    def _trim(self, connection: sqlite3.Connection) -> None:
        ours = "chain = ? AND account = ?"
        newest = connection.execute(
            f"SELECT max(nonce) FROM sender_transactions WHERE {ours}",  # noqa: S608
            self._scope,
        ).fetchone()[0]
        for condition, oldest in (("key IS NULL", newest - KEEP_WHOLE), ("1", newest - KEEP_KEYS)):
            connection.execute(
                f"DELETE FROM sender_transactions WHERE {ours} AND nonce < ? AND state != 'sent' AND {condition}",  # noqa: S608
                (*self._scope, oldest),
            )
        bulky = (
            f"SELECT id FROM sender_transactions WHERE {ours} AND nonce < ? AND state != 'sent' AND length(data) > 0"  # noqa: S608
        )
        for (row_id,) in connection.execute(bulky, (*self._scope, newest - KEEP_WHOLE)).fetchall():
            connection.execute("DELETE FROM sender_attempts WHERE transaction_id = ?", (row_id,))
            connection.execute("UPDATE sender_transactions SET data = x'' WHERE id = ?", (row_id,))

    async def reopen(self, transaction_id: int) -> None:
        """The chain forgot a mined transaction: its fate is open again."""
        await self._database.execute(
            "UPDATE sender_transactions SET state = 'sent', receipt = NULL, failure = NULL WHERE id = ?",
            (transaction_id,),
        )

    async def _rows(self, condition: str, *parameters: object) -> list[Row]:
        def work(connection: sqlite3.Connection) -> list[Row]:
            found = connection.execute(
                f"SELECT * FROM sender_transactions WHERE chain = ? AND account = ? AND {condition}",  # noqa: S608
                (*self._scope, *parameters),
            ).fetchall()
            return [_row(connection, row) for row in found]

        return await self._database.run(work)


def _insert_attempt(connection: sqlite3.Connection, transaction_id: int, attempt: Attempt) -> None:
    connection.execute(
        "INSERT INTO sender_attempts VALUES (?, ?, ?, ?, ?, ?)",
        (
            attempt.hash,
            transaction_id,
            attempt.raw,
            str(attempt.fees.max_fee),
            str(attempt.fees.tip),
            attempt.signed_at,
        ),
    )


def _row(connection: sqlite3.Connection, row: sqlite3.Row) -> Row:
    attempts = connection.execute(
        "SELECT * FROM sender_attempts WHERE transaction_id = ? ORDER BY signed_at, rowid", (row["id"],)
    ).fetchall()
    return Row(
        id=row["id"],
        nonce=row["nonce"],
        state=row["state"],
        key=row["key"],
        purpose=row["purpose"],
        call=Call(row["recipient"], row["data"], row["name"], int(row["value"])),
        gas_limit=row["gas_limit"],
        created_at=row["created_at"],
        receipt=None if row["receipt"] is None else json.loads(row["receipt"]),
        failure=row["failure"],
        attempts=tuple(
            Attempt(a["hash"], a["raw"], Fees(int(a["max_fee"]), int(a["tip"])), a["signed_at"]) for a in attempts
        ),
    )

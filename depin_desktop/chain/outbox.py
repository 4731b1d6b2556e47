"""The sender's rows: every transaction, and every signed attempt at it, on disk before it is broadcast."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
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
KEEP_S = 90 * 86_400


@dataclass(frozen=True)
class Attempt:
    """One signed form of a transaction; attempts at the same one differ in fees only, so one at most is mined."""

    hash: bytes
    raw: bytes = field(repr=False)
    fees: Fees = field(repr=False)
    signed_at: float


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
        """Creates or migrates the tables and forgets what ended long ago."""
        await self._database.migrate("sender", SCRIPTS)
        await self._database.execute(
            "DELETE FROM sender_transactions WHERE state != 'sent' AND created_at < ?", (time.time() - KEEP_S,)
        )

    async def unfinished(self) -> list[Row]:
        """Transactions whose fate is open, lowest nonce first."""
        return await self._rows("state = 'sent' ORDER BY nonce")

    async def by_key(self, key: str) -> Row | None:
        """The transaction that was sent under this key."""
        rows = await self._rows("key = ?", key)
        return rows[0] if rows else None

    async def mined_at(self, nonce: int) -> Row | None:
        """The transaction that was last seen mined with this nonce."""
        rows = await self._rows("nonce = ? AND state IN ('mined', 'reverted') ORDER BY id DESC LIMIT 1", nonce)
        return rows[0] if rows else None

    async def insert(
        self, nonce: int, call: Call, purpose: str, key: str | None, gas_limit: int, attempt: Attempt
    ) -> int:
        """Writes a transaction with its first attempt; on disk when it returns the id."""

        def work(connection: sqlite3.Connection) -> int:
            cursor = connection.execute(
                "INSERT INTO sender_transactions (chain, account, nonce, state, key, purpose, name, recipient, data,"
                " value, gas_limit, created_at) VALUES (?, ?, ?, 'sent', ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *self._scope,
                    nonce,
                    key,
                    purpose,
                    call.name,
                    call.to,
                    call.data,
                    str(call.value),
                    gas_limit,
                    attempt.signed_at,
                ),
            )
            assert cursor.lastrowid is not None
            _insert_attempt(connection, cursor.lastrowid, attempt)
            return cursor.lastrowid

        return await self._database.run(work)

    async def add_attempt(self, transaction_id: int, attempt: Attempt) -> None:
        """Writes a replacement; on disk when it returns."""
        await self._database.run(lambda connection: _insert_attempt(connection, transaction_id, attempt))

    async def end(self, endings: Sequence[Ending]) -> None:
        """Closes transactions. One that never took effect gives its key back, so that it may be sent anew."""

        def work(connection: sqlite3.Connection) -> None:
            for ending in endings:
                receipt = None if ending.receipt is None else json.dumps(ending.receipt)
                connection.execute(
                    "UPDATE sender_transactions SET state = ?, receipt = ?, failure = ?,"
                    " key = CASE WHEN ? IN ('lost', 'rejected') THEN NULL ELSE key END WHERE id = ?",
                    (ending.state, receipt, ending.failure, ending.state, ending.id),
                )

        await self._database.run(work)

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

"""SQLite as this project uses it: WAL, one writer thread, durable commits, forward migrations per room.

Each room that keeps rows owns a namespace and a list of SQL scripts, applied in order and never edited once released.
A migrated database must equal a fresh one (`tests/unit/test_database.py` compares the schemas).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from depin_desktop.core.errors import UserFacingError

Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Result]

BUSY_TIMEOUT_S = 10.0


class Database:
    """One SQLite file. Work runs in a thread of its own, in the order it was asked for, one transaction each.

    Several processes may open the same file; each waits up to `BUSY_TIMEOUT_S` for another's transaction.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"sqlite-{path.stem}")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Opens or creates the file.

        Raises:
            UserFacingError: the file is not a usable database, or its folder cannot be written.
        """
        await self._in_thread(self._open)

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            # FULL makes every commit reach the disk: a voucher or a piece that was acknowledged survives power loss.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
        except (sqlite3.Error, OSError) as error:
            raise UserFacingError(
                f"The database {self.path} cannot be opened ({error}).",
                "Check that the folder is writable and the disk is not full.",
                code="database-unusable",
                status=500,
            ) from error
        self._connection = connection

    async def migrate(self, namespace: str, scripts: Sequence[str]) -> None:
        """Brings the tables of `namespace` to the newest version; each script is applied once, in one transaction.

        Raises:
            UserFacingError: the file was written by a newer version of the program.
        """

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_versions (namespace TEXT PRIMARY KEY, version INTEGER NOT NULL)"
            )
            row = connection.execute("SELECT version FROM schema_versions WHERE namespace = ?", (namespace,)).fetchone()
            version = 0 if row is None else int(row["version"])
            if version > len(scripts):
                raise UserFacingError(
                    f"{self.path.name} was written by a newer version of DePIN Desktop.",
                    "Install the newest version, or start with another data folder.",
                    code="database-too-new",
                )
            for script in scripts[version:]:
                for statement in _statements(script):
                    connection.execute(statement)
            connection.execute(
                "INSERT INTO schema_versions VALUES (?, ?)"
                " ON CONFLICT (namespace) DO UPDATE SET version = excluded.version",
                (namespace, len(scripts)),
            )

        await self.run(work)

    async def run(self, work: Work[Result]) -> Result:
        """Runs `work(connection)` in one transaction and returns its result once that is on disk.

        `work` runs in the database's thread: it must not touch the event loop. An exception rolls everything back.
        """
        return await self._in_thread(lambda: self._transaction(work))

    def _transaction(self, work: Work[Result]) -> Result:
        assert self._connection is not None, "open() comes first"
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(self._connection)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return result

    async def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """One statement in its own transaction; returns the number of rows changed."""
        return await self.run(lambda connection: connection.execute(sql, parameters).rowcount)

    async def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""

        def work() -> list[sqlite3.Row]:
            assert self._connection is not None, "open() comes first"
            return self._connection.execute(sql, parameters).fetchall()

        return await self._in_thread(work)

    async def row(self, sql: str, parameters: Sequence[object] = ()) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        found = await self.rows(sql, parameters)
        return found[0] if found else None

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self) -> None:
        """Finishes what was asked for and closes the file. A second call does nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._in_thread(connection.close)
        self._thread.shutdown(wait=False)


def _statements(script: str) -> list[str]:
    """Splits a script at its statements' ends; `executescript` would commit behind the transaction's back."""
    statements, current = [], ""
    for part in script.split(";"):
        current += part + ";"
        if sqlite3.complete_statement(current):  # false inside a string, a comment or a trigger's body
            statements.append(current.strip())
            current = ""
    return [statement for statement in statements if statement != ";"]

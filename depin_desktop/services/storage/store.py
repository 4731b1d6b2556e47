"""The rows of pieces, receipts and shared folders in SQLite, and the schema of the whole service.

What is under contract is in `deal_store.py`. A piece is kept while an unexpired receipt or a live place in a data set
speaks for it; the disk is the truth about bytes, these rows about whose they are.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from depin_desktop.core.database import Database
from depin_desktop.services.storage.folders import FolderConfig
from depin_desktop.services.storage.wire import Receipt

NAMESPACE = "storage"

SCHEMA = [
    """
    CREATE TABLE storage_folders (
        id TEXT PRIMARY KEY,
        path TEXT NOT NULL UNIQUE,
        allocated INTEGER NOT NULL,
        keep_free INTEGER NOT NULL,
        leaving INTEGER NOT NULL
    );
    CREATE TABLE storage_choices (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    );
    CREATE TABLE storage_pieces (
        root TEXT PRIMARY KEY,
        folder TEXT NOT NULL,
        size INTEGER NOT NULL,
        leaf_count INTEGER NOT NULL,
        state TEXT NOT NULL,
        stored_at REAL NOT NULL,
        scrubbed_at REAL NOT NULL
    );
    CREATE INDEX storage_pieces_by_scrub ON storage_pieces (state, scrubbed_at);
    CREATE TABLE storage_receipts (
        root TEXT NOT NULL,
        customer TEXT NOT NULL,
        size INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        receipt TEXT NOT NULL,
        PRIMARY KEY (root, customer)
    );
    CREATE INDEX storage_receipts_by_customer ON storage_receipts (customer, expires_at);
    CREATE TABLE storage_sets (
        id TEXT PRIMARY KEY,
        customer TEXT NOT NULL,
        price TEXT NOT NULL,
        expires INTEGER NOT NULL,
        state TEXT NOT NULL,
        escrow TEXT NOT NULL,
        paid TEXT NOT NULL,
        ends_after INTEGER,
        first_due INTEGER,
        proven_period INTEGER,
        proven_at REAL
    );
    CREATE TABLE storage_set_pieces (
        set_id TEXT NOT NULL REFERENCES storage_sets (id),
        piece_id INTEGER NOT NULL,
        root TEXT NOT NULL,
        leaf_count INTEGER NOT NULL,
        live INTEGER NOT NULL,
        PRIMARY KEY (set_id, piece_id)
    );
    CREATE INDEX storage_set_pieces_by_root ON storage_set_pieces (root, live);
    CREATE TABLE storage_proofs (
        period INTEGER NOT NULL,
        set_id TEXT NOT NULL,
        proven INTEGER NOT NULL,
        at REAL NOT NULL,
        paid TEXT NOT NULL,
        tx TEXT NOT NULL,
        detail TEXT NOT NULL,
        PRIMARY KEY (period, set_id)
    );
    """
]


class PieceState(StrEnum):
    """What is known of a piece's bytes."""

    HELD = "held"
    LOST = "lost"  # its file is not where it was stored
    DAMAGED = "damaged"  # its bytes no longer give its root; they are in quarantine


@dataclass(frozen=True)
class Piece:
    """A piece on one of our disks; `size` in bytes."""

    root: str
    folder: str
    size: int
    leaf_count: int
    state: PieceState
    stored_at: float


class PieceStore:
    """Folders, pieces and receipts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self) -> None:
        """Makes or migrates the service's tables."""
        await self._database.migrate(NAMESPACE, SCHEMA)

    # --- folders and choices

    async def folders(self) -> list[FolderConfig]:
        rows = await self._database.rows("SELECT * FROM storage_folders ORDER BY rowid")
        return [
            FolderConfig(row["id"], row["path"], row["allocated"], row["keep_free"], bool(row["leaving"]))
            for row in rows
        ]

    async def save_folder(self, config: FolderConfig) -> None:
        await self._database.execute(
            "INSERT INTO storage_folders VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            "path = excluded.path, allocated = excluded.allocated, "
            "keep_free = excluded.keep_free, leaving = excluded.leaving",
            (config.id, config.path, config.allocated, config.keep_free, int(config.leaving)),
        )

    async def drop_folder(self, folder_id: str) -> None:
        await self._database.execute("DELETE FROM storage_folders WHERE id = ?", (folder_id,))

    async def choice(self, name: str) -> str | None:
        row = await self._database.row("SELECT value FROM storage_choices WHERE name = ?", (name,))
        return None if row is None else str(row["value"])

    async def choose(self, name: str, value: str) -> None:
        await self._database.execute(
            "INSERT INTO storage_choices VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    # --- pieces and receipts

    async def piece(self, root: str) -> Piece | None:
        row = await self._database.row("SELECT * FROM storage_pieces WHERE root = ?", (root,))
        return None if row is None else _piece(row)

    async def pieces(self, roots: Iterable[str]) -> dict[str, Piece]:
        """Those of `roots` that there are rows for."""
        wanted = list(dict.fromkeys(roots))

        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            found = []
            for at in range(0, len(wanted), 500):
                part = wanted[at : at + 500]
                marks = ",".join("?" * len(part))
                query = f"SELECT * FROM storage_pieces WHERE root IN ({marks})"  # noqa: S608 (only question marks)
                found += connection.execute(query, part).fetchall()
            return found

        return {row["root"]: _piece(row) for row in await self._database.run(work)}

    async def pieces_in(self, folder: str) -> list[Piece]:
        rows = await self._database.rows("SELECT * FROM storage_pieces WHERE folder = ?", (folder,))
        return [_piece(row) for row in rows]

    async def acknowledge(self, piece: Piece, receipt: Receipt) -> None:
        """Records a stored piece and the receipt about to be given, or another receipt for a piece that is there.

        A row left over from a lost or damaged copy is replaced by the new one.
        """

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(f"INSERT OR REPLACE {_PIECE}", _values(piece))
            connection.execute(
                "INSERT OR REPLACE INTO storage_receipts VALUES (?, ?, ?, ?, ?)",
                (receipt.root, receipt.customer, receipt.size, receipt.expires_at, receipt.model_dump_json()),
            )

        await self._database.run(work)

    async def adopt(self, pieces: Sequence[Piece], until: int) -> None:
        """Takes pieces that lie on the disk without a row into care until `until`, for nobody in particular."""

        def work(connection: sqlite3.Connection) -> None:
            # A row in a folder that is no longer shared, or of a lost copy, gives way to the piece that is there.
            connection.executemany(
                f"INSERT {_PIECE} {_OR_TAKE_OVER}",
                [_values(piece) for piece in pieces],
            )
            connection.executemany(
                "INSERT OR IGNORE INTO storage_receipts VALUES (?, '', ?, ?, '')",
                [(piece.root, piece.size, until) for piece in pieces],
            )

        await self._database.run(work)

    async def set_state(self, roots: Sequence[str], state: PieceState) -> None:
        await self._database.run(
            lambda connection: connection.executemany(
                "UPDATE storage_pieces SET state = ? WHERE root = ?", [(state.value, root) for root in roots]
            )
        )

    async def unpaid_bytes(self, customer: str, now: float) -> int:
        """Bytes with an unexpired receipt for `customer` that are in none of its data sets."""
        row = await self._database.row(
            "SELECT COALESCE(SUM(size), 0) AS bytes FROM storage_receipts WHERE customer = ? AND expires_at > ?",
            (customer, int(now)),
        )
        return 0 if row is None else int(row["bytes"])

    async def receipt(self, root: str, customer: str, now: float) -> Receipt | None:
        """The unexpired receipt that `customer` has for a piece."""
        row = await self._database.row(
            "SELECT receipt FROM storage_receipts WHERE root = ? AND customer = ? AND expires_at > ?",
            (root, customer, int(now)),
        )
        return None if row is None else Receipt.model_validate_json(row["receipt"])

    async def hold(self, roots: Sequence[str], seconds: int, now: float | None = None) -> None:
        """Keeps pieces for `seconds` more, whoever's they are."""
        until = int((time.time() if now is None else now) + seconds)
        await self._database.run(
            lambda connection: connection.executemany(
                "INSERT INTO storage_receipts SELECT root, '', size, ?, '' FROM storage_pieces WHERE root = ? "
                "ON CONFLICT (root, customer) DO UPDATE SET expires_at = MAX(expires_at, excluded.expires_at)",
                [(until, root) for root in roots],
            )
        )

    async def unclaimed(self, now: float, limit: int = 1000) -> list[Piece]:
        """Pieces that neither an unexpired receipt nor a data set speaks for; expired receipts are dropped."""

        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            connection.execute("DELETE FROM storage_receipts WHERE expires_at <= ?", (int(now),))
            return connection.execute(f"SELECT * FROM storage_pieces p WHERE {_UNCLAIMED} LIMIT ?", (limit,)).fetchall()  # noqa: S608

        return [_piece(row) for row in await self._database.run(work)]

    async def forget(self, root: str) -> bool:
        """Drops an unclaimed piece's row; false when somebody claimed it meanwhile."""
        query = f"DELETE FROM storage_pieces AS p WHERE root = ? AND {_UNCLAIMED}"  # noqa: S608 (a constant)
        return await self._database.execute(query, (root,)) == 1

    async def next_to_scrub(self, before: float) -> Piece | None:
        """The held piece that was longest not looked at, if that was before `before`."""
        row = await self._database.row(
            "SELECT * FROM storage_pieces WHERE state = 'held' AND scrubbed_at < ? ORDER BY scrubbed_at LIMIT 1",
            (before,),
        )
        return None if row is None else _piece(row)

    async def scrubbed(self, root: str, at: float) -> None:
        await self._database.execute("UPDATE storage_pieces SET scrubbed_at = ? WHERE root = ?", (at, root))

    async def damaged(self) -> int:
        """Pieces under contract whose bytes are lost or damaged."""
        row = await self._database.row(
            "SELECT COUNT(*) AS number FROM storage_pieces p WHERE state != 'held' AND EXISTS "
            "(SELECT 1 FROM storage_set_pieces s WHERE s.root = p.root AND s.live)"
        )
        return 0 if row is None else int(row["number"])


_UNCLAIMED = (
    "NOT EXISTS (SELECT 1 FROM storage_receipts r WHERE r.root = p.root) "
    "AND NOT EXISTS (SELECT 1 FROM storage_set_pieces s WHERE s.root = p.root AND s.live)"
)


_PIECE = "INTO storage_pieces VALUES (?, ?, ?, ?, ?, ?, ?)"

_OR_TAKE_OVER = (
    "ON CONFLICT (root) DO UPDATE SET folder = excluded.folder, size = excluded.size, "
    "leaf_count = excluded.leaf_count, state = excluded.state WHERE storage_pieces.state != 'held' "
    "OR storage_pieces.folder NOT IN (SELECT id FROM storage_folders)"
)


def _values(piece: Piece) -> tuple[object, ...]:
    """A row's values; a piece that was just sealed counts as just scrubbed."""
    at = piece.stored_at
    return (piece.root, piece.folder, piece.size, piece.leaf_count, piece.state.value, at, at)


def _piece(row: sqlite3.Row) -> Piece:
    return Piece(row["root"], row["folder"], row["size"], row["leaf_count"], PieceState(row["state"]), row["stored_at"])

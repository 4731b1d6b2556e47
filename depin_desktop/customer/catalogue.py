"""What this customer has stored, and puts under way: enough to list, to remove, and to go on after an interruption.

`customer.sqlite` holds the keys of all files (inside their locators); it is readable by its user only.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict

from depin_desktop.api.models import Money
from depin_desktop.core.database import Database

NAMESPACE = "catalogue"
SCRIPTS = (
    """
    CREATE TABLE files (
        locator TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        size INTEGER NOT NULL,
        needed INTEGER NOT NULL,
        total INTEGER NOT NULL,
        stored_at REAL NOT NULL,
        expires_at REAL NOT NULL,
        cost TEXT NOT NULL,
        removed_at REAL
    );
    CREATE TABLE file_pieces (
        locator TEXT NOT NULL REFERENCES files (locator) ON DELETE CASCADE,
        owner TEXT NOT NULL,
        set_id BLOB NOT NULL,
        piece_id INTEGER NOT NULL,
        removed INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (set_id, piece_id)
    );
    CREATE TABLE uploads (
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        name TEXT NOT NULL,
        key BLOB NOT NULL,
        size INTEGER NOT NULL,
        needed INTEGER NOT NULL,
        total INTEGER NOT NULL,
        segment_bytes INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        created_at REAL NOT NULL
    );
    CREATE TABLE upload_slots (
        upload INTEGER NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
        slot INTEGER NOT NULL,
        owner TEXT NOT NULL,
        PRIMARY KEY (upload, slot)
    );
    CREATE TABLE upload_segments (
        upload INTEGER NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
        segment INTEGER NOT NULL,
        id BLOB NOT NULL,
        roots BLOB NOT NULL,
        PRIMARY KEY (upload, segment)
    );
    CREATE TABLE upload_pieces (
        upload INTEGER NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
        segment INTEGER NOT NULL,
        slot INTEGER NOT NULL,
        owner TEXT NOT NULL,
        root BLOB NOT NULL,
        leaf_count INTEGER NOT NULL,
        kept_until REAL NOT NULL,
        sending INTEGER NOT NULL DEFAULT 0,
        set_id BLOB,
        piece_id INTEGER,
        PRIMARY KEY (upload, segment, slot)
    );
    """,
)

MANIFEST = -1
"""The segment number under which the manifest's pieces are kept."""
RECEIPT_MARGIN_S = 300
"""A receipt that ends sooner is not relied on: the piece is sent again."""


class StoredFile(BaseModel):
    """A file that this customer has stored. Sizes in bytes, times in Unix seconds, money in base units.

    Attributes:
        cost: what was put into escrow for keeping it; what is not earned by providers comes back.
        transfer_s, chain_s: how long this put took, apart; 0 in a listing.
    """

    model_config = ConfigDict(frozen=True)

    locator: str
    name: str
    size: int
    needed: int
    total: int
    stored_at: float
    expires_at: float
    cost: Money = 0
    transfer_s: float = 0.0
    chain_s: float = 0.0


@dataclass(frozen=True)
class UploadRow:
    """A put under way."""

    id: int
    source: str
    fingerprint: str
    name: str
    key: bytes
    size: int
    needed: int
    total: int
    segment_bytes: int
    expires: int
    created_at: float


@dataclass(frozen=True)
class SegmentRow:
    """A segment whose ciphertext is fixed: its id, and the roots of its pieces, 32 bytes each, one after the other."""

    segment: int
    id: bytes
    roots: bytes


@dataclass(frozen=True)
class PieceRow:
    """A piece that a provider has acknowledged; `set_id` and `piece_id` once it is in a data set."""

    segment: int
    slot: int
    owner: str
    root: bytes
    leaf_count: int
    kept_until: float
    sending: bool = False
    set_id: bytes | None = None
    piece_id: int | None = None


class Catalogue:
    """The customer's rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self) -> None:
        await self._database.migrate(NAMESPACE, SCRIPTS)

    # --- files ----------------------------------------------------------------------------------------------------

    async def files(self) -> list[StoredFile]:
        """What is stored and neither removed nor expired, newest first."""
        rows = await self._database.rows(
            "SELECT * FROM files WHERE removed_at IS NULL ORDER BY stored_at DESC, locator", ()
        )
        return [_file(row) for row in rows]

    async def find(self, what: str) -> StoredFile | None:
        """The newest file with this locator or name."""
        row = await self._database.row(
            "SELECT * FROM files WHERE (locator = ? OR name = ?) AND removed_at IS NULL"
            " ORDER BY stored_at DESC LIMIT 1",
            (what, what),
        )
        return None if row is None else _file(row)

    async def pieces_of(self, locator: str) -> list[tuple[str, bytes, int]]:
        """Owner, set and id of every piece of a file that is not removed yet."""
        rows = await self._database.rows(
            "SELECT owner, set_id, piece_id FROM file_pieces WHERE locator = ? AND NOT removed"
            " ORDER BY owner, piece_id",
            (locator,),
        )
        return [(row["owner"], row["set_id"], row["piece_id"]) for row in rows]

    async def pieces_removed(self, set_id: bytes, piece_ids: Sequence[int]) -> None:
        """Notes that pieces are queued for removal."""

        await self._change_all(
            "UPDATE file_pieces SET removed = 1 WHERE set_id = ? AND piece_id = ?",
            [(set_id, piece_id) for piece_id in piece_ids],
        )

    async def removed(self, locator: str) -> None:
        """Takes a file off the list."""
        await self._database.execute("UPDATE files SET removed_at = ? WHERE locator = ?", (time.time(), locator))

    # --- puts under way -------------------------------------------------------------------------------------------

    async def begin(self, upload: UploadRow, owners: Sequence[str]) -> UploadRow:
        """Writes a new put and the providers of its slots; returns it with its id."""

        def work(connection: sqlite3.Connection) -> UploadRow:
            columns = (
                upload.source,
                upload.fingerprint,
                upload.name,
                upload.key,
                upload.size,
                upload.needed,
                upload.total,
                upload.segment_bytes,
                upload.expires,
                upload.created_at,
            )
            cursor = connection.execute(
                "INSERT INTO uploads (source, fingerprint, name, key, size, needed, total, segment_bytes, expires,"
                " created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                columns,
            )
            connection.executemany(
                "INSERT INTO upload_slots VALUES (?, ?, ?)",
                [(cursor.lastrowid, slot, owner) for slot, owner in enumerate(owners)],
            )
            return replace(upload, id=cursor.lastrowid or 0)

        return await self._database.run(work)

    async def interrupted(self, source: str, fingerprint: str, name: str, needed: int, total: int) -> UploadRow | None:
        """The newest unfinished put of the same file with the same code."""
        row = await self._database.row(
            "SELECT * FROM uploads WHERE source = ? AND fingerprint = ? AND name = ? AND needed = ? AND total = ?"
            " ORDER BY id DESC LIMIT 1",
            (source, fingerprint, name, needed, total),
        )
        return None if row is None else UploadRow(*(row[name] for name in UploadRow.__dataclass_fields__))

    async def slots(self, upload: int) -> list[str]:
        """The owner of each slot."""
        rows = await self._database.rows("SELECT owner FROM upload_slots WHERE upload = ? ORDER BY slot", (upload,))
        return [row["owner"] for row in rows]

    async def replace_slot(self, upload: int, slot: int, owner: str) -> None:
        """Gives a slot to another provider; what the former one holds for it counts no more."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE upload_slots SET owner = ? WHERE upload = ? AND slot = ?", (owner, upload, slot))
            connection.execute("DELETE FROM upload_pieces WHERE upload = ? AND slot = ?", (upload, slot))

        await self._database.run(work)

    async def segments(self, upload: int) -> dict[int, SegmentRow]:
        rows = await self._database.rows("SELECT segment, id, roots FROM upload_segments WHERE upload = ?", (upload,))
        return {row["segment"]: SegmentRow(row["segment"], row["id"], row["roots"]) for row in rows}

    async def fix_segment(self, upload: int, segment: SegmentRow) -> None:
        """Writes what a segment's ciphertext is, before any of it is acknowledged; pieces of another count no more."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM upload_pieces WHERE upload = ? AND segment = ?", (upload, segment.segment))
            connection.execute(
                "INSERT OR REPLACE INTO upload_segments VALUES (?, ?, ?, ?)",
                (upload, segment.segment, segment.id, segment.roots),
            )

        await self._database.run(work)

    async def pieces(self, upload: int) -> dict[tuple[int, int], PieceRow]:
        """Acknowledged pieces that can be relied on, by segment and slot."""
        rows = await self._database.rows(
            "SELECT * FROM upload_pieces WHERE upload = ? AND (set_id IS NOT NULL OR sending OR kept_until > ?)",
            (upload, time.time() + RECEIPT_MARGIN_S),
        )
        fields = PieceRow.__dataclass_fields__
        found = [PieceRow(**{name: row[name] for name in fields}) for row in rows]
        return {(piece.segment, piece.slot): piece for piece in found}

    async def acknowledged(self, upload: int, piece: PieceRow) -> None:
        """Writes a provider's receipt for a piece."""
        await self._database.execute(
            "INSERT OR REPLACE INTO upload_pieces (upload, segment, slot, owner, root, leaf_count, kept_until)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (upload, piece.segment, piece.slot, piece.owner, piece.root, piece.leaf_count, piece.kept_until),
        )

    async def sending(self, upload: int, pieces: Sequence[PieceRow]) -> None:
        """Notes that pieces are about to be put into a data set: whether they were is for the chain to tell."""
        await self._change_all(
            "UPDATE upload_pieces SET sending = 1 WHERE upload = ? AND segment = ? AND slot = ?",
            [(upload, piece.segment, piece.slot) for piece in pieces],
        )

    async def placed(self, upload: int, pieces: Sequence[PieceRow]) -> None:
        """Writes where pieces are in their data sets."""
        await self._change_all(
            "UPDATE upload_pieces SET set_id = ?, piece_id = ? WHERE upload = ? AND segment = ? AND slot = ?",
            [(piece.set_id, piece.piece_id, upload, piece.segment, piece.slot) for piece in pieces],
        )

    async def finish(self, upload: int, file: StoredFile) -> None:
        """Turns a put into a stored file."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                (
                    file.locator,
                    file.name,
                    file.size,
                    file.needed,
                    file.total,
                    file.stored_at,
                    file.expires_at,
                    str(file.cost),
                ),
            )
            connection.execute(
                "INSERT OR REPLACE INTO file_pieces (locator, owner, set_id, piece_id)"
                " SELECT ?, owner, set_id, piece_id FROM upload_pieces WHERE upload = ? AND set_id IS NOT NULL",
                (file.locator, upload),
            )
            connection.execute("DELETE FROM uploads WHERE id = ?", (upload,))

        await self._database.run(work)

    async def lost(self, upload: int, pieces: Sequence[PieceRow]) -> None:
        """Notes that a provider no longer has what it had acknowledged."""
        await self._change_all(
            "DELETE FROM upload_pieces WHERE upload = ? AND segment = ? AND slot = ? AND set_id IS NULL",
            [(upload, piece.segment, piece.slot) for piece in pieces],
        )

    async def _change_all(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """One statement for each row, in one transaction."""

        def work(connection: sqlite3.Connection) -> None:
            # The cursor must not leave this thread: SQLite would see it closed in another one.
            connection.executemany(sql, rows)

        await self._database.run(work)

    async def forget(self, upload: int) -> None:
        """Gives a put up; what providers hold of it expires by itself."""
        await self._database.execute("DELETE FROM uploads WHERE id = ?", (upload,))


def _file(row: sqlite3.Row) -> StoredFile:
    return StoredFile(
        locator=row["locator"],
        name=row["name"],
        size=row["size"],
        needed=row["needed"],
        total=row["total"],
        stored_at=row["stored_at"],
        expires_at=row["expires_at"],
        cost=int(row["cost"]),
    )

"""The files of one shared folder. Everything lies in `depin-storage/` inside it and nothing outside is ever touched.

    node.json                 whose folder this is
    pieces/ab/<root>.piece    a piece, as the customer sent it
    pieces/ab/<root>.layer    its cached tree layer; can be computed again at any time
    tmp/*.part                uploads under way; removed at start
    quarantine/<root>.piece   pieces whose bytes no longer fit their root, kept for the owner to look at

All functions block: call them in a thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from depin_desktop.core.files import write_atomically
from depin_desktop.sealing import Seal, Sealer
from depin_desktop.services.storage import posix

FOLDER = "depin-storage"
MARKER = "node.json"
FAN_OUT = [f"{value:02x}" for value in range(256)]
WRITE_BACK_BYTES = 8 * 2**20


class Marker(NamedTuple):
    """What `node.json` says: the node that the folder belongs to, and the folder's own name in that node's rows."""

    node_id: str
    folder_id: str


class PieceFiles:
    """Names and moves of the files below one shared folder."""

    def __init__(self, shared: Path) -> None:
        self.shared = shared
        self.root = shared / FOLDER
        self.marker = self.root / MARKER
        self.temporary = self.root / "tmp"
        self.quarantined = self.root / "quarantine"
        self._pieces = self.root / "pieces"

    def piece(self, root: str) -> Path:
        return self._pieces / root[:2] / f"{root}.piece"

    def layer(self, root: str) -> Path:
        return self._pieces / root[:2] / f"{root}.layer"

    def read_marker(self) -> Marker:
        """Whose folder this is.

        Raises:
            OSError: there is no marker, or it cannot be read.
            ValueError: it is not a marker.
        """
        found = json.loads(self.marker.read_text("utf-8"))
        try:
            return Marker(str(found["node_id"]), str(found["folder_id"]))
        except (KeyError, TypeError) as error:
            raise ValueError("not a marker") from error

    def prepare(self, marker: Marker) -> None:
        """Makes the folders and the marker where they are missing, durable when it returns.

        Raises:
            OSError: the place cannot be written.
        """
        for folder in (self._pieces, self.temporary, self.quarantined):
            folder.mkdir(parents=True, exist_ok=True)
        for name in FAN_OUT:
            (self._pieces / name).mkdir(exist_ok=True)
        posix.sync_folder(self._pieces)
        if not self.marker.exists():
            write_atomically(self.marker, json.dumps(marker._asdict()).encode())
        posix.sync_folder(self.root)
        posix.sync_folder(self.shared)

    def clean(self) -> None:
        """Removes what unfinished uploads left behind; nothing of it was acknowledged."""
        for path in self.temporary.glob("*.part"):
            with contextlib.suppress(OSError):  # a disk that became read-only: they stay until it is writable
                path.unlink(missing_ok=True)

    def scan(self) -> dict[str, int]:
        """Root and size of every piece that is there."""
        found: dict[str, int] = {}
        for name in FAN_OUT:
            with contextlib.suppress(FileNotFoundError), os.scandir(self._pieces / name) as entries:
                for entry in entries:
                    root, dot, kind = entry.name.partition(".")
                    if dot and kind == "piece" and len(root) == 64:
                        found[root] = entry.stat().st_size
        return found

    def disk_free(self) -> int:
        """Bytes that this process may still write on the disk."""
        return shutil.disk_usage(self.root).free

    def open_piece(self, root: str) -> BinaryIO:
        return open(self.piece(root), "rb", buffering=0)

    def read_layer(self, root: str) -> bytes:
        """The cached layer, empty where there is none."""
        try:
            return self.layer(root).read_bytes()
        except OSError:
            return b""

    def write_layer(self, root: str, layer: bytes) -> None:
        """Replaces the cached layer. Not synced: a layer that a crash damaged is noticed when proving, and rebuilt."""
        path = self.layer(root)
        if not layer:
            path.unlink(missing_ok=True)
            return
        part = self.temporary / f"{uuid.uuid4().hex}.part"
        part.write_bytes(layer)
        os.replace(part, path)

    def remove(self, root: str) -> None:
        """Deletes a piece, also from quarantine; one that is gone already is no error."""
        for path in (self.layer(root), self.piece(root), self.quarantined / f"{root}.piece"):
            path.unlink(missing_ok=True)

    def quarantine(self, root: str) -> None:
        """Takes a damaged piece out of service and keeps its bytes."""
        self.layer(root).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.replace(self.piece(root), self.quarantined / f"{root}.piece")

    def dissolve(self) -> None:
        """Removes our folder when nothing of value is left in it; other things inside stay, with the folder."""
        self.clean()
        self.marker.unlink(missing_ok=True)
        for folder in [*(self._pieces / name for name in FAN_OUT), self._pieces, self.temporary, self.quarantined]:
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(OSError):
            self.root.rmdir()


class PieceWriter:
    """One upload: bytes to a temporary file and through the sealer, then durable under its root, or gone."""

    def __init__(self, files: PieceFiles) -> None:
        """Creates the temporary file.

        Raises:
            OSError: the folder is gone or cannot be written.
        """
        self._files = files
        self._path = files.temporary / f"{uuid.uuid4().hex}.part"
        self._file = open(self._path, "xb", buffering=0)  # noqa: SIM115 (closed by store or discard)
        self._sealer = Sealer()
        self._started = 0

    def write(self, chunks: Sequence[bytes]) -> None:
        """Appends `chunks`. Raises OSError (ENOSPC when the disk is full)."""
        data = memoryview(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        self._sealer.update(data)
        while data:
            data = data[self._file.write(data) :]
        if self._sealer.size - self._started >= WRITE_BACK_BYTES:
            posix.start_writing(self._file.fileno(), self._started, self._sealer.size - self._started)
            self._started = self._sealer.size

    def seal(self) -> Seal:
        """The seal of everything written; ValueError when that is nothing."""
        return self._sealer.finish()

    def store(self, root: str, seal: Seal) -> None:
        """Makes the piece durable under its root: fsync of the file, rename, fsync of the folder.

        Raises:
            OSError: the disk failed; call `discard`.
        """
        os.fsync(self._file.fileno())
        self._file.close()
        self._files.write_layer(root, seal.layer)
        target = self._files.piece(root)
        os.replace(self._path, target)
        posix.sync_folder(target.parent)

    def discard(self) -> None:
        """Removes the temporary file; never fails, what stays is removed at the next start."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

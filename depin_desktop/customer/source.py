"""The file that is being stored: what identifies it, and its segments as sealed pieces. Blocking; for threads."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer import coding, crypto
from depin_desktop.customer.layout import Geometry, segment_size
from depin_desktop.sealing import seal

HEAD_BYTES = 64 * 1024


@dataclass(frozen=True)
class Piece:
    """One sealed share, ready to be sent."""

    root: bytes
    leaf_count: int
    data: memoryview


@dataclass(frozen=True)
class Source:
    """A file on disk as it was when the put began.

    Attributes:
        fingerprint: size, time of change and a hash of the head: the same file, as far as can be told at a glance.
    """

    path: Path
    size: int
    fingerprint: str

    @staticmethod
    def look(path: Path) -> Source:
        """Reads what identifies the file.

        Raises:
            UserFacingError: there is no such file, or it cannot be read.
        """
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                head = file.read(HEAD_BYTES)
        except OSError as error:
            raise UserFacingError(
                f"{path} cannot be read ({error.strerror or error}).",
                "Check the name and that you may read it.",
                code="unreadable-file",
            ) from error
        digest = hashlib.sha256(head).hexdigest()[:32]
        return Source(path, status.st_size, f"{status.st_size}:{status.st_mtime_ns}:{digest}")

    def read(self, start: int, length: int) -> bytearray:
        """`length` bytes from `start`.

        Raises:
            UserFacingError: the file has become shorter or cannot be read any more.
        """
        data = bytearray(length)
        view, got = memoryview(data), 0
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(start)
                while got < length and (count := file.readinto(view[got:])):
                    got += count
        except OSError as error:
            raise UserFacingError(
                f"{self.path} cannot be read ({error.strerror or error}).", "Check the disk.", code="unreadable-file"
            ) from error
        if got < length:
            raise UserFacingError(
                f"{self.path} has become shorter while it was being stored.",
                "Store it again when nothing changes it.",
                code="file-changed",
                status=409,
            )
        return data

    def pieces(
        self, index: int, segment_bytes: int, key: bytes, segment_id: bytes, code: tuple[int, int]
    ) -> list[Piece]:
        """One segment read, encrypted, coded and sealed: a piece for each slot."""
        needed, total = code
        plain = self.read(index * segment_bytes, segment_size(self.size, index, segment_bytes))
        geometry = Geometry(len(plain), needed)
        sealed = bytearray(geometry.share * needed)
        crypto.SegmentCipher(key, segment_id, index, geometry).encrypt(plain, memoryview(sealed))
        shares = coding.encode(sealed, geometry.share, needed, total)
        if needed == 1:
            return [sealed_piece(shares[0])] * total
        return [sealed_piece(share) for share in shares]


def sealed_piece(data: coding.Buffer) -> Piece:
    """A piece of these bytes."""
    sealed = seal(data)
    return Piece(sealed.root, sealed.leaf_count, memoryview(data))

"""The file that is being stored: what identifies it, and its segments as sealed pieces. Blocking; for threads."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer import coding, crypto
from depin_desktop.customer.layout import Geometry, segment_size
from depin_desktop.sealing import seal

HEAD_BYTES = 64 * 1024
CHUNKS_AT_ONCE = 4


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

    def pieces(
        self, index: int, segment_bytes: int, key: bytes, segment_id: bytes, code: tuple[int, int], sealed: memoryview
    ) -> list[Piece]:
        """One segment read, encrypted, coded and sealed: a piece for each slot.

        Args:
            sealed: memory for its first k shares, in which the pieces then are.

        Raises:
            UserFacingError: the file has become shorter or cannot be read any more.
        """
        needed, total = code
        geometry = Geometry(segment_size(self.size, index, segment_bytes), needed)
        cipher = crypto.SegmentCipher(key, segment_id, index, geometry)
        try:
            self._encrypt(index * segment_bytes, geometry, cipher, sealed)
        except OSError as error:
            raise UserFacingError(
                f"{self.path} cannot be read ({error.strerror or error}).", "Check the disk.", code="unreadable-file"
            ) from error
        sealed[geometry.sealed :] = bytes(len(sealed) - geometry.sealed)
        shares = coding.encode(sealed, geometry.share, needed, total)
        if needed == 1:
            return [sealed_piece(shares[0])] * total
        return [sealed_piece(share) for share in shares]

    def _encrypt(self, start: int, geometry: Geometry, cipher: crypto.SegmentCipher, out: memoryview) -> None:
        scratch = memoryview(bytearray(min(geometry.size, CHUNKS_AT_ONCE * geometry.chunk)))
        with self.path.open("rb", buffering=0) as file:
            file.seek(start)
            for chunks in geometry.groups(range(geometry.chunks), CHUNKS_AT_ONCE):
                low, high = geometry.plain_span(chunks.start)[0], geometry.plain_span(chunks.stop - 1)[1]
                part = scratch[: high - low]
                self._fill(file, part)
                cipher.encrypt(chunks, part, out)

    def _fill(self, file: io.FileIO, part: memoryview) -> None:
        got = 0
        while got < len(part):
            count = file.readinto(part[got:])
            if not count:
                raise UserFacingError(
                    f"{self.path} has become shorter while it was being stored.",
                    "Store it again when nothing changes it.",
                    code="file-changed",
                    status=409,
                )
            got += count


def sealed_piece(data: coding.Buffer) -> Piece:
    """A piece of these bytes."""
    sealed = seal(data)
    return Piece(sealed.root, sealed.leaf_count, memoryview(data))

"""A locator: one word that finds, fetches and opens a stored file. Whoever has it can read the file.

`depin:1` and base64url of: key (32 bytes), manifest root (32), manifest size (8), k, n, the owners of the providers
that hold the manifest (20 each), and 4 bytes of SHA-256 over all that: a mistyped word is told from a lost file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass, field

from eth_utils.address import to_checksum_address

from depin_desktop.core.errors import UserFacingError

PREFIX = "depin:1"
_HEAD = struct.Struct(">32s32sQBB")
_CHECK_BYTES = 4


@dataclass(frozen=True)
class Locator:
    """What is needed to get a file back.

    Attributes:
        key: the file's key; never printed by accident.
        root: of the manifest's piece.
        size: bytes of the manifest's piece.
        owners: providers that hold the manifest, EIP-55.
    """

    key: bytes = field(repr=False)
    root: bytes
    size: int
    needed: int
    total: int
    owners: tuple[str, ...]

    def __str__(self) -> str:
        body = _HEAD.pack(self.key, self.root, self.size, self.needed, self.total)
        body += b"".join(bytes.fromhex(owner[2:]) for owner in self.owners)
        return PREFIX + base64.urlsafe_b64encode(body + _check(body)).decode().rstrip("=")

    @staticmethod
    def parse(text: str) -> Locator:
        """Reads a locator.

        Raises:
            UserFacingError: it is none, or was damaged on its way.
        """
        text = text.strip()
        if not text.startswith("depin:"):
            raise _bad("It does not begin with “depin:”.")
        if not text.startswith(PREFIX):
            raise _bad("It was made by a newer version of this program.")
        try:
            packed = text[len(PREFIX) :]
            raw = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _bad("It holds characters that a locator never has.") from None
        body, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
        owners = body[_HEAD.size :]
        if len(body) < _HEAD.size + 20 or len(owners) % 20 or check != _check(body):
            raise _bad("Part of it is missing or changed.")
        key, root, size, needed, total = _HEAD.unpack(body[: _HEAD.size])
        addresses = tuple(to_checksum_address(owners[at : at + 20]) for at in range(0, len(owners), 20))
        return Locator(key, root, size, needed, total, addresses)


def _check(body: bytes) -> bytes:
    return hashlib.sha256(b"depin locator" + body).digest()[:_CHECK_BYTES]


def _bad(reason: str) -> UserFacingError:
    return UserFacingError(f"This is not a locator: {reason}", "Copy the whole word again.", code="bad-locator")

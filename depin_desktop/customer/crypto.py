"""Encryption of files: AES-256-GCM in chunks, so that any range can be read and checked by itself.

Each file has a fresh key, each segment a key derived from it by a random id, each chunk a counter as its nonce. The
associated data binds a chunk to its segment's place and length, so chunks and segments cannot be swapped or cut off.
A nonce is never used for two plaintexts: what is encrypted again is either the same bytes or gets a new segment id.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
import zlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from depin_desktop.customer.layout import Geometry

KEY_BYTES = 32
SEGMENT_ID_BYTES = 16
_MANIFEST_FORMAT = b"\x01"
_MAX_MANIFEST_BYTES = 1 << 28

Buffer = bytes | bytearray | memoryview


class Tampered(Exception):
    """Ciphertext that was not made with this key, or not for this place. `chunk` is its number in the segment."""

    def __init__(self, chunk: int = 0) -> None:
        super().__init__(f"chunk {chunk} does not verify")
        self.chunk = chunk


def new_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)


def new_segment_id() -> bytes:
    return secrets.token_bytes(SEGMENT_ID_BYTES)


class SegmentCipher:
    """Encrypts and decrypts the chunks of one segment.

    Args:
        key: the file's key.
        segment_id: the segment's random id.
        index: its place in the file.
    """

    def __init__(self, key: bytes, segment_id: bytes, index: int, geometry: Geometry) -> None:
        self._aes = AESGCM(hmac.digest(key, b"depin segment\0" + segment_id, hashlib.sha256))
        self._bound = struct.pack(">QQ", index, geometry.size)
        self._geometry = geometry

    def encrypt(self, chunks: range, plain: Buffer, out: memoryview) -> None:
        """Encrypts consecutive chunks, whose plaintext is `plain`, to their places in the whole ciphertext `out`."""
        source, layout = memoryview(plain), self._geometry
        base = layout.plain_span(chunks.start)[0]
        for chunk in chunks:
            start, end = layout.plain_span(chunk)
            at = layout.sealed_offset(chunk)
            self._aes.encrypt_into(
                _nonce(chunk), source[start - base : end - base], self._bound, out[at : at + end - start + layout.tag]
            )

    def decrypt(self, chunk: int, sealed: Buffer, out: memoryview) -> None:
        """Decrypts one chunk into `out`.

        Raises:
            Tampered: it does not verify; `out` holds nothing to be used then.
        """
        try:
            self._aes.decrypt_into(_nonce(chunk), sealed, self._bound, out)
        except (InvalidTag, ValueError):
            raise Tampered(chunk) from None


def _nonce(chunk: int) -> bytes:
    return chunk.to_bytes(12, "big")


def seal_manifest(key: bytes, document: bytes) -> bytes:
    """The manifest compressed and encrypted. The nonce follows from the document, so the same one seals the same."""
    nonce = hmac.digest(key, b"depin manifest nonce\0" + document, hashlib.sha256)[:12]
    return _MANIFEST_FORMAT + nonce + _manifest_cipher(key).encrypt(nonce, zlib.compress(document), _MANIFEST_FORMAT)


def open_manifest(key: bytes, sealed: bytes) -> bytes:
    """The manifest's document.

    Raises:
        Tampered: not a manifest, or not of this key.
    """
    if not sealed.startswith(_MANIFEST_FORMAT):
        raise Tampered
    try:
        packed = _manifest_cipher(key).decrypt(sealed[1:13], sealed[13:], _MANIFEST_FORMAT)
        return zlib.decompressobj().decompress(packed, _MAX_MANIFEST_BYTES)
    except (InvalidTag, ValueError, zlib.error):
        raise Tampered from None


def _manifest_cipher(key: bytes) -> AESGCM:
    return AESGCM(hmac.digest(key, b"depin manifest\0", hashlib.sha256))

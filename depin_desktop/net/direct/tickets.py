"""What opens the direct port: a knock that gets a stranger as far as TLS, and inside it the ticket that says who calls.

Both are given over QUIC, where the caller has proven its node id, and nothing of them is kept: they carry their own
proof, made with a secret that lives as long as the process. Pure functions of bytes and the time.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct

LIFE_S = 3600
_NODE_BYTES = 32
_TAG_BYTES = 16
_TIME = struct.Struct(">Q")
_NONCE_BYTES = 8
KNOCK_BYTES = _TIME.size + _NONCE_BYTES + _TAG_BYTES
TICKET_BYTES = _TIME.size + _NODE_BYTES + _TAG_BYTES


class Tickets:
    """Makes and checks them. Times are Unix seconds."""

    def __init__(self) -> None:
        self._secret = os.urandom(32)

    def knock(self, now: float) -> bytes:
        """Travels in the clear, so it names nobody; who copies it may begin a TLS handshake and no more."""
        said = _TIME.pack(int(now) + LIFE_S) + os.urandom(_NONCE_BYTES)
        return said + self._tag(b"knock", said)

    def ticket(self, node_id: str, now: float) -> bytes:
        """Travels inside TLS only: whoever shows it is taken for `node_id` (64 hex digits)."""
        said = _TIME.pack(int(now) + LIFE_S) + bytes.fromhex(node_id)
        return said + self._tag(b"ticket", said)

    def opens(self, knock: bytes, now: float) -> bool:
        """Whether this is a knock of ours that has not expired."""
        return len(knock) == KNOCK_BYTES and self._holds(b"knock", knock, now)

    def node_of(self, ticket: bytes, now: float) -> str | None:
        """Whose ticket this is; None when it is none of ours or has expired."""
        if len(ticket) != TICKET_BYTES or not self._holds(b"ticket", ticket, now):
            return None
        return ticket[_TIME.size : -_TAG_BYTES].hex()

    def _holds(self, kind: bytes, shown: bytes, now: float) -> bool:
        said, tag = shown[:-_TAG_BYTES], shown[-_TAG_BYTES:]
        (expires,) = _TIME.unpack_from(said)
        return hmac.compare_digest(tag, self._tag(kind, said)) and bool(now < expires)

    def _tag(self, kind: bytes, said: bytes) -> bytes:
        return hmac.new(self._secret, kind + b"\0" + said, hashlib.sha256).digest()[:_TAG_BYTES]

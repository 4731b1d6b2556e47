"""What both sides of a direct connection say before HTTP begins."""

from __future__ import annotations

import asyncio
from typing import cast

from pydantic import BaseModel, ConfigDict, Field

from depin_desktop.net.direct.tickets import KNOCK_BYTES, TICKET_BYTES

PATH = "/direct"
READY = b"\x01"
HANDSHAKE_TIMEOUT_S = 5.0


class Directions(BaseModel):
    """How to come directly: the answer to `POST /direct`.

    Attributes:
        port: TCP port, on the host that QUIC reached.
        certificate: SHA-256 of the TLS certificate that will be shown, hex.
        knock: what is sent first, in the clear, hex.
        ticket: what is sent first inside TLS, hex.
        life_s: seconds for which both are good.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    port: int = Field(gt=0, lt=65536)
    certificate: str = Field(pattern="^[0-9a-f]{64}$")
    knock: str = Field(pattern=f"^[0-9a-f]{{{2 * KNOCK_BYTES}}}$")
    ticket: str = Field(pattern=f"^[0-9a-f]{{{2 * TICKET_BYTES}}}$")
    life_s: int = Field(gt=0)


class Exactly(asyncio.Protocol):
    """Reads `count` bytes of a plain connection and then stops reading; more than that breaks the connection."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._got = bytearray()
        self._transport: asyncio.Transport | None = None
        self.data: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._got += data
        if len(self._got) > self._count:
            self._transport.abort()
        elif len(self._got) == self._count and not self.data.done():
            self._transport.pause_reading()  # what follows is for TLS
            self.data.set_result(bytes(self._got))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.data.done():
            self.data.set_exception(error or ConnectionResetError("The connection was closed."))
            self.data.exception()  # read here, so that asyncio does not complain when nobody waits

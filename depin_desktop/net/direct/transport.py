"""A transport over an established TLS connection that knows which node is at its other end, as a QUIC stream does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Feed(asyncio.Protocol):
    """What the TLS connection talks to: gathers a head of known length, and then serves a `DirectTransport`.

    Bytes may arrive before the coroutine that made the connection goes on; they wait here.
    """

    def __init__(self, head_bytes: int = 0) -> None:
        self._head_bytes = head_bytes
        self._early = bytearray()
        self._user: DirectTransport | None = None
        self._lost: tuple[Exception | None] | None = None
        self.head: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def take(self, user: DirectTransport) -> None:
        """From now on `user` gets what arrives, and at once what has arrived behind the head."""
        self._user = user
        early = bytes(self._early[self._head_bytes :])
        self._early.clear()
        if early:
            user.arrived(early)
        if self._lost is not None:
            user.end(*self._lost)

    def data_received(self, data: bytes) -> None:
        if self._user is not None:
            self._user.arrived(data)
            return
        self._early += data
        if len(self._early) >= self._head_bytes and not self.head.done():
            self.head.set_result(bytes(self._early[: self._head_bytes]))

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = (error,)
        if not self.head.done():
            self.head.set_exception(error or ConnectionResetError("The connection was closed."))
            self.head.exception()  # read here, so that asyncio does not complain when nobody waits
        if self._user is not None:
            self._user.end(error)

    def pause_writing(self) -> None:
        if self._user is not None:
            self._user.get_protocol().pause_writing()

    def resume_writing(self) -> None:
        if self._user is not None:
            self._user.get_protocol().resume_writing()


class DirectTransport(asyncio.Transport):
    """Carries the bytes of one protocol; calls its `connection_made` at once.

    Args:
        tls: the connection, whose protocol is `feed`.
        node_id: the other side's node id, given by `get_extra_info("peer_node_id")`.
        on_closed: called once, after `connection_lost`.

    `last_active` is the event loop's time at which bytes last arrived or were written; `lost` is done when the
    connection has ended.
    """

    def __init__(
        self,
        tls: asyncio.Transport,
        feed: Feed,
        protocol: asyncio.Protocol,
        *,
        node_id: str,
        on_closed: Callable[[DirectTransport], None],
    ) -> None:
        super().__init__({"peer_node_id": node_id, "peername": (node_id, 0)})
        self._tls = tls
        self._protocol: asyncio.BaseProtocol = protocol
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._reading = True
        self.last_active = self._loop.time()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        protocol.connection_made(self)
        feed.take(self)

    def arrived(self, data: bytes) -> None:
        """Hands on what has come."""
        self.last_active = self._loop.time()
        if isinstance(self._protocol, asyncio.Protocol):
            self._protocol.data_received(data)

    def end(self, error: Exception | None) -> None:
        """The connection is gone."""
        if self.lost.done():
            return
        self._closing = True
        self.lost.set_result(None)
        self._protocol.connection_lost(error)
        self._on_closed(self)

    # Python 3.11's TLS transport loses its inner half when it is closed twice, and then neither aborts nor answers.

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if not self._closing:
            self.last_active = self._loop.time()
            self._tls.write(data)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._tls.close()

    def abort(self) -> None:
        self._closing = True
        self._tls.abort()

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return False  # TLS has no half-closed connections

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        self._reading = False
        if not self._closing:
            self._tls.pause_reading()

    def resume_reading(self) -> None:
        self._reading = True
        if not self._closing:
            self._tls.resume_reading()

    def get_write_buffer_size(self) -> int:
        return 0 if self._closing else self._tls.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._tls.set_write_buffer_limits(high, low)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

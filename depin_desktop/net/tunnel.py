"""A loopback TCP port behind which another node's HTTP is: for programs that know nothing of iroh.

Every TCP connection becomes one stream to the node, byte for byte, so that what speaks plain HTTP (a stock x402 client,
curl) talks to a provider as if it were on this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import cast

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.tasks import Tasks
from depin_desktop.net.peer import Peer

log = logging.getLogger(__name__)


class _End(asyncio.Protocol):
    """One end of the pipe: what arrives here is written to the other end, no faster than that takes it."""

    transport: asyncio.Transport | None = None
    other: _End

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        if self.other.transport is not None and self.other.transport.can_write_eof():
            self.other.transport.write_eof()
        return True  # the answer may still be on its way

    def pause_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport is not None:
            with contextlib.suppress(RuntimeError):
                self.other.transport.resume_reading()

    def connection_lost(self, _: Exception | None) -> None:
        self.transport = None
        if self.other.transport is not None:
            self.other.transport.close()


class Tunnel:
    """Serves one node's HTTP on 127.0.0.1 until it is closed; make it with `open`."""

    def __init__(self, peer: Peer, node_id: str, addresses: Iterable[str], relay_url: str | None) -> None:
        self._peer = peer
        self._node = (node_id, tuple(addresses), relay_url)
        self._server: asyncio.Server | None = None
        self._near: set[_End] = set()
        self._tasks = Tasks("tunnel")

    @classmethod
    async def open(
        cls, peer: Peer, node_id: str, addresses: Iterable[str], relay_url: str | None = None, *, port: int = 0
    ) -> Tunnel:
        """Listens; port 0 takes a free one.

        Raises:
            UserFacingError: the port is taken.
        """
        tunnel = cls(peer, node_id, addresses, relay_url)
        loop = asyncio.get_running_loop()
        try:
            tunnel._server = await loop.create_server(tunnel._accepted, "127.0.0.1", port)
        except OSError as error:
            raise UserFacingError(
                f"The port {port} cannot be opened ({error.strerror}).", "Choose another port.", code="port-taken"
            ) from error
        return tunnel

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def _accepted(self) -> asyncio.Protocol:
        near, far = _Near(self), _End()
        near.other, far.other = far, near
        return near

    def begin(self, near: _End) -> None:
        """A program has connected: nothing of it is read before the stream is there."""
        assert near.transport is not None
        # Not at once: Pythons before 3.11.4 begin to read only after `connection_made`, whatever was asked for in it.
        asyncio.get_running_loop().call_soon(near.transport.pause_reading)
        self._near.add(near)
        self._tasks.spawn("stream", self._join(near))

    def end(self, near: _End) -> None:
        """The program has gone."""
        self._near.discard(near)

    async def _join(self, near: _End) -> None:
        node_id, addresses, relay_url = self._node
        try:
            await self._peer.connect(near.other, node_id, addresses, relay_url)
        except (UserFacingError, OSError) as error:
            log.info("no stream to %s: %s", node_id[:8], error)
            if near.transport is not None:
                near.transport.abort()
            return
        if near.transport is not None:
            near.transport.resume_reading()
        elif near.other.transport is not None:
            near.other.transport.abort()

    async def close(self) -> None:
        """Stops listening and ends every connection."""
        if self._server is not None:
            self._server.close()
        for near in tuple(self._near):
            if near.transport is not None:
                near.transport.abort()
        await self._tasks.close()


class _Near(_End):
    """The program's end."""

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._tunnel.begin(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._tunnel.end(self)

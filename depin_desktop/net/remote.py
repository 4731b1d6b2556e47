"""One node that we call: its QUIC link, the direct way beside it, and the HTTP sessions over both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import aiohttp
import iroh
from pydantic import ValidationError

from depin_desktop.core.errors import UserFacingError
from depin_desktop.net.direct.client import DirectWay, NoWay, ip_of
from depin_desktop.net.direct.wire import PATH, Directions
from depin_desktop.net.http import NodeConnector, make_session
from depin_desktop.net.links import Link
from depin_desktop.net.stream import Spawn, StreamTransport

STREAMS_PER_NODE = 32  # a third of what a provider allows one node
ASK_TIMEOUT_S = 10.0


class Remote:
    """What belongs to one node that we call.

    Args:
        direct: look for a direct way, and let bulk transfers take it.

    `session` is for requests in general, over QUIC; `bulk` for large transfers, over TLS where the node can be reached
    that way and else over QUIC too. Both are owned by the peer: closing them does nothing.
    """

    def __init__(
        self, endpoint: iroh.Endpoint, node_id: str, spawn: Spawn, spawn_stream: Spawn, *, direct: bool
    ) -> None:
        self.node_id = node_id
        self.link = Link(endpoint, node_id, spawn)
        self._spawn = spawn
        self._spawn_stream = spawn_stream
        self._connector, self.session = _session(self.open_stream)
        self._bulk_connector, self.bulk = self._connector, self.session
        self._way: DirectWay | None = None
        if direct:
            self._bulk_connector, self.bulk = _session(self._open_bulk)
            # What waits for reuse is QUIC's: let the next request find the quicker way.
            self._way = DirectWay(node_id, self._ask, self._bulk_connector.drop_idle, spawn)

    async def directly(self) -> bool:
        """Whether bulk transfers go over TLS from now on; waits for a search that is under way."""
        if self._way is None:
            return False
        await self._way.looked()
        return self._way.is_ready

    def learn(self, addresses: tuple[str, ...], relay_url: str | None) -> None:
        """Remembers where the node can be reached now."""
        if self.link.learn(addresses, relay_url):
            self._connector.drop_idle()
            self._bulk_connector.drop_idle()
            if self._way is not None:
                self._way.forget()

    def look_for_direct_way(self) -> None:
        """Begins to look, if that makes sense now; nothing waits for it."""
        if self._way is not None:
            self._way.look()

    async def open_stream(self, protocol: asyncio.Protocol) -> None:
        """Gives `protocol` a QUIC stream. Raises UserFacingError ("peer-unreachable")."""
        stream = await self.link.open_stream()
        self.link.streams += 1
        spawn, closed = self._spawn_stream, self._closed
        StreamTransport(stream, protocol, node_id=self.node_id, spawn=spawn, on_closed=lambda _: closed())

    async def _open_bulk(self, protocol: asyncio.Protocol) -> None:
        assert self._way is not None
        self._way.look()
        if self._way.is_ready:
            try:
                await self._way.open(protocol, self._closed)
            except NoWay:
                pass
            else:
                self.link.streams += 1
                self._spawn("heartbeat", self._heartbeat())
                return
        await self.open_stream(protocol)

    async def _heartbeat(self) -> None:
        """QUIC's signs of life tell sooner than TCP that a node has gone, so it is kept while something runs."""
        with contextlib.suppress(UserFacingError):  # UDP alone may be closed by now; TCP tells in the end, too
            await self.link.living()

    def _closed(self) -> None:
        self.link.streams -= 1
        self.link.last_used = asyncio.get_running_loop().time()

    async def _ask(self) -> tuple[str, Directions]:
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                connection = await self.link.living()
                async with self.session.post(PATH) as response:
                    if response.status != 200:
                        raise NoWay("it has no direct port")
                    directions = Directions.model_validate_json(await response.read())
        except (UserFacingError, aiohttp.ClientError, ConnectionError, TimeoutError, ValidationError) as error:
            raise NoWay(type(error).__name__) from error
        here = [path for path in connection.paths() if path.is_selected and path.is_ip]
        if not here:
            raise NoWay("it is reached through a relay only")
        return ip_of(here[0].remote_addr), directions

    def tidy(self, now: float) -> None:
        """Ends what fell silent or is not used any more; call it every few seconds."""
        if self.link.tidy(now) and self._way is not None:
            self._way.forget()

    async def close_sessions(self) -> None:
        """Ends the connections that wait for reuse."""
        await self._connector.close()
        await self._bulk_connector.close()

    def close(self) -> None:
        """Ends the rest."""
        if self._way is not None:
            self._way.close()
        self.link.close()


def _session(open_stream: Callable[[asyncio.Protocol], Awaitable[None]]) -> tuple[NodeConnector, aiohttp.ClientSession]:
    connector = NodeConnector(open_stream, STREAMS_PER_NODE)
    session = make_session(connector)
    # Many share this session: one of them leaving `async with` must not close it under the others.
    session.close = _leave_open  # type: ignore[method-assign]
    return connector, session


async def _leave_open() -> None:
    pass

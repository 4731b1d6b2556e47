"""The direct port of a node that serves: lets in who was invited over QUIC, and tells nobody else what it is.

A stranger is cut off before TLS costs anything; those with a knock have a few seconds and few places for the handshake.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

from aiohttp import web

from depin_desktop.core.tasks import Tasks
from depin_desktop.net.direct.certificate import server_context
from depin_desktop.net.direct.tickets import KNOCK_BYTES, LIFE_S, TICKET_BYTES, Tickets
from depin_desktop.net.direct.transport import DirectTransport, Feed
from depin_desktop.net.direct.wire import HANDSHAKE_TIMEOUT_S, PATH, READY, Directions, Exactly
from depin_desktop.net.http import peer_node_id

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DirectLimits:
    """What callers may take of the direct port; who finds no place goes on with QUIC."""

    connections: int = 512
    connections_per_node: int = 32
    newcomers: int = 32  # that have not shown a ticket yet


class DirectServer:
    """Listens beside QUIC; make it with `listen`.

    Args:
        protocol: makes the HTTP protocol for one connection of the node with that id.
    """

    def __init__(self, protocol: Callable[[str], asyncio.Protocol], limits: DirectLimits) -> None:
        self._protocol = protocol
        self._limits = limits
        self._tickets = Tickets()
        self._tasks = Tasks("direct")
        self._newcomers: set[asyncio.BaseTransport] = set()
        self._connections: set[DirectTransport] = set()
        self._per_node: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._port = 0

    async def listen(self, sockets: Iterable[str]) -> bool:
        """Opens the port on the hosts of `sockets` ("ip:port"), under QUIC's own number where that is free.

        Returns whether it is open: without it everything still works over QUIC.
        """
        self._context, self._certificate = await asyncio.to_thread(server_context)
        places = [place.rpartition(":") for place in sockets]
        hosts = [host.strip("[]") for host, _, _ in places]
        wishes = [(hosts, int(places[0][2])), (hosts[:1], 0)] if places else []
        for where, port in wishes:
            with contextlib.suppress(OSError):
                loop = asyncio.get_running_loop()
                self._server = await loop.create_server(lambda: _Door(self), where, port)
                self._port = self._server.sockets[0].getsockname()[1]
                return True
        log.warning("no TCP port can be opened: callers will use QUIC only")
        return False

    async def invite(self, request: web.Request) -> web.Response:
        """The handler of `POST /direct`: how whoever asked over QUIC comes directly."""
        node_id = peer_node_id(request)
        if node_id is None:
            raise web.HTTPNotFound
        now = time.time()
        knock, ticket = self._tickets.knock(now), self._tickets.ticket(node_id, now)
        directions = Directions(
            port=self._port, certificate=self._certificate, knock=knock.hex(), ticket=ticket.hex(), life_s=LIFE_S
        )
        return web.json_response(text=directions.model_dump_json())

    def route(self) -> web.RouteDef:
        return web.post(PATH, self.invite)

    @property
    def connections(self) -> frozenset[DirectTransport]:
        """Those that are let in."""
        return frozenset(self._connections)

    def newcomer(self, transport: asyncio.Transport, door: _Door) -> None:
        """Somebody has connected: gives them a place and a few seconds, or closes."""
        if len(self._newcomers) >= self._limits.newcomers:
            transport.abort()
            return
        self._newcomers.add(transport)
        self._tasks.spawn("newcomer", self._receive(transport, door))

    async def _receive(self, transport: asyncio.Transport, door: _Door) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                await self._let_in(transport, door)
        except (OSError, TimeoutError):  # TLS's errors are among them
            transport.abort()
        except BaseException:
            transport.abort()
            raise
        finally:
            self._newcomers.discard(transport)

    async def _let_in(self, transport: asyncio.Transport, door: _Door) -> None:
        if not self._tickets.opens(await door.data, time.time()):
            transport.abort()
            return
        transport.write(READY)
        feed = Feed(TICKET_BYTES)
        tls = await asyncio.get_running_loop().start_tls(transport, feed, self._context, server_side=True)
        if tls is None:
            return
        node_id = self._tickets.node_of(await feed.head, time.time())
        if node_id is None or self._is_full(node_id):
            tls.abort()
            return
        tls.write(READY)
        self._per_node[node_id] += 1
        self._connections.add(
            DirectTransport(tls, feed, self._protocol(node_id), node_id=node_id, on_closed=self._left)
        )

    def _is_full(self, node_id: str) -> bool:
        all_of_them = len(self._connections) >= self._limits.connections
        return all_of_them or self._per_node[node_id] >= self._limits.connections_per_node

    def _left(self, transport: DirectTransport) -> None:
        self._connections.discard(transport)
        node_id = transport.get_extra_info("peer_node_id")
        self._per_node[node_id] -= 1
        if not self._per_node[node_id]:
            del self._per_node[node_id]

    async def close(self) -> None:
        """Takes nobody in any more and cuts off who is still there."""
        if self._server is not None:
            self._server.close()
        await self._tasks.close()
        for transport in self.connections:
            transport.abort()
        if self._connections:
            await asyncio.wait([transport.lost for transport in self._connections])


class _Door(Exactly):
    """One accepted connection: reads the knock."""

    def __init__(self, server: DirectServer) -> None:
        super().__init__(KNOCK_BYTES)
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.newcomer(cast(asyncio.Transport, transport), self)

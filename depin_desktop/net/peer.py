"""This node among the others: it serves HTTP to whoever calls its node id, and calls other nodes by theirs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable

import aiohttp
import iroh
from aiohttp import web

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.tasks import Cycle, Tasks
from depin_desktop.net import iroh_patch, iroh_release
from depin_desktop.net.admission import Limits, Room
from depin_desktop.net.callers import CODE_BUSY, Caller, Callers, Handshakes, Inbound
from depin_desktop.net.direct.server import DirectLimits, DirectServer
from depin_desktop.net.direct.transport import DirectTransport
from depin_desktop.net.door import Door
from depin_desktop.net.http import ALPN, HttpServer
from depin_desktop.net.identity import Identity
from depin_desktop.net.links import close_on_stream
from depin_desktop.net.remote import Remote
from depin_desktop.net.stream import CODE_ABORTED

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1:0"
HANDSHAKE_TIMEOUT_S = 10.0
TIDY_INTERVAL_S = 5.0
CALLER_IDLE_S = 180.0
STREAM_IDLE_S = 600.0
GRACE_S = 3.0
ENDPOINT_CLOSE_S = 1.0


class _Loopback(iroh.Preset):
    """No relay, no discovery, and both IP families on the loopback interface only."""

    def apply(self, builder: iroh.EndpointBuilder) -> None:
        builder.apply_minimal()
        builder.bind_addr(LOOPBACK)
        builder.bind_addr("[::1]:0")


def _ways_to_bind(relays: bool, listen: str | None) -> list[tuple[iroh.Preset, str | None]]:
    if relays:
        return [(iroh.preset_n0(), listen)]
    if listen is not None:
        return [(iroh.preset_minimal(), listen)]
    return [(_Loopback(), None), (iroh.preset_minimal(), LOOPBACK)]  # the second is for machines without IPv6


class Peer:
    """An iroh endpoint with HTTP on top; make it with `bind`."""

    def __init__(self, endpoint: iroh.Endpoint, limits: Limits, *, direct: bool) -> None:
        self.node_id: str = endpoint.id().to_bytes().hex()
        self._endpoint = endpoint
        self._server: HttpServer | None = None
        self._tasks = Tasks("peer")
        self._stream_tasks = Tasks("stream")
        self._room: Room[Inbound] = Room(limits)
        self._callers = Callers(limits, self._room.pays)
        self._handshakes = Handshakes(limits)
        self._remotes: dict[str, Remote] = {}
        self._direct = direct
        self._direct_server: DirectServer | None = None
        self._closed = False
        self.tidy_cycle = Cycle("peer tidy", TIDY_INTERVAL_S, self._tidy)
        self._tasks.spawn("tidy", self.tidy_cycle.run())

    @classmethod
    async def bind(
        cls,
        identity: Identity,
        *,
        relays: bool,
        listen: str | None = None,
        limits: Limits | None = None,
        direct: bool = False,
    ) -> Peer:
        """Opens the endpoint.

        Args:
            identity: this node's key.
            relays: use iroh's public relays and discovery, so that a node behind a router is found by its id alone.
            listen: "ip:port" to bind; by default loopback only without relays, every interface with them.
            limits: what callers may take of this node.
            direct: offer, and take for bulk transfers, TLS over TCP where nodes can reach each other that way.

        Raises:
            UserFacingError: the address is taken or not this machine's.
        """
        iroh_patch.apply()
        iroh_release.apply()
        failure: Exception | None = None
        for preset, address in _ways_to_bind(relays, listen):
            options = iroh.EndpointOptions(
                preset=preset,
                bind_addr=address,
                secret_key=identity.secret,
                alpns=[ALPN],
                relay_mode=None if relays else iroh.RelayMode.disabled(),
            )
            try:
                return cls(await iroh.Endpoint.bind(options), limits or Limits(), direct=direct)
            except iroh.IrohError as error:
                failure = error
        raise UserFacingError(
            "The peer-to-peer port cannot be opened.",
            "Check that no other program uses it and that a firewall allows UDP.",
            code="peer-bind-failed",
            status=500,
        ) from failure

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where this node can be reached directly, as "ip:port"; the loopback address comes first."""
        bound = [address for address in self._endpoint.bound_sockets() if not address.startswith("[")]
        loopback = [f"127.0.0.1:{address.rpartition(':')[2]}" for address in bound]
        if all(address.startswith("127.") for address in bound):
            return tuple(loopback)
        return tuple(dict.fromkeys([*loopback, *self._endpoint.addr().direct_addresses()]))

    @property
    def relay_url(self) -> str | None:
        """The home relay, once there is one."""
        relay: str | None = self._endpoint.addr().relay_url()
        return relay

    @property
    def peers(self) -> int:
        """How many other nodes are connected now, whoever called whom."""
        called = {node_id for node_id, remote in self._remotes.items() if remote.link.connected}
        return len(called | self._callers.node_ids)

    @property
    def streams(self) -> int:
        """How many streams and direct connections callers have open now."""
        return len(self._room) + len(self._came_directly)

    @property
    def _came_directly(self) -> frozenset[DirectTransport]:
        return self._direct_server.connections if self._direct_server is not None else frozenset()

    def has_paid(self, node_id: str) -> bool:
        """Whether that node is known to have paid for something here lately: it gives way after those that are not."""
        return self._room.pays(node_id)

    # --- serving ---------------------------------------------------------------------------------------------------

    async def serve(self, app: web.Application) -> None:
        """Starts to answer callers with `app` and returns; `close` ends it."""
        if self._server is not None:
            raise RuntimeError("this peer serves an application already")
        server = HttpServer(app)
        if self._direct:
            await self._serve_directly(app, server)
        await server.start()
        self._server = server
        self._tasks.spawn("accept", self._accept())

    async def _serve_directly(self, app: web.Application, server: HttpServer) -> None:
        def door(node_id: str) -> Door:
            return Door(server.protocol_over_tcp(), lambda _: None, lambda: self._room.paid(node_id))

        direct = DirectServer(door, DirectLimits())
        if await direct.listen(self._endpoint.bound_sockets()):
            app.add_routes([direct.route()])
            self._direct_server = direct

    async def _accept(self) -> None:
        while (incoming := await self._endpoint.accept_next()) is not None:
            try:
                source = await self._handshakes.source(incoming)
                if source is None:
                    await incoming.retry()
                else:
                    self._handshakes.add(self._tasks.spawn("handshake", self._shake_hands(incoming)), source)
            except iroh.IrohError as error:
                log.debug("an incoming connection ended early: %s", error.message())

    async def _shake_hands(self, incoming: iroh.Incoming) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                connection = await (await incoming.accept()).connect()
        except (iroh.IrohError, TimeoutError):
            return
        caller = Caller(connection)
        if self._callers.admit(caller):
            self._tasks.spawn("guard", close_on_stream(connection, connection.accept_uni))
            self._tasks.spawn("caller", self._listen(caller))
        else:
            connection.close(CODE_BUSY, b"busy")

    async def _listen(self, caller: Caller) -> None:
        """Takes the streams of one connection, as long as it lasts."""
        try:
            while True:
                stream = await caller.connection.accept_bi()
                if self._room.may_open(caller.node_id, self._callers.nodes):
                    self._answer(caller, stream)
                else:
                    await stream.send().reset(CODE_ABORTED)
                    await stream.recv().stop(CODE_ABORTED)
        except iroh.IrohError:
            pass  # the caller is gone; its streams learn it themselves
        finally:
            self._callers.forget(caller)

    def _answer(self, caller: Caller, stream: iroh.BiStream) -> None:
        assert self._server is not None
        Inbound(caller, self._room, self._server.protocol()).enter(stream, self._stream_tasks.spawn)

    # --- calling ---------------------------------------------------------------------------------------------------

    def session(
        self, node_id: str, addresses: Iterable[str], relay_url: str | None = None, *, bulk: bool = False
    ) -> aiohttp.ClientSession:
        """The session whose requests go to `node_id`; paths are enough as URLs ("/storage/terms").

        One session per node, shared by all who ask and owned by this peer: closing it (or leaving `async with`) does
        nothing. A node that cannot be reached shows as `UserFacingError` ("peer-unreachable") from the request; a
        connection that breaks later as `aiohttp.ClientError`, which `http.as_user_error` puts into words.

        Args:
            bulk: for large transfers, which go directly over TLS where that is possible; it is looked for from now on.
        """
        remote = self._reached(node_id, addresses, relay_url)
        if not bulk:
            return remote.session
        remote.look_for_direct_way()
        return remote.bulk

    async def directly(self, node_id: str) -> bool:
        """Whether bulk transfers with a node that we call go over TLS; waits for a search that is under way."""
        remote = self._remotes.get(node_id.lower())
        return remote is not None and await remote.directly()

    async def connect(
        self, protocol: asyncio.Protocol, node_id: str, addresses: Iterable[str], relay_url: str | None = None
    ) -> None:
        """Gives `protocol` a stream to that node, on which it speaks HTTP itself.

        Raises:
            UserFacingError: "peer-unreachable".
        """
        await self._reached(node_id, addresses, relay_url).open_stream(protocol)

    def _reached(self, node_id: str, addresses: Iterable[str], relay_url: str | None) -> Remote:
        if self._closed:
            raise RuntimeError("this peer is closed")
        node_id = node_id.lower()
        remote = self._remotes.get(node_id)
        if remote is None:
            spawn, spawn_stream = self._tasks.spawn, self._stream_tasks.spawn
            remote = Remote(self._endpoint, node_id, spawn, spawn_stream, direct=self._direct)
            self._remotes[node_id] = remote
        remote.learn(tuple(addresses), relay_url)
        return remote

    # --- housekeeping ----------------------------------------------------------------------------------------------

    async def _tidy(self) -> None:
        """Closes what fell silent, does not come to an end, or has not been used for a while, on both sides."""
        now = asyncio.get_running_loop().time()
        for remote in self._remotes.values():
            remote.tidy(now)
        self._callers.dismiss_where(lambda caller: caller.streams == 0 and now - caller.last_used > CALLER_IDLE_S)
        for inbound in self._room:
            if not inbound.door.look(now) or now - inbound.transport.last_active > STREAM_IDLE_S:
                inbound.transport.abort()
        for transport in self._came_directly:
            door = transport.get_protocol()
            if (isinstance(door, Door) and not door.look(now)) or now - transport.last_active > STREAM_IDLE_S:
                transport.abort()

    async def close(self, *, grace_s: float = GRACE_S) -> None:
        """Lets running answers end (`grace_s` seconds), then closes every connection and the endpoint.

        A second call does nothing.
        """
        if self._closed:
            return
        self._closed = True
        if self._server is not None:
            await self._server.stop(grace_s)
        for remote in self._remotes.values():
            await remote.close_sessions()
        if answering := [inbound.transport.closed for inbound in self._room]:
            await asyncio.wait(answering, timeout=grace_s)
        for remote in self._remotes.values():
            remote.close()
        if self._direct_server is not None:
            await self._direct_server.close()
        with contextlib.suppress(TimeoutError):
            # A node that does not answer is not waited for.
            async with asyncio.timeout(ENDPOINT_CLOSE_S):
                await self._endpoint.close()
        await self._stream_tasks.close()
        await self._tasks.close()

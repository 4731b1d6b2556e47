"""Connections between nodes: one QUIC connection per node that we call, and the bounded set of those that call us."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import iroh

from depin_desktop.core.errors import UserFacingError
from depin_desktop.net.http import ALPN, short_id
from depin_desktop.net.stream import Spawn

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
OPEN_TIMEOUT_S = 10.0
MAX_ADDRESSES = 16

# iroh sends a sign of life every 5 s. QUIC itself gives up after 30 s; a customer in the middle of a download should
# turn to another provider sooner.
SILENCE_S = 12.0
IDLE_S = 120.0

CODE_IDLE = 0
CODE_REPLACED = 2
CODE_BUSY = 3
CODE_SILENT = 4
CODE_UNWANTED_STREAM = 5


@dataclass(frozen=True)
class Limits:
    """What callers may take of us. QUIC holds up to 1.25 MB of each open stream until it is read."""

    connections: int = 1024  # of all nodes together
    connections_per_node: int = 4
    streams: int = 1024  # of all nodes together
    streams_per_node: int = 100  # also what iroh's QUIC grants one connection
    handshakes: int = 64  # under way at once
    unproven_handshakes: int = 16  # from so many on, callers first prove that their address is theirs


def usable_addresses(addresses: Iterable[str]) -> tuple[str, ...]:
    """Those of `addresses` that read "ip:port"; names are not looked up, and no more than `MAX_ADDRESSES` are kept."""
    usable: list[str] = []
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
            valid = 0 < int(port) < 65536
        except ValueError:
            valid = False
        if valid and len(usable) < MAX_ADDRESSES:
            usable.append(address)
    return tuple(usable)


class Link:
    """The way to one node: dials when needed, keeps the QUIC connection, dials again when it has died.

    `streams` counts those that are open; `last_used` is the event loop's time of the last opening or closing.
    """

    def __init__(self, endpoint: iroh.Endpoint, node_id: str, spawn: Spawn) -> None:
        self.node_id = node_id
        self._spawn = spawn
        self.streams = 0
        self.last_used = asyncio.get_running_loop().time()
        self._endpoint = endpoint
        self._addresses: tuple[str, ...] = ()
        self._relay_url: str | None = None
        self._connection: iroh.Connection | None = None
        self._datagrams_heard = 0
        self._heard_at = self.last_used
        self._dialling = asyncio.Lock()

    def learn(self, addresses: Iterable[str], relay_url: str | None) -> bool:
        """Remembers where the node can be reached now; returns whether its connection was ended for that.

        A node that has none of its old addresses has restarted: its old connection is ended, since iroh would go on
        to send to the old address while that lasts. One that only gained or lost some keeps its connection.
        """
        usable = usable_addresses(addresses)
        moved = self._connection is not None and bool(usable) and not set(usable) & set(self._addresses)
        if moved:
            self.close(CODE_REPLACED, b"moved")
        self._addresses, self._relay_url = usable, relay_url
        return moved

    @property
    def connected(self) -> bool:
        return self._connection is not None and self._connection.close_reason() is None

    async def open_stream(self) -> iroh.BiStream:
        """A new stream on a living connection.

        Raises:
            UserFacingError: the node does not answer in `CONNECT_TIMEOUT_S` (code "peer-unreachable").
        """
        self.last_used = asyncio.get_running_loop().time()
        reused = self.connected
        connection = await self._living()
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                return await connection.open_bi()
        except (iroh.IrohError, TimeoutError) as error:
            self.drop(connection)
            if reused:
                return await self.open_stream()
            raise self._unreachable() from error

    async def _living(self) -> iroh.Connection:
        async with self._dialling:
            if self._connection is None or self._connection.close_reason() is not None:
                self._connection = None
                connection = await self._dial()
                self._spawn("guard", close_on_stream(connection, connection.accept_bi))
                self._spawn("guard", close_on_stream(connection, connection.accept_uni))
                self._connection = connection
                self._heard_at = asyncio.get_running_loop().time()
            return self._connection

    async def _dial(self) -> iroh.Connection:
        try:
            target = iroh.EndpointId.from_bytes(bytes.fromhex(self.node_id))
            address = iroh.EndpointAddr(target, self._relay_url, list(self._addresses))
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await self._endpoint.connect(address, ALPN)
        except (iroh.IrohError, TimeoutError, ValueError) as error:
            log.info("node %s cannot be reached: %s", short_id(self.node_id), type(error).__name__)
            raise self._unreachable() from error

    def _unreachable(self) -> UserFacingError:
        return UserFacingError(
            f"The node {short_id(self.node_id)} does not answer.",
            "It may be offline or behind a closed network: try again later, or choose another provider.",
            code="peer-unreachable",
            status=504,
        )

    def drop(self, connection: iroh.Connection) -> None:
        """Forgets `connection` if it is still the current one."""
        if self._connection is connection:
            self._connection = None

    def tidy(self, now: float) -> None:
        """Ends the connection if the node fell silent or nobody has used it for `IDLE_S`; call it every few seconds."""
        if self._connection is None:
            return
        heard: int = self._connection.stats().udp_rx_datagrams
        if heard != self._datagrams_heard:
            self._datagrams_heard, self._heard_at = heard, now
        elif now - self._heard_at > SILENCE_S:
            self.close(CODE_SILENT, b"silent")
        if self.streams == 0 and now - self.last_used > IDLE_S:
            self.close()

    def close(self, code: int = CODE_IDLE, reason: bytes = b"idle") -> None:
        """Ends the connection and with it every stream on it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(code, reason)


async def close_on_stream(connection: iroh.Connection, accept: Callable[[], Awaitable[object]]) -> None:
    """Ends `connection` when the other side opens a stream of a kind that has no use here.

    Left alone, such streams would fill memory: QUIC takes in what nobody reads, 1.25 MB for each of 100 streams.
    """
    with contextlib.suppress(iroh.IrohError):
        await accept()
        connection.close(CODE_UNWANTED_STREAM, b"unwanted stream")


class Caller:
    """One QUIC connection that a node opened to us, how many streams run on it, and when it was last of use."""

    def __init__(self, connection: iroh.Connection) -> None:
        self.connection = connection
        self.node_id: str = connection.remote_id().to_bytes().hex()
        self.streams = 0
        self.last_used = asyncio.get_running_loop().time()


class Callers:
    """Those who are connected to us, never more than the limits: idle ones give way to newcomers."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._callers: set[Caller] = set()

    @property
    def node_ids(self) -> set[str]:
        return {caller.node_id for caller in self._callers}

    def may_open_stream(self, caller: Caller) -> bool:
        """Whether `caller` is within its share of streams, and all together within theirs.

        Whoever comes first takes half of the streams; the other half is shared out among all nodes, so that a crowd
        which holds all it can get leaves room for others.
        """
        own = sum(other.streams for other in self._callers if other.node_id == caller.node_id)
        everyone = sum(other.streams for other in self._callers)
        if own >= self._limits.streams_per_node or everyone >= self._limits.streams:
            return False
        reserved = self._limits.streams // 2
        return everyone < self._limits.streams - reserved or own < max(1, reserved // len(self.node_ids))

    def admit(self, caller: Caller) -> bool:
        """Takes a newcomer in, closing who is least of use; False when all others are at work.

        A node's own oldest connection gives way first, even at work: a node that reconnects has lost the old ones.
        """
        own = [other for other in self._callers if other.node_id == caller.node_id]
        if len(own) >= self._limits.connections_per_node:
            self._dismiss(min(own, key=_usefulness), CODE_REPLACED, b"replaced")
        if len(self._callers) >= self._limits.connections:
            idle = [other for other in self._callers if other.streams == 0]
            if not idle:
                return False
            self._dismiss(min(idle, key=_usefulness), CODE_BUSY, b"busy")
        self._callers.add(caller)
        return True

    def forget(self, caller: Caller) -> None:
        self._callers.discard(caller)

    def dismiss_where(self, unwanted: Callable[[Caller], bool]) -> None:
        for caller in [caller for caller in self._callers if unwanted(caller)]:
            self._dismiss(caller, CODE_IDLE, b"idle")

    def _dismiss(self, caller: Caller, code: int, reason: bytes) -> None:
        self._callers.discard(caller)
        caller.connection.close(code, reason)


def _usefulness(caller: Caller) -> tuple[bool, float]:
    return caller.streams > 0, caller.last_used

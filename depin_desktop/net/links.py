"""Connections to the nodes that we call, one QUIC connection for each."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Iterable

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
CODE_SILENT = 4
CODE_UNWANTED_STREAM = 5


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
        connection = await self.living()
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                return await connection.open_bi()
        except (iroh.IrohError, TimeoutError) as error:
            self.drop(connection)
            if reused:
                return await self.open_stream()
            raise self._unreachable() from error

    async def living(self) -> iroh.Connection:
        """The connection, dialled if there is none. Raises UserFacingError ("peer-unreachable")."""
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

    def tidy(self, now: float) -> bool:
        """Ends the connection if the node fell silent or nobody has used it for `IDLE_S`; call it every few seconds.

        Returns whether the node has fallen silent.
        """
        if self._connection is None:
            return False
        heard: int = self._connection.stats().udp_rx_datagrams
        if heard != self._datagrams_heard:
            self._datagrams_heard, self._heard_at = heard, now
        elif now - self._heard_at > SILENCE_S:
            self.close(CODE_SILENT, b"silent")
            return True
        if self.streams == 0 and now - self.last_used > IDLE_S:
            self.close()
        return False

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

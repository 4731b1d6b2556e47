"""Connections between nodes: one QUIC connection per node that we call, and the bounded set of those that call us."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Iterable

import iroh

from depin_desktop.core.errors import UserFacingError
from depin_desktop.net.http import ALPN, short_id

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
OPEN_TIMEOUT_S = 10.0
MAX_ADDRESSES = 16

MAX_CONNECTIONS = 1024  # from all nodes together
MAX_CONNECTIONS_PER_NODE = 4
MAX_STREAMS_PER_CONNECTION = 64
# Together with the stream's own buffers this bounds what one caller can make us hold.
RECEIVE_WINDOW = 16 * 1024 * 1024

CODE_IDLE = 0
CODE_REPLACED = 2
CODE_BUSY = 3


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

    def __init__(self, endpoint: iroh.Endpoint, node_id: str) -> None:
        self.node_id = node_id
        self.streams = 0
        self.last_used = asyncio.get_running_loop().time()
        self._endpoint = endpoint
        self._addresses: tuple[str, ...] = ()
        self._relay_url: str | None = None
        self._connection: iroh.Connection | None = None
        self._dialling = asyncio.Lock()

    def learn(self, addresses: Iterable[str], relay_url: str | None) -> None:
        """Remembers where the node can be reached now; a node that has moved is dialled anew by the next stream."""
        known = (usable_addresses(addresses), relay_url)
        if known != (self._addresses, self._relay_url):
            self._addresses, self._relay_url = known
            self._connection = None  # streams that still run on it keep it open

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
                # What we call may call nothing back: streams are opened by the caller only.
                connection.set_max_concurrent_bi_streams(0)
                connection.set_max_concurrent_uni_streams(0)
                self._connection = connection
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

    def close(self) -> None:
        """Ends the connection and with it every stream on it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(CODE_IDLE, b"idle")


class Caller:
    """One QUIC connection that a node opened to us, and when it was last of use."""

    def __init__(self, connection: iroh.Connection) -> None:
        self.connection = connection
        self.node_id: str = connection.remote_id().to_bytes().hex()
        self.streams = 0
        self.last_used = asyncio.get_running_loop().time()
        connection.set_max_concurrent_bi_streams(MAX_STREAMS_PER_CONNECTION)
        connection.set_max_concurrent_uni_streams(0)
        connection.set_receive_window(RECEIVE_WINDOW)


class Callers:
    """Those who are connected to us, never more than the limits: idle ones give way to newcomers."""

    def __init__(self, limit: int = MAX_CONNECTIONS, per_node: int = MAX_CONNECTIONS_PER_NODE) -> None:
        self._limit = limit
        self._per_node = per_node
        self._callers: set[Caller] = set()

    def __len__(self) -> int:
        return len(self._callers)

    @property
    def node_ids(self) -> set[str]:
        return {caller.node_id for caller in self._callers}

    def admit(self, caller: Caller) -> bool:
        """Takes a newcomer in, closing who is least of use; False when all others are at work.

        A node's own oldest connection gives way first, even at work: a node that reconnects has lost the old ones.
        """
        own = [other for other in self._callers if other.node_id == caller.node_id]
        if len(own) >= self._per_node:
            self._dismiss(min(own, key=_usefulness), CODE_REPLACED, b"replaced")
        if len(self._callers) >= self._limit:
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

"""The direct way to one node that we call: asked for over QUIC, tried, and taken for new connections while it works.

Nothing waits for it: until it is ready, and whenever it fails, connections are QUIC streams. It counts as working only
after a first connection was made; that one is kept for the next who asks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from depin_desktop.net.direct.certificate import client_context, is_expected
from depin_desktop.net.direct.transport import DirectTransport, Feed
from depin_desktop.net.direct.wire import HANDSHAKE_TIMEOUT_S, READY, Directions, Exactly
from depin_desktop.net.stream import Spawn

log = logging.getLogger(__name__)

SPARE_S = 10.0
"""How long the first connection waits for somebody to use it; a provider ends one that asks for nothing after 15 s."""
RENEW_S = 300.0
"""So long before a ticket ends a new one is asked for."""
FIRST_RETRY_S, LAST_RETRY_S = 5.0, 600.0
"""After a failure; each further one quadruples the wait."""


Ask = Callable[[], Awaitable[tuple[str, Directions]]]


class NoWay(Exception):
    """The node cannot be reached directly, at least not now."""


@dataclass(frozen=True)
class _Way:
    host: str
    directions: Directions
    good_until: float  # the event loop's time


@dataclass(frozen=True)
class _Connection:
    tls: asyncio.Transport
    feed: Feed


class DirectWay:
    """Direct connections to one node.

    Args:
        ask: asks the node over QUIC for its directions, and gives the IP address that QUIC reaches it at; raises NoWay.
        ready: called when connections can be made from now on.
    """

    def __init__(
        self,
        node_id: str,
        ask: Callable[[], Awaitable[tuple[str, Directions]]],
        ready: Callable[[], None],
        spawn: Spawn,
    ) -> None:
        self._node_id = node_id
        self._ask = ask
        self._ready = ready
        self._spawn = spawn
        self._context = client_context()
        self._loop = asyncio.get_running_loop()
        self._way: _Way | None = None
        self._spare: _Connection | None = None
        self._search: asyncio.Task[None] | None = None
        self._failures = 0
        self._not_before = 0.0
        self._open: set[DirectTransport] = set()

    @property
    def is_ready(self) -> bool:
        """Whether new connections are made directly."""
        return self._way is not None

    async def looked(self) -> None:
        """Returns when no search is under way."""
        if self._search is not None:
            await asyncio.wait([self._search])

    def look(self) -> None:
        """Looks for the way in the background, unless it is known or was found closed lately."""
        now = self._loop.time()
        known = self._way is not None and now < self._way.good_until
        if not known and self._search is None and now >= self._not_before:
            self._search = self._spawn("direct way", self._look())

    async def _look(self) -> None:
        try:
            host, directions = await self._ask()
            way = _Way(host, directions, self._loop.time() + directions.life_s - RENEW_S)
            connection = await self._connect(way)
        except NoWay as error:
            self._failed(str(error))
            return
        finally:
            self._search = None
        self._drop_spare()
        self._way, self._spare, self._failures = way, connection, 0
        self._loop.call_later(SPARE_S, self._drop_spare, connection)
        self._ready()

    def _failed(self, reason: str) -> None:
        log.debug("no direct way to %s: %s", self._node_id, reason)
        self._way = None
        wait = min(FIRST_RETRY_S * 4**self._failures, LAST_RETRY_S)
        self._failures += 1
        self._not_before = self._loop.time() + wait

    async def open(self, protocol: asyncio.Protocol, on_closed: Callable[[], None]) -> None:
        """Gives `protocol` a connection.

        Raises:
            NoWay: take a QUIC stream instead.
        """
        connection, self._spare = self._spare, None
        if connection is None or connection.tls.is_closing():
            if self._way is None:
                raise NoWay("not found yet")
            try:
                connection = await self._connect(self._way)
            except NoWay as error:
                self._failed(str(error))
                raise

        def closed(transport: DirectTransport) -> None:
            self._open.discard(transport)
            on_closed()

        tls, feed = connection.tls, connection.feed
        self._open.add(DirectTransport(tls, feed, protocol, node_id=self._node_id, on_closed=closed))

    async def _connect(self, way: _Way) -> _Connection:
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                return await self._handshake(way)
        except (OSError, TimeoutError) as error:  # TLS's errors are among them
            raise NoWay(str(error) or type(error).__name__) from error

    async def _handshake(self, way: _Way) -> _Connection:
        answer, feed = Exactly(len(READY)), Feed(len(READY))
        transport, _ = await self._loop.create_connection(lambda: answer, way.host, way.directions.port)
        try:
            transport.write(bytes.fromhex(way.directions.knock))
            _expect(await answer.data == READY)
            tls = await self._loop.start_tls(transport, feed, self._context)
            _expect(tls is not None and is_expected(tls.get_extra_info("ssl_object"), way.directions.certificate))
            assert tls is not None
            tls.write(bytes.fromhex(way.directions.ticket))
            _expect(await feed.head == READY)
        except BaseException:
            transport.abort()
            raise
        return _Connection(tls, feed)

    def _drop_spare(self, only: _Connection | None = None) -> None:
        if self._spare is not None and only in (None, self._spare):
            self._spare.tls.abort()
            self._spare = None

    def forget(self) -> None:
        """The node has moved or fallen silent: what is open is cut off, and the way is looked for anew."""
        self._way, self._failures, self._not_before = None, 0, 0.0
        self.close()

    def close(self) -> None:
        """Cuts off what is open."""
        self._drop_spare()
        for transport in tuple(self._open):
            transport.abort()


def _expect(met: bool) -> None:
    if not met:
        raise ConnectionError("somebody else answers there")


def ip_of(address: str) -> str:
    """The host of "ip:port", as `create_connection` wants it."""
    return address.rpartition(":")[0].strip("[]")

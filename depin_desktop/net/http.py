"""HTTP/1.1 over iroh streams: aiohttp's server fed by incoming streams, aiohttp's client through outgoing ones."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import aiohttp
from aiohttp import web
from aiohttp.client_proto import ResponseHandler

from depin_desktop.core.errors import UserFacingError
from depin_desktop.net.door import door_of
from depin_desktop.net.stream import MAX_WRITE

ALPN = b"depin/http/1"
BASE_URL = "http://node/"  # the name is never looked up: the connector knows the node

# The client gives idle connections up first, so that it never sends a request into one that is just being closed.
CLIENT_KEEPALIVE_S = 60.0
SERVER_KEEPALIVE_S = 90.0
READ_BUFFER = 256 * 1024  # bytes of a body that aiohttp holds before it pauses the stream, halved
SILENCE_TIMEOUT_S = 60.0
LINGER_S = 5.0
"""TCP: so long an unwanted body is still read, so that the answer is not lost with the connection."""

OpenStream = Callable[[asyncio.Protocol], Awaitable[object]]
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


log = logging.getLogger(__name__)


class _CallersGone(logging.Filter):
    """A caller that leaves in the middle is no fault of ours: aiohttp would log it as an error with a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, ConnectionError | web.RequestPayloadError)


log.addFilter(_CallersGone())


class HttpServer:
    """A `web.Application` that answers on any transport handed to `protocol()`."""

    def __init__(self, app: web.Application) -> None:
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=log,
            keepalive_timeout=SERVER_KEEPALIVE_S,
            read_bufsize=READ_BUFFER,
            # Closing a QUIC stream with unread input does not lose the answer, as it would with TCP: an unwanted body
            # is refused at once instead of being read and thrown away.
            lingering_time=0,
        )

    async def start(self) -> None:
        """Runs the application's start-up."""
        await self._runner.setup()
        server = self._runner.server
        assert server is not None
        server.request_handler = _telling(server.request_handler)

    def protocol(self) -> asyncio.Protocol:
        """A fresh server protocol for one stream."""
        server = self._runner.server
        assert server is not None, "start() comes first"
        return server()

    def protocol_over_tcp(self) -> asyncio.Protocol:
        """A fresh server protocol for one TCP connection, where closing with unread input loses the answer."""
        protocol = self.protocol()
        protocol._lingering_time = LINGER_S  # type: ignore[attr-defined]
        return protocol

    async def stop(self, grace_s: float) -> None:
        """Lets running requests end, at most about `grace_s` twice, then runs the application's clean-up."""
        server = self._runner.server
        if server is not None:
            server.pre_shutdown()
            await server.shutdown(grace_s)
        await self._runner.cleanup()


def _telling(handler: Handler) -> Handler:
    """`handler`, with the stream's door told when the answer begins and ends."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        door, task = door_of(request), asyncio.current_task()
        if door is not None and task is not None:
            door.begun(request)
            # aiohttp writes an answer after its handler has returned, in this same task, one for each request.
            task.add_done_callback(lambda _: door.ended())
        return await handler(request)

    return answer


class NodeConnector(aiohttp.BaseConnector):
    """Gives every connection that aiohttp asks for a stream to one node, and keeps idle ones for reuse."""

    def __init__(self, open_stream: OpenStream, limit: int) -> None:
        super().__init__(limit=limit, keepalive_timeout=CLIENT_KEEPALIVE_S)
        self._open_stream = open_stream

    def drop_idle(self) -> None:
        """Closes the connections that wait for reuse; those at work go on."""
        for connections in self._conns.values():
            for protocol, _ in connections:
                protocol.close()

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[aiohttp.tracing.Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        protocol = self._factory()
        await self._open_stream(protocol)
        return protocol


def make_session(connector: NodeConnector) -> aiohttp.ClientSession:
    """A session whose requests go through `connector`; only silence times out, never a long transfer."""
    return aiohttp.ClientSession(
        BASE_URL,
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_read=SILENCE_TIMEOUT_S),
        read_bufsize=READ_BUFFER,
    )


async def in_chunks(data: bytes | bytearray | memoryview) -> AsyncIterator[bytes]:
    """A request body from memory, sent piece by piece; give its length in a Content-Length header.

    aiohttp would write a large `bytes` body in one go and warn of it.
    """
    view = memoryview(data).cast("B")
    for start in range(0, len(view), MAX_WRITE):
        yield bytes(view[start : start + MAX_WRITE])


def peer_node_id(request: web.Request) -> str | None:
    """The node id of the peer that sent `request`, proven by its QUIC connection; None over plain TCP."""
    transport = request.transport
    return None if transport is None else transport.get_extra_info("peer_node_id")


@contextlib.contextmanager
def on_lost(request: web.Request, tell: Callable[[], object]) -> Iterator[None]:
    """Calls `tell` at once when whoever sent `request` leaves meanwhile; over plain TCP only the next write notices."""
    lost: asyncio.Future[None] | None = getattr(request.transport, "lost", None)
    if lost is None:
        yield
        return

    def told(_: asyncio.Future[None]) -> None:
        tell()

    lost.add_done_callback(told)
    try:
        yield
    finally:
        lost.remove_done_callback(told)


def as_user_error(error: aiohttp.ClientError | TimeoutError | ConnectionError, node_id: str) -> UserFacingError:
    """What a failed request to `node_id` means to a person."""
    if isinstance(error, TimeoutError):
        what = f"The node {short_id(node_id)} went silent."
    else:
        what = f"The connection to the node {short_id(node_id)} broke."
    return UserFacingError(what, "Try again, or choose another provider.", code="peer-lost", status=502)


def short_id(node_id: str) -> str:
    """The first digits of a node id, enough for a person to tell nodes apart."""
    return f"{node_id[:10]}…"

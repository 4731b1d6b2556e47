"""What stands between a caller's stream and the HTTP server, and tells how far the stream has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from depin_desktop.net.admission import PACE_S, Stage, is_overdue, keeps_pace

MAX_HEAD = 32 * 1024
_END_OF_HEAD = b"\r\n\r\n"


class Door(asyncio.Protocol):
    """Passes everything on to `inner`, and looks for the end of a head while no request is under way.

    The server is not asked, as it takes several turns of the event loop to begin: in a crowd that is long, and whoever
    has asked already must not be taken for one who only holds a place.

    Args:
        inner: the HTTP server's protocol for this stream.
        on_stage: told of each new stage.
        on_paid: told when a request has been paid for.
    """

    def __init__(self, inner: asyncio.Protocol, on_stage: Callable[[Stage], None], on_paid: Callable[[], None]) -> None:
        self._inner = inner
        self._on_stage = on_stage
        self._on_paid = on_paid
        self._transport: asyncio.BaseTransport | None = None
        self._loop = asyncio.get_running_loop()
        self._request: web.BaseRequest | None = None
        self._paid = False
        self._head_size, self._tail = 0, b""
        self._received = 0
        self.stage = Stage.OPENED
        self.since = self._looked_at = self._loop.time()

    def _enter(self, stage: Stage) -> None:
        self.stage, self.since = stage, self._loop.time()
        self._on_stage(stage)

    # --- what the stream tells -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self.stage not in (Stage.WORKING, Stage.STALLED) and not self._look_for_end(data):
            return
        self._inner.data_received(data)

    def _look_for_end(self, data: bytes) -> bool:
        """Follows a request's head; False when it is too long and the stream was ended for that."""
        seen = self._tail + data[: MAX_HEAD + 1]
        if not self._head_size:
            seen = seen.lstrip(b"\r\n")  # the server skips blank lines before a request: they are no head's end
        self._head_size += len(seen) - len(self._tail)
        if _END_OF_HEAD in seen:
            self._enter(Stage.WORKING)
        elif self._head_size > MAX_HEAD:
            assert isinstance(self._transport, asyncio.Transport)
            self._transport.abort()
            return False
        else:
            self._tail = seen[-len(_END_OF_HEAD) + 1 :]
            if self.stage is Stage.OPENED:
                self._enter(Stage.ASKING)
        return True

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self._request = None
        self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    # --- what the server tells -------------------------------------------------------------------------------------

    def begun(self, request: web.BaseRequest) -> None:
        """The server has begun to answer."""
        self._request, self._paid, self._received = request, False, 0
        if self.stage is not Stage.WORKING:
            self._enter(Stage.WORKING)
        self._looked_at = self.since

    def ended(self) -> None:
        """The answer has been written, or given up."""
        self._request = None
        self._head_size, self._tail = 0, b""
        self._enter(Stage.WAITING)

    def paid(self) -> None:
        """The request under way has been paid for: it may take its time."""
        self._paid = True
        self._on_paid()
        if self.stage is Stage.STALLED:
            self._enter(Stage.WORKING)

    # --- looking after it ------------------------------------------------------------------------------------------

    def look(self, now: float) -> bool:
        """Sees whether the stream still moves, for a round every few seconds; whether it may stay."""
        if self._request is None:
            idle = Stage.ASKING if self.stage is Stage.WORKING else self.stage
            return not is_overdue(idle, now - self.since)
        seconds, received = now - self._looked_at, self._request.content.total_bytes
        if not self._paid and seconds >= PACE_S:
            stage = Stage.WORKING if keeps_pace(received - self._received, seconds) else Stage.STALLED
            self._received, self._looked_at = received, now
            if stage is not self.stage:
                self._enter(stage)
        return True


def door_of(request: web.BaseRequest) -> Door | None:
    """The door that `request` came through, None over plain TCP and when the stream is gone."""
    protocol = request.transport.get_protocol() if request.transport is not None else None
    return protocol if isinstance(protocol, Door) else None


def note_paid(request: web.BaseRequest) -> None:
    """Says that `request` is paid for: whoever sent it gives way after those who have paid nothing."""
    if (door := door_of(request)) is not None:
        door.paid()

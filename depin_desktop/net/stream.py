"""An asyncio transport over one iroh bi-directional stream, with back-pressure both ways and bounded buffers.

What asyncio says of TCP transports holds here: `close` flushes, `abort` does not, `pause_reading` reaches the sender
through QUIC's flow control, and `pause_writing` reaches the protocol when the receiver is slow. One difference is to
our advantage: the two directions are independent, so closing with unread input never loses what was written.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.constants import _SendfileMode
from asyncio.transports import _FlowControlMixin
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, cast

import iroh

from depin_desktop.net import bulk_reads

Spawn = Callable[[str, Coroutine[Any, Any, None]], "asyncio.Task[Any]"]

# Measured on loopback with both ends in processes of their own (tests/benchmarks/bench_stream.py): from 256 KiB to
# 1 MiB rates are the same (iroh's binding needs about 1.3 ns a byte inside Rust, whatever the size), 64 KiB loses a
# third. A chunk holds the event loop for as long as it is converted, 0.7 ms at this size.
MAX_READ = 512 * 1024
MIN_READ = bulk_reads.BULK  # an idle stream asks for no more than this
MAX_WRITE = 512 * 1024
WRITE_HIGH_WATER = 1024 * 1024
WRITE_LOW_WATER = 256 * 1024
CLOSE_TIMEOUT_S = 20.0
ACKNOWLEDGE_TIMEOUT_S = 5.0

CODE_DONE = 0
CODE_ABORTED = 1


class StreamTransport(_FlowControlMixin):
    """Carries the bytes of one protocol; made inside a running event loop, it calls `connection_made` at once.

    At most one read chunk and `WRITE_HIGH_WATER` plus one written chunk are held here.

    Args:
        stream: an open iroh bi-directional stream; this object owns it from now on.
        protocol: what the bytes are for.
        node_id: the other side's node id, given by `get_extra_info("peer_node_id")`.
        spawn: starts a named background task and keeps it.
        on_closed: called once, after `connection_lost`.

    `last_active` is the event loop's time at which bytes last moved; `lost` is done when the stream has ended for the
    protocol, `closed` when the other side has also acknowledged the last bytes, or gone.
    """

    _sendfile_compatible = _SendfileMode.FALLBACK  # so that `loop.sendfile`, and aiohttp's FileResponse, work

    _protocol: asyncio.Protocol
    _loop: asyncio.AbstractEventLoop
    _protocol_paused: bool
    _maybe_pause_protocol: Callable[[], None]
    _maybe_resume_protocol: Callable[[], None]

    def __init__(
        self,
        stream: iroh.BiStream,
        protocol: asyncio.Protocol,
        *,
        node_id: str,
        spawn: Spawn,
        on_closed: Callable[[StreamTransport], None] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        # "peername" is what aiohttp shows as `request.remote`.
        super().__init__({"peer_node_id": node_id, "peername": (node_id, 0)}, loop)
        self._receiver, self._sender = stream.recv(), stream.send()
        self._protocol = protocol
        self._spawn = spawn
        self._on_closed = on_closed
        self._closing = self._ending = self._eof_asked = self._unwanted = False
        self._may_deliver = asyncio.Event()
        self._may_deliver.set()
        self._queue: deque[bytes | memoryview] = deque()
        self._unsent = 0
        self._work = asyncio.Event()
        self._close_timer: asyncio.TimerHandle | None = None
        self.last_active = loop.time()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.set_write_buffer_limits(high=WRITE_HIGH_WATER, low=WRITE_LOW_WATER)
        protocol.connection_made(self)
        self._reading = spawn("read", self._read())
        self._writing = spawn("write", self._write())

    # --- reading ---------------------------------------------------------------------------------------------------

    def is_reading(self) -> bool:
        return self._may_deliver.is_set() and not self._closing

    def pause_reading(self) -> None:
        self._may_deliver.clear()

    def resume_reading(self) -> None:
        self._may_deliver.set()

    async def _read(self) -> None:
        """Hands over what arrives. One chunk is read ahead while the protocol pauses; QUIC stops the sender then."""
        size, read = MIN_READ, bulk_reads.reader(self._receiver)
        try:
            while True:
                data = await read(size)
                self.last_active = self._loop.time()
                if not self._may_deliver.is_set():
                    await self._may_deliver.wait()
                if not data:
                    break
                if len(data) == size:
                    size = min(size * 4, MAX_READ)
                elif len(data) < size // 16:
                    size = max(size // 4, MIN_READ)
                self._protocol.data_received(data)
        except iroh.IrohError as error:
            self._end(ConnectionResetError(f"The stream broke ({error.message()})."))
            return
        except Exception as error:
            self._end(error)
            raise
        if not self._protocol.eof_received():
            self.close()

    # --- writing ---------------------------------------------------------------------------------------------------

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self._closing or self._eof_asked or self._unwanted or not data:
            return
        # The caller may change a bytearray or what a view shows as soon as this returns.
        chunk = data if isinstance(data, bytes) else bytes(data)
        self._queue.append(chunk)
        self._unsent += len(chunk)
        self._work.set()
        self._maybe_pause_protocol()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._eof_asked = True
        self._work.set()

    async def _write(self) -> None:
        """Sends what is queued, many small chunks at once and large ones in parts."""
        try:
            while True:
                while self._queue:
                    batch = self._next_batch()
                    await self._sender.write_all(batch)
                    self._unsent -= len(batch)
                    self.last_active = self._loop.time()
                    self._maybe_resume_protocol()
                if self._eof_asked:
                    break
                self._work.clear()
                await self._work.wait()
            await self._sender.finish()
        except iroh.IrohError as error:
            # The other side wants no more of this direction; what it has to say is still to be read. Whoever writes
            # is held until then: were writes thrown away instead, an endless body would spin and starve the reader.
            # If the whole connection is gone, the reader learns it too and ends the stream.
            self._unwanted = True
            self._queue.clear()
            if not self._protocol_paused:
                self._protocol_paused = True
                self._protocol.pause_writing()
            if self._reading.done():
                self._end(ConnectionResetError(f"The other side takes no more ({error.message()})."))
        if self._closing:
            self._end(None)

    def _next_batch(self) -> bytes:
        first = self._queue.popleft()
        if len(first) > MAX_WRITE:
            view = memoryview(first)
            self._queue.appendleft(view[MAX_WRITE:])
            return bytes(view[:MAX_WRITE])
        if not self._queue or len(first) + len(self._queue[0]) > MAX_WRITE:
            return bytes(first)
        batch, size = [first], len(first)
        while self._queue and size + len(self._queue[0]) <= MAX_WRITE:
            batch.append(self._queue.popleft())
            size += len(batch[-1])
        return b"".join(batch)

    # --- the end ---------------------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Reads no more, sends what is queued, then ends; within `CLOSE_TIMEOUT_S` at the latest."""
        if self._closing:
            return
        self._closing = True
        self._reading.cancel()
        if self._writing.done():
            self._end(None)
            return
        self.write_eof()
        self._close_timer = self._loop.call_later(CLOSE_TIMEOUT_S, self.abort)

    def abort(self) -> None:
        """Ends at once; the other side sees a reset."""
        self._end(None, aborted=True)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def _end(self, error: Exception | None, *, aborted: bool = False) -> None:
        if self._ending:
            return
        self._ending = self._closing = True
        if self._close_timer is not None:
            self._close_timer.cancel()
        self._queue.clear()
        self._spawn("end", self._release(error, aborted=aborted or error is not None))

    async def _release(self, error: Exception | None, *, aborted: bool) -> None:
        """Gives the stream back to QUIC and tells the protocol."""
        try:
            # A pending read or write holds the half stream's lock: it has to be gone before `stop` and `reset`.
            self._reading.cancel()
            self._writing.cancel()
            await asyncio.wait([self._reading, self._writing])
            code = CODE_ABORTED if aborted else CODE_DONE
            if aborted:
                with contextlib.suppress(iroh.IrohError):
                    await self._sender.reset(code)
            with contextlib.suppress(iroh.IrohError):
                await self._receiver.stop(code)
        finally:
            self._unsent = 0
            self.lost.set_result(None)
            self._protocol.connection_lost(error)
        try:
            if not aborted:
                # Closing the connection now would lose what is not acknowledged yet.
                async with asyncio.timeout(ACKNOWLEDGE_TIMEOUT_S):
                    await self._sender.stopped()
        except (iroh.IrohError, TimeoutError):
            pass
        finally:
            self.closed.set_result(None)
            if self._on_closed is not None:
                self._on_closed(self)

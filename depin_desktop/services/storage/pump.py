"""Moves what arrives on the event loop into blocking work in a thread: in order, bounded, and both at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

BATCH_BYTES = 1 << 20
QUEUE_BYTES = 4 << 20


class Pump:
    """While one batch is being worked on, the next one gathers: larger while the thread is slow, up to a limit.

    Args:
        run: runs a function in a thread; one call at a time is made.
        work: takes the chunks of a batch, in the order in which they came.
    """

    def __init__(
        self,
        run: Callable[[Callable[[], None]], Awaitable[None]],
        work: Callable[[list[bytes]], None],
        *,
        batch_bytes: int = BATCH_BYTES,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self._run = run
        self._work = work
        self._batch_bytes = batch_bytes
        self._queue_bytes = queue_bytes
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._working: asyncio.Future[None] | None = None
        self._all = False  # no more chunks will come: work on small batches too
        self._failure: BaseException | None = None

    async def put(self, chunk: bytes) -> None:
        """Takes a chunk; returns at once unless the queue is full. Raises what the work raised."""
        self._waiting.append(chunk)
        self._waiting_bytes += len(chunk)
        self._kick()
        while self._waiting_bytes >= self._queue_bytes and self._failure is None and self._working is not None:
            await asyncio.wait([self._working])
        self._raise()

    async def finish(self) -> None:
        """Returns when everything has been worked on. Raises what the work raised."""
        self._all = True
        self._kick()
        while self._working is not None:
            await asyncio.wait([self._working])
        self._raise()

    async def stop(self) -> None:
        """Drops what waits, and returns when the thread has let go; raises nothing."""
        self._waiting, self._waiting_bytes = [], 0
        while self._working is not None:
            await asyncio.wait([self._working])

    def _kick(self) -> None:
        enough = self._waiting_bytes >= (1 if self._all else self._batch_bytes)
        if self._working is None and enough and self._failure is None:
            batch, self._waiting, self._waiting_bytes = self._waiting, [], 0
            self._working = asyncio.ensure_future(self._run(lambda: self._work(batch)))
            self._working.add_done_callback(self._done)

    def _done(self, future: asyncio.Future[None]) -> None:
        self._working = None
        self._failure = self._failure or (asyncio.CancelledError() if future.cancelled() else future.exception())
        self._kick()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

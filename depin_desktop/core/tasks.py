"""Background tasks with an owner, and loops that can be triggered.

asyncio keeps only weak references to tasks and drops their failures; `Tasks` keeps them, names them and reports. A
`Cycle` is a loop that tests (and events) can trigger, so that nothing has to sleep to see it run.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Tasks:
    """Owns the background tasks of one component: strong references, names, reported failures, one close."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs `work` until it ends or `close` is called; a failure is logged under `owner/name`."""
        task = asyncio.get_running_loop().create_task(work, name=f"{self._owner}/{name}")
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task %s failed", task.get_name(), exc_info=error)

    async def close(self, timeout_s: float = 5.0) -> None:
        """Cancels what runs and waits for it, at most `timeout_s`; what outlives that is named in the log."""
        current = asyncio.current_task()
        running = [task for task in self._tasks if task is not current]
        for task in running:
            task.cancel()
        if running:
            _, stuck = await asyncio.wait(running, timeout=timeout_s)
            for task in stuck:
                log.error("task %s did not stop within %.0f s", task.get_name(), timeout_s)


class Cycle:
    """A repeated piece of work: every `interval_s`, and at once when triggered.

    A failing round is logged and the next one comes after the usual interval; the loop itself never dies of it. Rounds
    that are a second or more apart fall on whole seconds, those of all cycles: an idle process wakes once for them all.
    """

    def __init__(self, name: str, interval_s: float, work: Callable[[], Awaitable[object]]) -> None:
        self.name = name
        self.interval_s = interval_s
        self._work = work
        self._wake = asyncio.Event()
        self._rounds = 0
        self._running = False
        self._round_done = asyncio.Condition()

    async def run(self) -> None:
        """The loop; give it to `Tasks.spawn`. The first round starts at once."""
        while True:
            self._wake.clear()
            self._running = True
            try:
                await self._work()
            except Exception:
                log.exception("cycle %s: a round failed", self.name)
            self._running = False
            async with self._round_done:
                self._rounds += 1
                self._round_done.notify_all()
            # Not wait_for: before Python 3.12 it swallows a cancellation that comes together with the trigger.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._next_round_at()):
                    await self._wake.wait()

    def _next_round_at(self) -> float:
        at = asyncio.get_running_loop().time() + self.interval_s
        return at if self.interval_s < 1 else round(at)

    def trigger(self) -> None:
        """Starts the next round now, without waiting for it."""
        self._wake.set()

    async def trigger_and_wait(self) -> None:
        """Returns when a round that began after this call has ended."""
        async with self._round_done:
            # A round may be under way; then the one after it is the first that began after this call.
            target = self._rounds + (2 if self._running else 1)
            self.trigger()
            while self._rounds < target:
                await self._round_done.wait()

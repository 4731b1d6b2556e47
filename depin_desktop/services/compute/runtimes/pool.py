"""The workers of one runtime: started when a job comes, shared by the jobs that fit, ended when idle or told to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from depin_desktop.core.tasks import Tasks
from depin_desktop.services.compute.runtimes.base import JobFailed
from depin_desktop.services.compute.runtimes.worker import Plan, Worker


class Pool:
    """Lends workers to jobs.

    Args:
        plan: called before each start, so that a worker gets what is allowed then.
        most: how many processes at once.
        slots: jobs that one process does at once.
        begun: called when a worker begins to load.
        started: called when it is loaded.
        failed: called when it cannot be loaded, for a reason of its own.
    """

    def __init__(
        self,
        name: str,
        *,
        plan: Callable[[], Plan],
        most: Callable[[], int],
        slots: int,
        begun: Callable[[], None],
        started: Callable[[Worker], None],
        failed: Callable[[JobFailed], None],
    ) -> None:
        self.name = name
        self.slots = slots
        self.used_at = time.monotonic()
        self._plan = plan
        self._most = most
        self._begun = begun
        self._started = started
        self._failed = failed
        self._workers: dict[Worker, int] = {}  # with the number of jobs that it is lent to
        self._starting: set[Worker] = set()
        self._waiting: list[asyncio.Future[None]] = []
        self._closed = False
        self._tasks = Tasks(f"compute/{name}")

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Every process there is, also those that are still loading."""
        return (*self._workers, *self._starting)

    @property
    def loaded(self) -> bool:
        """Whether a job would find a worker ready."""
        return any(worker.usable for worker in self._workers)

    @property
    def busy(self) -> bool:
        """Whether a job has a worker, or one is being loaded."""
        return bool(self._starting) or any(max(lent, w.running) for w, lent in self._workers.items())

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Worker]:
        """A worker with a free slot; waits for one if need be.

        Raises:
            JobFailed: none can be started.
        """
        worker = await self._acquire()
        try:
            yield worker
        finally:
            if worker in self._workers:
                self._workers[worker] -= 1
            self.used_at = time.monotonic()
            self._wake()

    async def _acquire(self) -> Worker:
        while True:
            worker = self._free()
            if worker is not None:
                self._workers[worker] += 1
                return worker
            if self._closed:
                raise JobFailed("overloaded", "This machine does not work any more.")
            if len(self.workers) < max(1, self._most()):
                # Whoever leaves meanwhile leaves a loaded worker to the next.
                worker = Worker(self._plan(), changed=self._wake)
                self._starting.add(worker)
                failure = await asyncio.shield(self._tasks.spawn("start", self._start(worker)))
                if failure is not None:
                    raise failure
                continue
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting

    def _free(self) -> Worker | None:
        fits = [w for w, lent in self._workers.items() if w.usable and max(lent, w.running) < self.slots]
        return max(fits, key=lambda worker: worker.running, default=None)

    async def _start(self, worker: Worker) -> JobFailed | None:
        self._begun()
        try:
            await worker.start()
            self._workers[worker] = 0
            self._tasks.spawn("watch", self._forget_when_ended(worker))
            self._started(worker)
        except JobFailed as failure:
            if failure.code != "overloaded":
                self._failed(failure)
            return failure
        else:
            return None
        finally:
            self._starting.discard(worker)
            self._wake()

    async def _forget_when_ended(self, worker: Worker) -> None:
        await worker.ended.wait()
        del self._workers[worker]
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def end(self, why: JobFailed | None = None, *, idle_for_s: float | None = None) -> None:
        """Ends the workers at once; with `idle_for_s` only those that have had nothing to do for so long."""
        now = time.monotonic()
        ending = self.workers
        if idle_for_s is not None:
            idle = (w for w, lent in self._workers.items() if not (lent or w.running))
            ending = tuple(worker for worker in idle if now - worker.idle_since >= idle_for_s)
        await asyncio.gather(*(worker.kill(why) for worker in ending))

    async def renew(self) -> None:
        """Ends idle workers that would be started in another way now."""
        idle = [worker for worker, lent in self._workers.items() if not (lent or worker.running)]
        if idle:
            wanted = self._plan()
            await asyncio.gather(*(worker.kill() for worker in idle if not worker.plan.same_as(wanted)))

    async def close(self) -> None:
        """Ends everything for good."""
        self._closed = True
        await self.end()
        await self._tasks.close()

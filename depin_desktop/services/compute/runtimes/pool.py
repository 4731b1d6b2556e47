"""The workers of one runtime: started when a job comes, shared by the jobs that fit, ended when idle or told to."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from depin_desktop.core.tasks import Tasks
from depin_desktop.services.compute.runtimes.base import Chunk, Job, JobFailed, Usage, WorkerLost
from depin_desktop.services.compute.runtimes.worker import Plan, Worker

log = logging.getLogger(__name__)


class Pool:
    """Lends workers to jobs.

    Args:
        plan: called before each start, so that a worker gets what is allowed then.
        most: how many processes at once.
        slots: jobs that one process does at once.
        begun: called when a worker begins to load, and with each job.
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
        self._alone: set[Worker] = set()  # of those, the ones that one job has for itself
        self._wanted_alone = 0
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

    async def run(self, job: Job, *, seconds: float) -> AsyncGenerator[Chunk, None]:
        """Does one job in a worker; see `Worker.run`.

        A job whose shared worker went down before anything of its output was there runs once more, and has a worker for
        itself until it has got further than before: if it was the one at fault, it takes nobody else with it again.
        """
        begun = False
        try:
            async with self.lend() as worker, aclosing(worker.run(job, seconds=seconds)) as chunks:
                self._begun()
                async for chunk in chunks:
                    begun = True
                    yield chunk
                return
        except WorkerLost as lost:
            if begun or self.slots == 1:
                raise
            log.info("a job of %s runs again, by itself: %s", self.name, lost.message)
        job.told(Usage())  # what went down with the worker is nobody's to pay
        async with self.lend(alone=True) as worker, aclosing(worker.run(job, seconds=seconds)) as chunks:
            self._begun()
            async for chunk in chunks:
                self._share(worker)
                yield chunk

    @asynccontextmanager
    async def lend(self, *, alone: bool = False) -> AsyncIterator[Worker]:
        """A worker with a free slot, or (`alone`) one with nothing else to do; waits for one if need be.

        Raises:
            JobFailed: none can be started.
        """
        worker = await self._acquire(alone=alone)
        try:
            yield worker
        finally:
            if worker in self._workers:
                self._workers[worker] -= 1
            self.used_at = time.monotonic()
            self._share(worker)
            self._wake()

    def _share(self, worker: Worker) -> None:
        """From now on others may use it, too."""
        if worker in self._alone:
            self._alone.discard(worker)
            self._wake()

    async def _acquire(self, *, alone: bool) -> Worker:
        if not alone:
            return await self._found(1)
        self._wanted_alone += 1  # nobody else begins until it has had its turn, or it would never come
        try:
            worker = await self._found(self.slots)
            self._alone.add(worker)
            return worker
        finally:
            self._wanted_alone -= 1
            self._wake()

    async def _found(self, slots: int) -> Worker:
        """A worker with so many free slots, of which one is taken now."""
        while True:
            worker = self._free(slots)
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

    def _free(self, slots: int) -> Worker | None:
        if self._wanted_alone and slots < self.slots:
            return None
        usable = ((w, lent) for w, lent in self._workers.items() if w.usable and w not in self._alone)
        fits = [worker for worker, lent in usable if max(lent, worker.running) + slots <= self.slots]
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
        self._alone.discard(worker)
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

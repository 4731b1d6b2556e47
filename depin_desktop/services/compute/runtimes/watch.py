"""Watches workers while they work: their memory, their children, and what they put on the disk."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from depin_desktop.core.tasks import Tasks
from depin_desktop.services.compute.runtimes import limits
from depin_desktop.services.compute.runtimes.base import JobFailed
from depin_desktop.services.compute.runtimes.worker import Worker

INTERVAL_S = 0.2
CHILDREN_INTERVAL_S = 2.0
MAX_CHILDREN = 4
MAX_FOLDER_BYTES = 256 << 20
MAX_FOLDER_FILES = 10_000


@dataclass(frozen=True)
class Held:
    """What one process holds."""

    pid: int
    memory_bytes: int
    folder_bytes: int = 0
    children: int = 0


class Watch:
    """Looks every fifth of a second while a job runs, and not at all when none does.

    Args:
        memory_bytes: what all workers together may hold now.
        threads: how many processors they may keep busy now.
    """

    def __init__(
        self,
        workers: Callable[[], Sequence[Worker]],
        memory_bytes: Callable[[], int],
        threads: Callable[[], int],
    ) -> None:
        self._workers = workers
        self._memory_bytes = memory_bytes
        self._threads = threads
        self._tasks = Tasks("compute/watch")
        self._watching: asyncio.Task[None] | None = None
        self._children_at = 0.0
        self._kept_to: dict[int, int] = {}

    def look(self) -> None:
        """A job begins, or a model is being loaded."""
        if self._watching is None or self._watching.done():
            self._watching = self._tasks.spawn("look", self._run())

    async def close(self) -> None:
        await self._tasks.close()

    async def _run(self) -> None:
        while any(worker.running or worker.loading for worker in self._workers()):
            await self.round()
            await asyncio.sleep(INTERVAL_S)

    async def round(self) -> None:
        """Looks once and ends what holds too much."""
        workers = {worker.pid: worker for worker in self._workers() if worker.pid and not worker.ended.is_set()}
        count_children = time.monotonic() - self._children_at > CHILDREN_INTERVAL_S
        if count_children:
            self._children_at = time.monotonic()
        folders = {pid: worker.plan.folder for pid, worker in workers.items()}
        self._follow_threads(list(workers))
        held = await asyncio.to_thread(_read, folders, children=count_children)
        for pid, why in excesses(held, self._memory_bytes()).items():
            await workers[pid].kill(why)

    def _follow_threads(self, pids: list[int]) -> None:
        threads = self._threads()
        for pid in pids:
            if threads and self._kept_to.get(pid, threads) != threads:
                limits.keep_to(pid, threads)
        self._kept_to = dict.fromkeys(pids, threads)


def excesses(held: Sequence[Held], memory_bytes: int) -> dict[int, JobFailed]:
    """Which processes must end, and for what: the largest go first until the others fit."""
    ending = {}
    left = sum(one.memory_bytes for one in held)
    for one in sorted(held, key=lambda one: -one.memory_bytes):
        if one.children > MAX_CHILDREN:
            ending[one.pid] = JobFailed("crashed", "The job started other programs, which it may not.")
        elif one.folder_bytes > MAX_FOLDER_BYTES:
            ending[one.pid] = JobFailed("output-limit", "The job wrote more files than it may.")
        elif memory_bytes and left > memory_bytes:
            ending[one.pid] = JobFailed("memory-limit", "The job took more memory than this machine's owner allows.")
        if one.pid in ending:
            left -= one.memory_bytes
    return ending


def _read(folders: dict[int, Path], *, children: bool) -> list[Held]:
    held = []
    for pid, folder in folders.items():
        try:
            process = psutil.Process(pid)
            others = process.children(recursive=True) if children else []
            memory = sum(one.memory_info().rss for one in (process, *others))
        except psutil.Error:
            continue  # it has ended, or one of its children just now
        held.append(Held(pid, memory, _folder_bytes(folder), len(others)))
    return held


def _folder_bytes(folder: Path) -> int:
    """Bytes in a folder; a folder with too many files counts as too many bytes."""
    total = files = 0
    for place, _, names in os.walk(folder):
        files += len(names) + 1
        if files > MAX_FOLDER_FILES:
            return MAX_FOLDER_BYTES + 1
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total

"""One worker process as the engine sees it: started, spoken to, and ended with its children."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import shutil
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depin_desktop.services.compute.runtimes import limits
from depin_desktop.services.compute.runtimes.base import Chunk, Job, JobFailed, Usage, WorkerLost
from depin_desktop.services.compute.runtimes.frames import BadFrame, Decoder, Frame, Kind

log = logging.getLogger(__name__)

READY_TIMEOUT_S = 300.0
END_TIMEOUT_S = 5.0
TAIL_BYTES = 4096
_READ_BYTES = 1 << 18
_PASSED_ON = ("SYSTEMROOT", "WINDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG")
_PACKAGES = str(Path(__file__).parents[4])


@dataclass(frozen=True)
class Plan:
    """How a worker is started.

    Attributes:
        engine: the module that it loads, in full; see `engine.Engine`.
        settings: what that module's `load` takes, beside the worker's private folder.
        folder: private to the worker: made for it and removed after it.
        threads: how many processors it may keep busy.
        memory_bytes: private memory that the system itself holds it to; 0 for no such bound.
        file_bytes: size of a file that it may write; 0 for no bound.
        environment: beside the few variables without which nothing starts.
        grace_s: what it has to end a job that it was told to end, before it is killed.
    """

    engine: str
    settings: Mapping[str, Any]
    folder: Path
    threads: int
    memory_bytes: int = 0
    file_bytes: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    grace_s: float = 0.5

    def same_as(self, other: Plan) -> bool:
        """Whether a worker of the one does as well for the other; bounds that are watched anyway do not matter."""
        mine = (self.engine, self.settings, self.threads, self.environment)
        return mine == (other.engine, other.settings, other.threads, other.environment)


@dataclass
class _Running:
    """A job that the worker has not ended yet, whether or not somebody still waits for it."""

    told: Callable[[Usage], None]
    frames: asyncio.Queue[Frame | JobFailed] = field(default_factory=asyncio.Queue)
    usage: Usage = field(default_factory=Usage)
    started_at: float = field(default_factory=time.monotonic)

    def failure(self, cause: JobFailed) -> JobFailed:
        seconds = time.monotonic() - self.started_at
        told = self.usage
        usage = Usage(told.prompt_tokens, told.completion_tokens, told.fuel, max(told.seconds, seconds))
        return type(cause)(cause.code, cause.message, usage, cause.log)


class Worker:
    """One process with one loaded engine.

    Attributes:
        about: what the engine told of itself when it was loaded.
        ended: set when the process is gone, for whatever reason.

    Args:
        changed: called when a job has ended in the process, whether or not somebody waited for it.
    """

    def __init__(self, plan: Plan, changed: Callable[[], None] = lambda: None) -> None:
        self.plan = plan
        self._changed = changed
        self.about: Mapping[str, Any] = {}
        self.ended = asyncio.Event()
        self.idle_since = time.monotonic()
        self._numbers = itertools.count(1)
        self._jobs: dict[int, _Running] = {}
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._process: asyncio.subprocess.Process | None = None
        self._tail = b""
        self._killed_for: JobFailed | None = None
        self._lifeline: int | None = None
        self._handle: object | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int:
        """The process number; 0 before there is a process."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> int:
        """Jobs that it has not ended yet."""
        return len(self._jobs)

    @property
    def loading(self) -> bool:
        """Whether its engine is still being loaded."""
        return not self._ready.done() and not self.ended.is_set()

    @property
    def usable(self) -> bool:
        """Whether it can be given a job."""
        return self._process is not None and not self.ended.is_set() and self._killed_for is None

    # --- its life

    async def start(self) -> None:
        """Starts the process and waits until its engine is loaded.

        Raises:
            JobFailed: it could not be; there is no process any more.
        """
        self.plan.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        inherited, self._lifeline = os.pipe() if sys.platform == "linux" else (None, None)
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-s", "-m", "depin_desktop.services.compute.runtimes.child"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=_environment(self.plan),
                cwd=self.plan.folder,
                start_new_session=True,
                pass_fds=() if inherited is None else (inherited,),
            )
        except OSError as error:
            self._clean_up()
            raise JobFailed("crashed", f"No worker could be started: {error.strerror}.") from error
        finally:
            if inherited is not None:
                os.close(inherited)
        self._handle = limits.bind(process.pid)
        limits.keep_to(process.pid, self.plan.threads)
        self._spawn(self._read(process))
        setup = {
            "engine": self.plan.engine,
            "settings": {**self.plan.settings, "folder": str(self.plan.folder)},
            "memory_bytes": self.plan.memory_bytes,
            "file_bytes": self.plan.file_bytes,
            "lifeline": inherited,
        }
        try:
            if self._killed_for is not None:  # while there was no process yet
                await self.kill()
            async with asyncio.timeout(READY_TIMEOUT_S):
                await self._send(Frame(Kind.SETUP, meta=setup))
                await asyncio.shield(self._ready)
        except TimeoutError as error:
            await self.kill()
            raise JobFailed("crashed", "The runtime did not become ready in time.", log=self.tail()) from error
        except BaseException:
            await self.kill()
            raise

    async def kill(self, why: JobFailed | None = None) -> None:
        """Ends the process and its children at once; running jobs fail with `why`."""
        if self._killed_for is None:
            self._killed_for = why or JobFailed("crashed", "The worker was ended.")
        if self._process is None or self.ended.is_set():
            return  # `start` looks for itself
        await asyncio.to_thread(limits.kill, self._process.pid)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_TIMEOUT_S):
                await self.ended.wait()

    def tail(self) -> str:
        """The last lines that the process wrote to standard error."""
        return self._tail.decode("utf-8", "replace").strip()

    # --- jobs

    async def run(self, job: Job, *, seconds: float) -> AsyncGenerator[Chunk, None]:
        """Does one job. Closing the iterator cancels it, and ends the process if it does not heed that.

        Args:
            seconds: of wall-clock time.

        Raises:
            JobFailed: see `base.JobFailed`.
        """
        if not self.usable:
            raise JobFailed("crashed", "The worker has ended.")
        number, running = next(self._numbers), _Running(job.told)
        self._jobs[number] = running
        over = JobFailed("time-limit", "The job took longer than it may.")
        timer = asyncio.get_running_loop().call_later(seconds, self._end_job, number, over)
        try:
            meta = {"kind": job.kind.value, "body": job.body, "model": job.model, "module": str(job.module or "")}
            await self._send(Frame(Kind.RUN, number, meta, job.payload))
            while True:
                frame = await running.frames.get()
                if isinstance(frame, JobFailed):
                    raise frame
                if frame.kind is Kind.FAILED:
                    raise JobFailed(str(frame.meta["code"]), str(frame.meta["message"]), frame.usage, self.tail())
                last = frame.kind is Kind.END
                yield Chunk(frame.data, frame.usage, last)
                if last:
                    return
        finally:
            timer.cancel()
            self._end_job(number, over)

    def _end_job(self, number: int, why: JobFailed) -> None:
        if number in self._jobs and self.usable:
            self._spawn(self._send(Frame(Kind.CANCEL, number)))
            asyncio.get_running_loop().call_later(self.plan.grace_s, self._give_up, number, why)

    def _give_up(self, number: int, why: JobFailed) -> None:
        """Ends the process for a job that cannot be ended alone: those beside it are none the worse for it."""
        if number in self._jobs and self.usable:
            self._killed_for = WorkerLost("crashed", "A job that ran beside this one could not be ended.")
            running = self._jobs.pop(number)
            running.frames.put_nowait(running.failure(why))
            self._spawn(self.kill())

    # --- the pipes

    async def _send(self, frame: Frame) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):  # it has ended, which `_read` notices, too
            self._process.stdin.write(frame.encode())
            await self._process.stdin.drain()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        errors = asyncio.create_task(self._read_errors(process))
        decoder = Decoder()
        try:
            while data := await process.stdout.read(_READ_BYTES):
                for frame in decoder.feed(data):
                    self._take(frame)
        except (BadFrame, ConnectionError) as error:
            log.warning("worker %d of %s speaks nonsense: %s", process.pid, self.plan.engine, error)
        finally:
            await asyncio.to_thread(limits.kill, process.pid)
            status = await process.wait()
            await asyncio.wait({errors}, timeout=0.5)
            errors.cancel()
            self._gone(status)

    async def _read_errors(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while data := await process.stderr.read(_READ_BYTES):
            self._tail = (self._tail + data)[-TAIL_BYTES:]

    def _take(self, frame: Frame) -> None:
        if frame.kind in (Kind.READY, Kind.BROKEN) and self._ready.done():
            raise BadFrame("it was ready already")
        if frame.kind is Kind.READY:
            self.about = frame.meta
            self._ready.set_result(None)
        elif frame.kind is Kind.BROKEN:
            failed = JobFailed(str(frame.meta["code"]), str(frame.meta["message"]), log=self.tail())
            self._ready.set_exception(failed)
        elif running := self._jobs.get(frame.job):
            running.usage = frame.usage
            if frame.kind is Kind.PROGRESS:
                running.told(frame.usage)
            else:
                running.frames.put_nowait(frame)
            if frame.kind in (Kind.END, Kind.FAILED):
                del self._jobs[frame.job]
                self.idle_since = time.monotonic()
                self._changed()

    def _gone(self, status: int) -> None:
        cause = self._killed_for
        if cause is None:
            cause = WorkerLost("crashed", f"The runtime {limits.why(status)} while it worked on this.", log=self.tail())
        if not self._ready.done():
            message = f"The runtime {limits.why(status)} while it was being loaded."
            self._ready.set_exception(self._killed_for or JobFailed("crashed", message, log=self.tail()))
            self._ready.exception()  # whoever waits has it; nobody may
        for running in self._jobs.values():
            running.frames.put_nowait(running.failure(cause))
        self._jobs.clear()
        self._clean_up()

    def _clean_up(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
        self._lifeline = self._handle = None
        shutil.rmtree(self.plan.folder, ignore_errors=True)
        self.ended.set()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"worker/{self.plan.engine}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _environment(plan: Plan) -> dict[str, str]:
    """Nothing of ours, in which a secret may be, but what programs need to be found and started."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        **kept,
        "PATH": os.defpath,
        "HOME": str(plan.folder),
        "TMPDIR": str(plan.folder),
        "PYTHONPATH": _PACKAGES,
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": str(plan.threads),
        "RAYON_NUM_THREADS": str(plan.threads),
        **plan.environment,
    }

"""A child process that is kept alive: started, checked for readiness, restarted with back-off, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.handlers
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.tasks import Tasks
from depin_desktop.localnet.children import ProcessId, bound_to_parent

log = logging.getLogger(__name__)

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 0.1, 30.0
STABLE_AFTER_S = 60.0  # a child that ran this long has its back-off forgotten
START_ATTEMPTS = 3  # a port can be taken between our choosing it and the child's binding it
LOG_BYTES, LOG_FILES = 1_000_000, 3


class Child:
    """One supervised process.

    Args:
        command: called before every start, so that ports and files can be chosen anew.
        ready: asked repeatedly after a start, until it says yes; it must not block for long.
        started: called after each time the child has become ready.
        log_path: where its output goes, rotated.
    """

    def __init__(
        self,
        name: str,
        *,
        command: Callable[[], Awaitable[Sequence[str]]],
        ready: Callable[[], Awaitable[bool]],
        log_path: Path,
        started: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self.restarts = 0
        self.started_at = 0.0
        self.identity: ProcessId | None = None
        self._command = command
        self._ready = ready
        self._started = started
        self._log_path = log_path
        self._process: asyncio.subprocess.Process | None = None
        self._tasks = Tasks(f"localnet/{name}")
        self._tail: deque[str] = deque(maxlen=20)
        self._watching: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self._output: logging.handlers.RotatingFileHandler | None = None

    @property
    def pid(self) -> int | None:
        """The process number while the child is running and ready."""
        return self.identity.pid if self.identity else None

    async def start(self) -> None:
        """Starts the child and watches it from then on.

        Raises:
            UserFacingError: it did not become ready; its last words are in the message.
        """
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        self._output = logging.handlers.RotatingFileHandler(
            self._log_path, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8"
        )
        for attempt in range(START_ATTEMPTS):
            try:
                await self._spawn()
                break
            except UserFacingError:
                if attempt == START_ATTEMPTS - 1:
                    raise
        self._watching = self._tasks.spawn("watch", self._watch())

    async def _spawn(self) -> None:
        command = await self._command()
        self._tail.clear()
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            **bound_to_parent(),
        )
        self._process = process
        self._tasks.spawn("output", self._copy_output(process))
        try:
            # Not wait_for, which may swallow a cancellation on Python 3.11.
            async with asyncio.timeout(READY_TIMEOUT_S):
                await self._until_ready(process)
        except BaseException as error:
            await _end(process)
            if isinstance(error, TimeoutError):
                raise self._failure("was not ready in time") from None
            raise
        async with self._changed:
            self.identity = ProcessId.of(process.pid)
            self.started_at = time.time()
            self._changed.notify_all()
        if self._started:
            await self._started()

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        pause_s = 0.005
        while True:
            ready = await self._ready()
            if process.returncode is not None:  # even if somebody answered: it was not ours
                raise self._failure(f"ended with status {process.returncode}")
            if ready:
                return
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.2)

    def _failure(self, what: str) -> UserFacingError:
        words = " ".join(self._tail)[-500:]
        return UserFacingError(
            f"{self.name} {what}{': ' + words if words else '.'}",
            f"Look into {self._log_path}.",
            code="child-failed",
            status=500,
        )

    async def _copy_output(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # a line longer than the reader's limit; its beginning is dropped
                continue
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip()
            self._tail.append(text)
            if self._output is not None:
                self._output.handle(logging.makeLogRecord({"msg": text, "name": self.name, "levelno": logging.INFO}))

    async def _watch(self) -> None:
        back_off_s = FIRST_BACK_OFF_S
        while True:
            assert self._process is not None
            status = await self._process.wait()
            self.identity = None
            if time.time() - self.started_at > STABLE_AFTER_S:
                back_off_s = FIRST_BACK_OFF_S
            log.warning("%s ended with status %s; starting it again in %.1f s", self.name, status, back_off_s)
            await asyncio.sleep(back_off_s)
            back_off_s = min(back_off_s * 2, LONGEST_BACK_OFF_S)
            try:
                await self._spawn()
            except UserFacingError as error:
                log.warning("%s", error)
                continue
            except Exception:
                log.exception("%s could not be started", self.name)
                continue
            async with self._changed:
                self.restarts += 1
                self._changed.notify_all()

    async def restarted(self, count: int) -> None:
        """Returns once the child has been restarted `count` times since `start`, and is ready again."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.restarts >= count)

    def kill(self) -> None:
        """Ends a child that no longer answers; the watch starts it again."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def stop(self) -> None:
        """Ends the child politely, after a while by force. A second call does nothing."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])
        process, self._process = self._process, None
        self.identity = None
        if process is not None:
            await _end(process)
        await self._tasks.close()
        output, self._output = self._output, None
        if output is not None:
            output.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

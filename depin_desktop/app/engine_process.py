"""Starts the engine as a process of its own, which outlives the window unless it is told otherwise."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home

STOP_TIMEOUT_S = 16.0  # a little more than the engine's own deadline
MAX_SAID = 4000


class EngineProcess:
    """The engine that this app started, if it did.

    Args:
        command: what to run in place of this Python's `depin engine`; the tests use it.
    """

    def __init__(self, home: Home, command: list[str] | None = None) -> None:
        self._home = home
        self._command = command or [sys.executable, "-m", "depin_desktop.cli", "engine", "--home", str(home.root)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def started(self) -> bool:
        """Whether this app started an engine."""
        return self._process is not None

    @property
    def running(self) -> bool:
        """Whether the engine that this app started is still there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Its process id, once started."""
        return self._process.pid if self._process is not None else None

    @property
    def _log(self) -> Path:
        return self._home.logs / "engine-start.log"

    async def start(self) -> None:
        """Starts it in a session of its own, with what it says on standard error kept in the home's logs.

        Raises:
            UserFacingError: the operating system refused.
        """
        try:
            self._process = await asyncio.to_thread(self._start)
        except OSError as error:
            raise UserFacingError(
                f"The engine could not be started ({error.strerror}).",
                "Check that the installation is whole and the disk is not full.",
                code="engine-not-started",
            ) from error

    def _start(self) -> subprocess.Popen[bytes]:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        # Detached: neither Ctrl-C in the window's terminal nor the window's end may reach it.
        detached = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
        with self._log.open("wb") as said:
            return subprocess.Popen(  # noqa: S603  # our own command line, no shell
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
                creationflags=detached,
            )

    async def last_words(self) -> str:
        """The last line that the engine wrote before it ended, or nothing."""

        def read() -> str:
            try:
                said = self._log.read_text("utf-8", errors="replace")[-MAX_SAID:]
            except OSError:
                return ""
            lines = [line.strip() for line in said.splitlines() if line.strip()]
            return lines[-1] if lines else ""

        return await asyncio.to_thread(read)

    async def stop(self, *, asked: bool, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Waits for its end. One that was not `asked` over the API is asked by signal; one that stays is killed."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        if not asked:
            process.terminate()
        try:
            await asyncio.to_thread(process.wait, timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

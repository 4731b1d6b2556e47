"""Starts the engine as a process of its own, which outlives the window unless it is told otherwise."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QProcess

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home

if TYPE_CHECKING:
    import psutil

STOP_TIMEOUT_S = 12.0
MAX_SAID = 4000


class EngineProcess:
    """The engine that this app started, if it did.

    Args:
        command: what to run in place of this Python's `depin engine`; the tests use it.
    """

    def __init__(self, home: Home, command: list[str] | None = None) -> None:
        self._home = home
        self._command = command or [sys.executable, "-m", "depin_desktop.cli", "engine", "--home", str(home.root)]
        self._pid: int | None = None
        self._born: float | None = None

    @property
    def started(self) -> bool:
        """Whether this app started an engine."""
        return self._pid is not None

    @property
    def running(self) -> bool:
        """Whether the engine that this app started is still there."""
        return self._find() is not None

    @property
    def _log(self) -> Path:
        return self._home.logs / "engine-start.log"

    async def start(self) -> None:
        """Starts it detached, with what it says on standard error kept in the home's logs.

        Raises:
            UserFacingError: the operating system refused.
        """
        await asyncio.to_thread(self._prepare_log)
        process = QProcess()
        process.setProgram(self._command[0])
        process.setArguments(self._command[1:])
        process.setStandardInputFile(QProcess.nullDevice())
        process.setStandardOutputFile(QProcess.nullDevice())
        process.setStandardErrorFile(str(self._log))
        started, pid = process.startDetached()
        if not started:
            raise UserFacingError(
                "The engine could not be started.", "Check that the installation is whole.", code="engine-not-started"
            )
        self._pid = int(pid)
        found = self._find()
        self._born = found.create_time() if found else None

    def _prepare_log(self) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.unlink(missing_ok=True)

    def _find(self) -> psutil.Process | None:
        import psutil  # not needed before an engine was started

        if self._pid is None:
            return None
        try:
            process = psutil.Process(self._pid)
            same = self._born is None or process.create_time() == self._born
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None

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

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Waits for its end, after asking it by signal; kills it when it does not come."""
        import psutil

        process = self._find()
        if process is None:
            return

        def end() -> None:
            try:
                process.terminate()
                process.wait(timeout_s)
            except psutil.TimeoutExpired:
                process.kill()
            except psutil.NoSuchProcess:
                return

        await asyncio.to_thread(end)

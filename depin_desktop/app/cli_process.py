"""Runs `depin` for what the engine must never see: the wallet's password and words, which go by pipe alone."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QProcess, QProcessEnvironment

from depin_desktop.app.loop import future_of
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home

TIMEOUT_S = 120.0


async def depin(
    home: Home,
    *arguments: str,
    password: str | None = None,
    timeout_s: float = TIMEOUT_S,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> Any:
    """Runs one command with --json and returns its answer.

    Args:
        progress: is told how far the command is, as it says so itself: {"progress": stage, …}.

    Raises:
        UserFacingError: the command's own error, or that it could not be run or did not end in time.
    """
    process = QProcess()
    process.setProgram(sys.executable)
    process.setArguments(["-m", "depin_desktop.cli", *arguments, "--home", str(home.root), "--json"])
    environment = QProcessEnvironment.systemEnvironment()
    environment.insert("PYTHONIOENCODING", "utf-8")
    process.setProcessEnvironment(environment)
    ended = future_of(process.finished, process.errorOccurred)
    heard = _Heard(progress)
    process.readyReadStandardError.connect(lambda: heard.more(bytes(process.readAllStandardError().data())))
    process.start()
    if password is not None:
        process.write((password + "\n").encode())
    process.closeWriteChannel()
    try:
        await asyncio.wait_for(ended, timeout_s)
    except TimeoutError as error:
        raise UserFacingError("The command did not end in time.", "Try again.", code="command-timeout") from error
    finally:
        if process.state() is not QProcess.ProcessState.NotRunning:
            process.kill()
    out = bytes(process.readAllStandardOutput().data()).decode("utf-8", "replace")
    heard.more(bytes(process.readAllStandardError().data()))
    return _answer(out, heard.text, process.exitCode())


class _Heard:
    """What a command says on standard error, as it comes: whole lines, some of which tell its progress."""

    def __init__(self, progress: Callable[[dict[str, Any]], None] | None) -> None:
        self._progress = progress
        self._whole, self._line = b"", b""

    @property
    def text(self) -> str:
        return self._whole.decode("utf-8", "replace").strip()

    def more(self, content: bytes) -> None:
        self._whole += content
        *lines, self._line = (self._line + content).split(b"\n")
        if self._progress is None:
            return
        for line in lines:
            try:
                told = json.loads(line)
            except ValueError:
                continue
            if isinstance(told, dict) and "progress" in told:
                self._progress(told)


def _answer(out: str, said: str, status: int) -> Any:
    try:
        answer = json.loads(out) if out.strip() else None
    except ValueError:
        answer = None
    if isinstance(answer, dict) and isinstance(problem := answer.get("error"), dict):
        raise UserFacingError(
            str(problem.get("message", "")), str(problem.get("remedy", "")), code=str(problem.get("code", "error"))
        )
    if status != 0 or answer is None:
        last = said.splitlines()[-1] if said else ""
        raise UserFacingError("The command failed.", last, code="command-failed")
    return answer

"""Runs `depin` for what the engine must never see: making the wallet, showing its words. Passwords go by pipe."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from PySide6.QtCore import QProcess, QProcessEnvironment

from depin_desktop.app.loop import future_of
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home

TIMEOUT_S = 120.0


async def depin(home: Home, *arguments: str, password: str | None = None, timeout_s: float = TIMEOUT_S) -> Any:
    """Runs one command with --json and returns its answer.

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
    said = bytes(process.readAllStandardError().data()).decode("utf-8", "replace").strip()
    return _answer(out, said, process.exitCode())


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

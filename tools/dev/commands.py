"""Runs programs whose output matters only when they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.dev.places import LOGS, ROOT, shown
from tools.dev.say import Stop


def run_quietly(
    command: Sequence[str | Path],
    *,
    log: str,
    failure: str,
    remedy: str,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
) -> None:
    """Runs to the end with the output in a log; on a terminal its newest line is shown meanwhile.

    Raises:
        Stop: it failed; the sentence is `failure`, what the program said last, where the log is, and `remedy`.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / f"{log}.log"
    last = ""
    with path.open("w", encoding="utf-8") as file:
        try:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise Stop(f"{failure} ({command[0]}: {error.strerror}). {remedy}") from None
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                if line.strip() and not line.startswith(("WARNING", "[notice]", "npm notice")):
                    last = line.strip()
                    _show(last)
    _show("")
    if process.returncode:
        raise Stop(f"{failure}: {last.rstrip('.')}. {remedy} Everything it said is in {shown(path)}.")


def _show(line: str) -> None:
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 3
        print(f"\r\033[K{f'  {line}'[:width]}", end="", flush=True)

"""Child processes that are waited for patiently, ended in order, and never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tools.dev.places import LOGS, ROOT

POLL_S = 0.05
INTERRUPTION_S = 20.0
Matcher = Callable[[str], bool]
_on_linux = sys.platform == "linux"
if _on_linux:
    from tools.dev import linux


class Family:
    """The processes of one run of dev.py."""

    def __init__(self) -> None:
        self._own: list[subprocess.Popen[bytes]] = []
        if _on_linux:
            linux.adopt_orphans()

    def start(
        self, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, log: str | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts a process in a session of its own, so that Ctrl-C reaches only dev.py, which ends all in order.

        Args:
            log: where its output goes, as a name in `.depin/logs`; without it, to the terminal.
        """
        LOGS.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            output = stack.enter_context((LOGS / f"{log}.log").open("wb")) if log else None
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=ROOT,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=linux.end_with_parent if _on_linux else None,
            )
        self._own.append(process)
        return process

    def run(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        silent: bool = False,
        cwd: Path = ROOT,
    ) -> int:
        """Runs a program to its end, with its output on our terminal unless `silent`; returns its exit status.

        An interruption is passed on to it, once, and the program's own way of ending is waited for.
        """
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.DEVNULL if silent else None,
            stderr=subprocess.DEVNULL if silent else None,
            start_new_session=True,
        )
        self._own.append(process)
        if stdin is not None and process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(stdin)
                process.stdin.close()
        try:
            self.wait(process)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            self.wait(process, INTERRUPTION_S)
            raise
        return process.returncode

    def wait(self, process: subprocess.Popen[bytes], timeout_s: float = float("inf")) -> bool:
        """Whether the process has ended; gives up after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while process.poll() is None:
            if time.monotonic() > deadline:
                return False
            self.bury()
            time.sleep(POLL_S)
        return True

    def bury(self) -> None:
        """See `linux.bury_adopted`; without it, a program that waits for a detached process would wait in vain."""
        if _on_linux:
            linux.bury_adopted({process.pid for process in self._own if process.returncode is None})

    def end(self, process: subprocess.Popen[bytes], timeout_s: float) -> None:
        """Asks a process to end, and kills it when it has not after `timeout_s`."""
        if process.poll() is None:
            process.terminate()
            if not self.wait(process, timeout_s):
                process.kill()
                self.wait(process)

    def others(self, matches: Matcher = lambda command: True) -> dict[int, str]:
        """Living processes that came from this run and whose command line `matches`: pid → command line."""
        for process in self._own:
            process.poll()
        self.bury()
        if _on_linux:
            found = linux.descendants()
        else:
            found = {own.pid: subprocess.list2cmdline(own.args) for own in self._own if own.returncode is None}  # type: ignore[arg-type]
        return {pid: command for pid, command in found.items() if matches(command)}

    def end_others(self, timeout_s: float, matches: Matcher = lambda command: True) -> dict[int, str]:
        """Ends what `others` finds, first asking, after `timeout_s` killing; returns what there was."""
        seen: dict[int, str] = {}
        for number, patience in ((signal.SIGTERM, timeout_s), (getattr(signal, "SIGKILL", signal.SIGTERM), 5.0)):
            deadline = time.monotonic() + patience
            told: set[int] = set()
            while left := self.others(matches):
                seen.update(left)
                for pid in left.keys() - told:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, number)
                    told.add(pid)
                if time.monotonic() > deadline:
                    break
                time.sleep(POLL_S)
        return seen

"""`dev.py run` as a stranger meets it: it starts, says what it is doing, and leaves nothing, whatever dies first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tools.dev.places import PYTHON, ROOT, VENV

READY = "Ctrl-C here stops everything."
START_S, STOP_S = 90.0, 45.0

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks processes up by their environment"),
    # Anything else would set the working copy up, under the feet of this very test run.
    pytest.mark.skipif(not (VENV / "made-from").exists(), reason="dev.py has not set this working copy up"),
]


class Run:
    """One `dev.py run --headless` with its state in a folder of its own."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._log = state.with_suffix(f".{time.monotonic_ns()}.log")
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [PYTHON, "dev.py", "run", "--headless"],
                cwd=ROOT,
                env={**os.environ, "DEPIN_DEV_STATE": str(state)},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while READY not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)  # of another process; there is no event of ours to wait for

    def find(self, words: str) -> psutil.Process:
        (found,) = [process for process in self.alive() if words in " ".join(process.cmdline())]
        return found

    def alive(self) -> list[psutil.Process]:
        """Every process that works for this run, found by the folder in its environment."""
        mark = str(self._state)
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("DEPIN_DEV_STATE") == mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    yield folder
    for process in psutil.process_iter():
        try:
            if process.environ().get("DEPIN_DEV_STATE") == str(folder):
                process.kill()
        except psutil.Error:
            continue


def test_it_leaves_nothing_behind_whatever_dies_first(state: Path) -> None:
    first = Run(state)
    first.wait_until_ready()
    assert "tokens on this private network have no value" in first.said
    again = Run(state)
    assert again.process.wait(START_S) == 1
    assert "already running in this folder" in again.said
    first.find("bin/anvil").kill()
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(STOP_S) == 0, first.said
    assert first.said.endswith("stopped; nothing is left running\n")
    assert first.alive() == []

    second = Run(state)
    second.wait_until_ready()
    assert "making a wallet" not in second.said, "the wallet of the first run is used again"
    second.find("depin_desktop.cli engine").kill()
    assert second.process.wait(STOP_S) == 1, second.said
    assert "The engine ended, killed by signal 9." in second.said
    assert second.alive() == []
    assert "Traceback" not in first.said + again.said + second.said

"""A supervised child, seen on small real processes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import psutil
import pytest

from depin_desktop.core.errors import UserFacingError
from depin_desktop.localnet import child as module
from depin_desktop.localnet.child import Child

SAYS_AND_WAITS = "import signal, sys; print('hello', flush=True); sys.stdin.read() or signal.pause()"


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


class Script:
    """Runs one script after the other, one a start; the last one again and again."""

    def __init__(self, folder: Path, *codes: str) -> None:
        self.starts = 0
        self._codes = codes
        self.log = folder / "logs" / "child.log"
        self.child = Child("child", command=self._command, ready=self._ready, log_path=self.log)

    async def _command(self) -> Sequence[str]:
        code = self._codes[min(self.starts, len(self._codes) - 1)]
        self.starts += 1
        return python(code)

    async def _ready(self) -> bool:
        return self.log.exists() and "hello" in self.log.read_text()


@pytest.fixture
async def started(tmp_path: Path) -> AsyncIterator[Script]:
    script = Script(tmp_path, SAYS_AND_WAITS)
    await script.child.start()
    yield script
    await script.child.stop()


async def test_what_it_says_is_in_the_log(started: Script) -> None:
    assert started.log.read_text() == "hello\n"


async def test_killed_it_comes_back_as_often_as_needed(started: Script) -> None:
    seen = set()
    for restart in range(1, 4):
        pid = started.child.pid
        assert pid is not None
        seen.add(pid)
        psutil.Process(pid).kill()
        await started.child.restarted(restart)
    assert started.child.pid not in seen
    assert started.child.restarts == 3


async def test_stopped_it_stays_down(started: Script) -> None:
    assert started.child.pid is not None
    process = psutil.Process(started.child.pid)
    await started.child.stop()
    assert not process.is_running()
    assert started.child.pid is None
    await started.child.stop()
    assert started.starts == 1


async def test_one_that_cannot_start_says_its_last_words(tmp_path: Path) -> None:
    script = Script(tmp_path, "import sys; sys.exit('no such luck')")
    with pytest.raises(UserFacingError, match="status 1: no such luck"):
        await script.child.start()
    assert script.starts == module.START_ATTEMPTS
    await script.child.stop()


async def test_one_that_starts_at_the_second_attempt_is_started(tmp_path: Path) -> None:
    script = Script(tmp_path, "raise SystemExit(1)", SAYS_AND_WAITS)
    await script.child.start()
    assert script.starts == 2
    await script.child.stop()


async def test_one_that_is_never_ready_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READY_TIMEOUT_S", 0.3)
    before = set(psutil.Process().children())
    script = Script(tmp_path, "import signal; signal.pause()")
    with pytest.raises(UserFacingError, match="not ready in time"):
        await script.child.start()
    assert set(psutil.Process().children()) == before
    await script.child.stop()


async def test_one_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_TIMEOUT_S", 0.2)
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SAYS_AND_WAITS
    script = Script(tmp_path, stubborn)
    await script.child.start()
    assert script.child.pid is not None
    process = psutil.Process(script.child.pid)
    await script.child.stop()
    assert not process.is_running()


async def test_a_failing_restart_is_tried_again(tmp_path: Path) -> None:
    script = Script(tmp_path, SAYS_AND_WAITS, "raise SystemExit(1)", SAYS_AND_WAITS)
    await script.child.start()
    script.log.write_text("")
    script.child.kill()
    await script.child.restarted(1)
    assert script.starts == 3
    await script.child.stop()


async def test_long_and_endless_output_does_not_stop_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_BYTES", 100_000)
    noisy = "print('x' * 300_000); [print('y' * 1000) for _ in range(1000)];" + SAYS_AND_WAITS
    script = Script(tmp_path, noisy)
    await script.child.start()
    files = list(script.log.parent.iterdir())
    assert sum(file.stat().st_size for file in files) <= 100_000 * (module.LOG_FILES + 1)
    await script.child.stop()

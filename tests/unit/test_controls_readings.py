"""What the controls read of this machine: programs, load, and the sessions that logind lists."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from depin_desktop.controls.load import (
    AGAIN_S,
    OLD_S,
    Machine,
    OthersLoad,
    Programs,
    cpu_temperature,
    on_battery,
    own_pids,
)
from depin_desktop.controls.sessions import Idle, idle_of_sessions, read_idle

NOW = 1_800_000_000.0


def test_a_program_is_found_by_its_name_while_it_runs(tmp_path: Path) -> None:
    source = shutil.which("sleep")
    if source is None:
        pytest.skip("needs the program sleep, to run it under another name")
    game = tmp_path / "OurGame"
    shutil.copy(source, game)
    programs = Programs()
    assert programs.running(("ourgame",)) == ()
    process = subprocess.Popen([game, "60"])
    try:
        assert [(app.name, app.pid) for app in programs.running(("OurGame.exe",))] == [("OurGame.exe", process.pid)]
    finally:
        process.kill()
        process.wait()
    assert programs.running(("ourgame",)) == ()


def test_our_own_work_and_our_workers_work_are_not_others_load() -> None:
    worker = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        load = OthersLoad()
        assert load.read() is None
        began, spent = time.monotonic(), time.process_time()
        while time.process_time() - spent < 0.5:
            pass
        elapsed = time.monotonic() - began
        others = load.read()
        assert {os.getpid(), worker.pid} <= own_pids()
    finally:
        worker.kill()
        worker.wait()
    assert others is not None
    threads = os.cpu_count() or 1
    ours = 100 * 2 * 0.5 / (elapsed * threads)  # this process and about as much of the worker
    assert others <= 100 - ours * 0.8, "what this process and its child did is left out"
    assert load.read() is None, "a worker that has ended takes its figures with it, so nobody is blamed"


def test_the_whole_load_counts_our_own_work() -> None:
    late = 0.0
    machine = Machine(lambda: time.monotonic() + late)
    assert machine.read().cpu_percent is None, "one look cannot tell"
    spent = time.process_time()
    while time.process_time() - spent < 0.1:
        pass
    assert machine.read().cpu_percent is None, "one look follows another too closely to tell"
    late = AGAIN_S
    load = machine.read()
    assert load.cpu_percent is not None
    assert 0 < load.cpu_percent <= 100
    assert load.memory_used_bytes > 0
    late = 2 * OLD_S
    assert machine.read().cpu_percent is None, "what was long ago is not told as if it were now"


def test_heat_and_battery_are_read_or_unknown() -> None:
    assert cpu_temperature() is None or 0 < (cpu_temperature() or 0) < 150
    assert on_battery() in (None, True, False)


def block(**changes: str) -> str:
    base = {
        "Remote": "no",
        "Class": "user",
        "Type": "wayland",
        "State": "active",
        "IdleHint": "no",
        "IdleSinceHint": "0",
    }
    return "\n".join(f"{name}={value}" for name, value in (base | changes).items())


@pytest.mark.parametrize(
    ("shown", "idle"),
    [
        ("", Idle(NOW)),
        (block(Remote="yes"), Idle(NOW)),
        (block(Class="greeter"), Idle(NOW)),
        (block(Type="tty"), Idle(0.0)),
        (block(Type="tty", IdleHint="yes", IdleSinceHint=str(int((NOW - 90) * 1e6))), Idle(90.0)),
        (block(IdleHint="yes", IdleSinceHint=str(int((NOW - 600) * 1e6))), Idle(600.0)),
        (
            block(IdleHint="yes", IdleSinceHint=str(int((NOW - 600) * 1e6))) + "\n\n" + block(Type="tty"),
            Idle(0.0),
        ),
    ],
    ids=[
        "nobody",
        "only over the network",
        "the login screen",
        "a console",
        "an idle console",
        "an idle desktop",
        "two",
    ],
)
def test_what_logind_lists_tells_whether_anybody_is_here(shown: str, idle: Idle) -> None:
    assert idle_of_sessions(shown, now=NOW) == idle


def test_a_desktop_without_a_hint_is_unknown_and_not_in_use() -> None:
    told = idle_of_sessions(block(), now=NOW)
    assert told.seconds is None
    assert "desktop" in told.why


def test_logind_is_asked_or_its_absence_is_said() -> None:
    told = read_idle()
    assert told.seconds is not None or told.why

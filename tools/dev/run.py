"""`dev.py run`: a private network with neighbours, an engine that shares a folder, and the app on top."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tools.dev.contract_tools import ensure_contract_tools
from tools.dev.places import LOGS, PYTHON, STATE, shown
from tools.dev.processes import POLL_S, Family
from tools.dev.python_packages import ensure_python_packages
from tools.dev.say import Stop, complain, say
from tools.dev.stamps import Stamp
from tools.dev.system_libraries import ensure_system_libraries

NETWORK, HOME, SHARED = STATE / "network", STATE / "home", STATE / "shared"
SHARED_SIZE = "2GiB"
PASSWORD = "no-value-in-here"  # noqa: S105 — printed when it is used; it guards tokens that are worth nothing
DEPIN: list[str | Path] = [PYTHON, "-m", "depin_desktop.cli"]
ENGINE_READY_S = 60.0
APP_STOP_S, ENGINE_STOP_S = 10.0, 25.0
AT_HOME = {"DEPIN_HOME": str(HOME)}


def run(*, headless: bool) -> int:
    """Sets up, starts everything, waits for the window to close or Ctrl-C, and leaves no process behind."""
    began = time.monotonic()
    x11, wayland = bool(os.environ.get("DISPLAY")), bool(os.environ.get("WAYLAND_DISPLAY"))
    if not headless and sys.platform == "linux" and not (x11 or wayland):
        say("there is no display here (DISPLAY and WAYLAND_DISPLAY are not set): running without a window")
        headless = True
    ensure_python_packages()
    ensure_contract_tools()
    ensure_system_libraries(window=not headless, x11=x11, wayland=wayland)
    say(f"everything that is needed is here ({time.monotonic() - began:.1f} s)")
    with only_one():
        family = Family()
        try:
            engine = start_node(family)
            return _stay(family, engine) if headless else _show(family, engine)
        except Stop as reason:
            complain(str(reason))
            return 1
        except KeyboardInterrupt:
            print(flush=True)  # the terminal shows ^C
            return 0
        finally:
            stop(family)


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Refuses a second run in the same working copy.

    Raises:
        Stop: another one runs.
    """
    STATE.mkdir(exist_ok=True)
    with (STATE / "run.lock").open("a+") as file:
        if sys.platform == "linux":
            from tools.dev import linux

            if not linux.lock(file.fileno()):
                raise Stop("dev.py run is already running in this folder. End it there with Ctrl-C first.")
        yield


def start_node(family: Family) -> subprocess.Popen[bytes]:
    """The network, the wallet, the engine and what it shares; returns the engine once it answers."""
    _depin(family, "localnet", "up", "--dir", NETWORK, "--demand")
    # The mark lies in the network's folder: a network made anew knows nothing of a wallet from before.
    joined = Stamp(NETWORK / "joined-by-dev")
    if not (joined.matches(str(HOME)) and (HOME / "wallet" / "vault.json").exists()):
        say(f"making a wallet with the password “{PASSWORD}”: tokens on this private network have no value")
        _depin(family, "init", "--network", NETWORK / "network.json", "--password-stdin", stdin=f"{PASSWORD}\n")
        joined.write(str(HOME))
    engine = _start_engine(family)
    shared = Stamp(HOME / "shared-by-dev")
    if not shared.matches(str(SHARED)):
        say(f"sharing {SHARED_SIZE} in {shown(SHARED)}")
        SHARED.mkdir(parents=True, exist_ok=True)
        _depin(family, "share", "storage", "--path", SHARED, "--size", SHARED_SIZE)
        shared.write(str(SHARED))
    computing = Stamp(HOME / "computing-by-dev")
    if not computing.matches(str(HOME)):
        say("sharing computing power")
        _depin(family, "share", "compute")
        computing.write(str(HOME))
    return engine


def _start_engine(family: Family) -> subprocess.Popen[bytes]:
    say("starting the engine")
    log = "engine"
    engine = family.start([*DEPIN, "engine"], env=AT_HOME, log=log)
    deadline = time.monotonic() + ENGINE_READY_S
    while family.run([*DEPIN, "status"], env=AT_HOME, silent=True) != 0:
        if engine.poll() is not None:
            raise Stop(f"The engine {_how(engine, log)}")
        if time.monotonic() > deadline:
            raise Stop(f"The engine does not answer. What it says is in {shown(LOGS / log)}.log.")
        time.sleep(POLL_S)
    return engine


def _depin(family: Family, *words: str | Path, stdin: str | None = None) -> None:
    """One command of the CLI at our home.

    Raises:
        Stop: it failed; it has said why.
    """
    command = [*DEPIN, *words]
    data = stdin.encode() if stdin else None
    if family.run(command, env=AT_HOME, stdin=data) != 0:
        raise Stop(f"“depin {words[0]} {words[1]}” failed; the sentence above says why.")


def _show(family: Family, engine: subprocess.Popen[bytes]) -> int:
    """The app, until its window closes."""
    say("opening the app (close its window, or press Ctrl-C here, to stop everything)")
    app = family.start([PYTHON, "-m", "depin_desktop"], env=AT_HOME, log="app")
    told = False
    while app.poll() is None:
        family.bury()
        if engine.poll() is not None and not told:
            told = True
            complain(f"The engine {_how(engine, 'engine')} The app starts another.")
        time.sleep(POLL_S)
    if app.returncode:
        complain(f"The app {_how(app, 'app')}")
        return 1
    return 0


def _stay(family: Family, engine: subprocess.Popen[bytes]) -> int:
    """Without a window: until Ctrl-C."""
    depin = PYTHON.with_name("depin")
    print(
        "\nDePIN Desktop is running without a window. Look at it from another terminal:\n"
        f"  {shown(depin)} status --home {shown(HOME)}\n"
        f"  {shown(depin)} wallet --home {shown(HOME)}\n"
        f"  {shown(depin)} hardware\n"
        "Ctrl-C here stops everything.\n",
        flush=True,
    )
    while engine.poll() is None:
        family.bury()
        time.sleep(POLL_S)
    complain(f"The engine {_how(engine, 'engine')}")
    return 1


def stop(family: Family) -> None:
    """Everything in order; a second Ctrl-C ends it at once."""
    say("stopping")
    with contextlib.suppress(KeyboardInterrupt):
        _stop_in_order(family)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for pid, command in family.end_others(2.0).items():
        complain(f"Had to be ended: {command[:120]} (process {pid})")
    still = family.others()
    if still:
        raise Stop(f"Still running: {', '.join(str(pid) for pid in still)}.")
    say("stopped; nothing is left running")


def _stop_in_order(family: Family) -> None:
    # The app may have started another engine in place of one that died: both are known by what they run.
    family.end_others(APP_STOP_S, lambda command: command.endswith("-m depin_desktop"))
    family.end_others(ENGINE_STOP_S, lambda command: "depin_desktop.cli engine" in command)
    if (NETWORK / "network.json").exists():
        family.run([*DEPIN, "localnet", "down", "--dir", NETWORK], silent=True)


def _how(process: subprocess.Popen[bytes], log: str) -> str:
    """How a process ended, in words, with what it said last unless something outside ended it."""
    code = process.returncode
    return f"ended, killed by signal {-code}." if code < 0 else f"ended with exit status {code}: {_last_line(log)}"


def _last_line(log: str) -> str:
    try:
        text = (LOGS / f"{log}.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    said = [line.strip() for line in text.splitlines() if line.strip()]
    return said[-1] if said else "it said nothing."

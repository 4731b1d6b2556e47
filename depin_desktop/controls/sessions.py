"""Whether anybody is at this machine, as systemd's logind sees it: for engines that no desktop app talks to.

logind knows text consoles exactly. Of a graphical session it knows only what the desktop tells it: its hint that the
session is idle can be believed, but many desktops never give one, so the hint's absence says nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import NamedTuple

TIMEOUT_S = 3.0
_PROPERTIES = ("Remote", "Class", "Type", "State", "IdleHint", "IdleSinceHint", "LockedHint")


class Idle(NamedTuple):
    """Seconds since the last input, or None and a clause that says why it is not known."""

    seconds: float | None
    why: str = ""


def read_idle() -> Idle:
    """Asks `loginctl`; blocks for some milliseconds."""
    program = shutil.which("loginctl")
    if program is None:
        return Idle(None, "no desktop app is open to tell, and this system has no logind")
    try:
        listed = _ask(program, "list-sessions", "--no-legend", "--no-pager")
        names = [line.split()[0] for line in listed.splitlines() if line.strip()]
        asked = [f"--property={name}" for name in _PROPERTIES]
        shown = _ask(program, "show-session", *names, *asked) if names else ""
    except (OSError, subprocess.SubprocessError):
        return Idle(None, "no desktop app is open to tell, and logind does not answer")
    return idle_of_sessions(shown, now=time.time())


def idle_of_sessions(shown: str, *, now: float) -> Idle:
    """What `loginctl show-session` printed: blocks of NAME=VALUE with an empty line between sessions."""
    blocks = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in shown.split("\n\n")]
    local = [
        block
        for block in blocks
        if block.get("Class") == "user" and block.get("Remote") == "no" and block.get("State") != "closing"
    ]
    seconds = float("inf")
    for block in local:
        since = int(block.get("IdleSinceHint") or 0) / 1e6  # microseconds since the epoch
        if block.get("IdleHint") == "yes" and since:
            seconds = min(seconds, max(0.0, now - since))
        elif block.get("Type") == "tty":
            seconds = 0.0
        else:
            return Idle(None, "a desktop is in use whose app is not open to tell")
    return Idle(min(seconds, now))  # nobody is logged in here: idle for as long as one can tell


def _ask(program: str, *arguments: str) -> str:
    return subprocess.run(  # noqa: S603
        [program, *arguments], capture_output=True, timeout=TIMEOUT_S, check=True, text=True
    ).stdout

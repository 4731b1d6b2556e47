"""Linux: what it takes to know, end and bury every process that came from ours, however it detached itself."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
from collections.abc import Collection
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # prctl(2)
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """From now on a grandchild whose parent ends becomes our child, rather than the first process's."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent() -> None:
    """In a child between fork and exec: be told to end when dev.py is gone, whatever killed it."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def descendants() -> dict[int, str]:
    """Every living process that comes from this one: pid → command line."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The name stands in parentheses and may hold anything, parentheses included.
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    parents[int(folder.name)] = int(parent)
    found: dict[int, str] = {}
    todo = [os.getpid()]
    while todo:
        ancestor = todo.pop()
        for pid, its_parent in parents.items():
            if its_parent == ancestor and pid not in found:
                found[pid] = _command(pid)
                todo.append(pid)
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def bury_adopted(own: Collection[int]) -> None:
    """Takes note of the end of adopted processes, so that whoever waits for them sees them gone.

    Args:
        own: our own children, whose exit status belongs to their `Popen`.
    """
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in own:
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(ended.si_pid, os.WNOHANG)


def lock(file: int) -> bool:
    """Whether this process now holds the file's lock, which ends with the process."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

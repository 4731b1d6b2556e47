"""Linux only: the kernel itself ends a worker and its children with us, and keeps them to some processors."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from pathlib import Path

_F_SETSIG = 10  # fcntl(2)


def die_with(lifeline: int) -> None:
    """Has the kernel kill this process's whole group when the other end of a pipe is closed, however that happens.

    No code of ours runs for that, so an engine that hangs cannot prevent it. Nothing is ever written to the pipe.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def keep_to(pid: int, processors: frozenset[int]) -> None:
    """Lets every thread of a process run on these processors only."""
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                os.sched_setaffinity(int(thread.name), processors)


def usable() -> frozenset[int]:
    """The processors that this process may use."""
    return frozenset(os.sched_getaffinity(0))

"""POSIX only: what a worker process may hold, and ending it together with its children."""

from __future__ import annotations

import contextlib
import os
import resource
import signal

MAX_OPEN_FILES = 1024


def confine(memory_bytes: int, file_bytes: int) -> None:
    """Bounds this process for good: its private memory where the system counts it, and the size of files it writes.

    Args:
        memory_bytes: 0 for no bound (a GPU's driver maps more than it uses).
        file_bytes: of each file; 0 for no bound.
    """
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
    if memory_bytes:
        # Unlike RLIMIT_AS this does not count the address space that WASM engines reserve and never touch.
        _bound(resource.RLIMIT_DATA, memory_bytes)
    if file_bytes:
        _bound(resource.RLIMIT_FSIZE, file_bytes)


def _bound(what: int, limit: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (limit, limit))


def kill_group(pid: int) -> None:
    """Ends the process that leads a session of its own, and everything in it, at once."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def end_self() -> None:
    """Ends this process and its children, without any clean-up."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def why(status: int) -> str:
    """What an exit status means: a clause like "killed by SIGABRT"."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"

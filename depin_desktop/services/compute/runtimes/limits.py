"""Confining a worker and ending it with its children, by whatever means this system has."""

from __future__ import annotations

import contextlib
import os
import sys

import psutil

NICENESS = 10


def confine(*, memory_bytes: int, file_bytes: int, lifeline: int | None) -> None:
    """Called in the worker before its engine is loaded; see `limits_posix.confine` and `limits_linux.die_with`."""
    if sys.platform == "win32":
        return
    from depin_desktop.services.compute.runtimes import limits_posix

    if sys.platform == "linux" and lifeline is not None:
        from depin_desktop.services.compute.runtimes import limits_linux

        limits_linux.die_with(lifeline)
    limits_posix.confine(memory_bytes, file_bytes)


def give_way() -> None:
    """Lets every other program of this machine run first; a processor that nobody else wants is used in full."""
    process = psutil.Process()
    with contextlib.suppress(psutil.Error, OSError):
        if sys.platform == "win32":
            process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            process.nice(max(process.nice(), NICENESS))


def binary(descriptor: int) -> None:
    """Bytes written to this descriptor arrive as they are."""
    if sys.platform == "win32":
        from depin_desktop.services.compute.runtimes import limits_windows

        limits_windows.binary(descriptor)


def bind(pid: int) -> object | None:
    """Has the system end a worker with us where that takes a handle of ours; keep what is returned."""
    if sys.platform == "win32":
        from depin_desktop.services.compute.runtimes import limits_windows

        return limits_windows.bind(pid)
    return None


def keep_to(pid: int, threads: int) -> None:
    """Lets a process use so many processors only: the last ones, as systems prefer the first for themselves."""
    if sys.platform == "linux":
        from depin_desktop.services.compute.runtimes import limits_linux

        limits_linux.keep_to(pid, frozenset(sorted(limits_linux.usable())[-max(1, threads) :]))
    elif sys.platform == "win32":
        with contextlib.suppress(psutil.Error, OSError, ValueError):
            process = psutil.Process(pid)
            process.cpu_affinity(list(range(psutil.cpu_count() or 1))[-max(1, threads) :])


def kill(pid: int) -> None:
    """Ends a worker and its children at once."""
    if sys.platform == "win32":
        from depin_desktop.services.compute.runtimes import limits_windows

        limits_windows.kill_tree(pid)
    else:
        from depin_desktop.services.compute.runtimes import limits_posix

        strays = _descendants(pid)
        limits_posix.kill_group(pid)
        for stray in strays:  # those that left the group
            with contextlib.suppress(psutil.Error):
                stray.kill()


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def end_self() -> None:
    """Ends the worker that calls it, with its children."""
    if sys.platform == "win32":
        os._exit(1)
    from depin_desktop.services.compute.runtimes import limits_posix

    limits_posix.end_self()


def why(status: int | None) -> str:
    """How a process ended, as a clause."""
    if status is None:
        return "ended"
    if sys.platform == "win32":
        return f"ended with status {status & 0xFFFFFFFF:#x}"
    from depin_desktop.services.compute.runtimes import limits_posix

    return limits_posix.why(status)

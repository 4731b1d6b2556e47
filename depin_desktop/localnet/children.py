"""How child processes are started on each system, so that no other module has to ask which one this is."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import psutil

log = logging.getLogger(__name__)

CLOCK_TOLERANCE_S = 5.0  # start times are told relative to a boot time that moves when the clock is set


class ProcessId(NamedTuple):
    """A process number with its start time: numbers are used again, the pair is not."""

    pid: int
    created_at: float

    @staticmethod
    def of(pid: int) -> ProcessId | None:
        """The identity of a running process; None if there is none."""
        try:
            return ProcessId(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    @staticmethod
    def current() -> ProcessId:
        """This process."""
        process = psutil.Process()
        return ProcessId(process.pid, process.create_time())

    def process(self) -> psutil.Process | None:
        """The process while it runs; None once it has ended, even if another one has its number."""
        try:
            process = psutil.Process(self.pid)
            near = abs(process.create_time() - self.created_at) < CLOCK_TOLERANCE_S
            if near and process.status() != psutil.STATUS_ZOMBIE:
                return process
        except psutil.Error:
            pass
        return None


def bound_to_parent() -> dict[str, Any]:
    """Options for `create_subprocess_exec` of a child that must not outlive this process.

    Linux does it in the kernel. On Windows the seam is a job object with KILL_ON_JOB_CLOSE to which the supervisor
    would assign itself before its first child. Everywhere `end_leftovers` at the next start is the second line.
    """
    if sys.platform == "linux":
        from depin_desktop.localnet.parent_death_linux import terminate_when_parent_dies

        return {"preexec_fn": partial(terminate_when_parent_dies, os.getpid())}
    return {}


def detached() -> dict[str, Any]:
    """Options for `subprocess.Popen` of a supervisor that outlives the command that started it."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def end_leftovers(identities: Iterable[ProcessId], timeout_s: float = 5.0) -> None:
    """Ends those of the given processes that still run: first politely, after `timeout_s` by force. Blocking."""
    processes = [process for identity in identities if (process := identity.process())]
    for process in processes:
        log.warning("ending process %d, left over from an earlier run", process.pid)
        _quietly(process.terminate)
    _, alive = psutil.wait_procs(processes, timeout=timeout_s)
    for process in alive:
        _quietly(process.kill)
    psutil.wait_procs(alive, timeout=timeout_s)


def _quietly(action: Callable[[], None]) -> None:
    with contextlib.suppress(psutil.Error):
        action()

"""Windows only: worker processes in a job object that ends with the engine, and pipes without line endings."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

import psutil

_KILL_ON_JOB_CLOSE = 0x2000
_EXTENDED_LIMITS = 9
_ALL_ACCESS = 0x1F0FFF


def binary(descriptor: int) -> None:
    """No translation of line endings on this descriptor."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(descriptor, os.O_BINARY)


def bind(pid: int) -> object | None:
    """Puts a process, and all it will start, into a job that the system ends when the returned handle is closed."""
    if sys.platform != "win32":
        return None

    class Basic(ctypes.Structure):
        _fields_ = (
            ("times", ctypes.c_int64 * 2),
            ("flags", ctypes.c_uint32),
            ("sets", ctypes.c_size_t * 2),
            ("processes", ctypes.c_uint32),
            ("affinity", ctypes.c_size_t),
            ("classes", ctypes.c_uint32 * 2),
        )

    class Extended(ctypes.Structure):
        _fields_ = (("basic", Basic), ("io", ctypes.c_uint64 * 6), ("memory", ctypes.c_size_t * 4))

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.CreateJobObjectW.restype = kernel.OpenProcess.restype = ctypes.c_void_p
    job, process = kernel.CreateJobObjectW(None, None), kernel.OpenProcess(_ALL_ACCESS, False, pid)
    limits = Extended()
    limits.basic.flags = _KILL_ON_JOB_CLOSE
    kernel.SetInformationJobObject(ctypes.c_void_p(job), _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits))
    kernel.AssignProcessToJobObject(ctypes.c_void_p(job), ctypes.c_void_p(process))
    kernel.CloseHandle(ctypes.c_void_p(process))
    return _Job(job)


class _Job:
    """Closes the job's handle, and so ends its processes, when it is forgotten; the system does so when we die."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def __del__(self) -> None:
        if sys.platform == "win32":
            ctypes.WinDLL("kernel32").CloseHandle(ctypes.c_void_p(self._handle))


def kill_tree(pid: int) -> None:
    """Ends a process and everything that descends from it."""
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (*root.children(recursive=True), root):
            with contextlib.suppress(psutil.Error):
                process.kill()

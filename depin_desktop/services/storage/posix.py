"""Calls that only POSIX systems have, each with the harmless nothing that other systems do instead."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

_START_WRITING = 2  # SYNC_FILE_RANGE_WRITE


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable; Windows orders its renames itself and cannot open folders.

    Raises:
        OSError: the folder is gone or the disk failed.
    """
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def start_writing(descriptor: int, offset: int, length: int) -> None:
    """Lets the disk begin with what was written, so that the final fsync has little left to wait for (Linux)."""
    if (function := _sync_file_range()) is not None:
        function(descriptor, offset, length, _START_WRITING)  # advice only: fsync reports what fails


def forget_cached(descriptor: int) -> None:
    """Drops a file from the page cache, so that reading it asks the disk and leaves others' pages alone."""
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


@cache
def _sync_file_range() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return function

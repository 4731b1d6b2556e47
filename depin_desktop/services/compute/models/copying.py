"""Copying large files with their hash made on the way, seen from outside and able to be stopped."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

from depin_desktop.core.errors import UserFacingError

Progress = Callable[[int, int], None]
"""Takes bytes done and bytes in all."""
_BLOCK_BYTES = 4 << 20


class Cancelled(Exception):
    """The copy was stopped."""


def copy_and_hash(source: Path, target: Path, size: int, notify: Progress | None, stop: threading.Event) -> str:
    """Copies `size` bytes, on disk when this returns; gives their SHA-256 in hex.

    Raises:
        Cancelled: `stop` was set.
        UserFacingError: the file changed its size meanwhile.
        OSError: it cannot be read or written.
    """
    hasher, done = hashlib.sha256(), 0
    with source.open("rb") as reading, target.open("xb") as writing:
        while block := reading.read(_BLOCK_BYTES):
            done += len(block)
            if stop.is_set():
                raise Cancelled
            if done > size:
                break
            hasher.update(block)
            writing.write(block)
            if notify:
                notify(done, size)
        writing.flush()
        os.fsync(writing.fileno())
    if done != size:
        raise UserFacingError("The file changed while it was read.", "Try again when it is whole.", code="changed")
    return hasher.hexdigest()


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

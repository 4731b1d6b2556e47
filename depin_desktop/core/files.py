"""Files that are either wholly the old or wholly the new, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, data: bytes, *, private: bool = False) -> None:
    """Replaces `path` by `data`, on disk when this returns; a crash leaves the old file.

    Args:
        private: only the user may read it (mode 0600), from its first byte on; else 0644.
    """
    temporary = _write_beside(path, data, private=private)
    try:
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def create_private(path: Path, data: bytes) -> None:
    """Writes a secret that must never replace another one: like `write_atomically`, but only where nothing is yet.

    Raises:
        FileExistsError: `path` exists; it is untouched.
    """
    temporary = _write_beside(path, data, private=True)
    try:
        os.link(temporary, path)  # unlike a rename, this fails where a file is already
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links (FAT): the check and the rename are two steps
        if path.exists():
            raise FileExistsError(path) from None
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _write_beside(path: Path, data: bytes, *, private: bool) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if not private:
            temporary.chmod(0o644)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_folder(folder: Path) -> None:
    """Makes the new name durable; systems that cannot open a folder order their renames themselves."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

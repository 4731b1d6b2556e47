"""Remembers what was set up from what, so that it is done again exactly when its sources have changed."""

from __future__ import annotations

import hashlib
from pathlib import Path


def fingerprint(*sources: Path | str) -> str:
    """A digest of the contents of files and of plain words; a missing file counts as empty."""
    digest = hashlib.sha256()
    for source in sources:
        content = _content(source) if isinstance(source, Path) else source.encode()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def _content(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


class Stamp:
    """A file that holds the fingerprint of what it lies in."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def matches(self, wanted: str) -> bool:
        try:
            return self._path.read_text() == wanted
        except OSError:
            return False

    def write(self, value: str) -> None:
        """Last of all, when the work has succeeded."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(value)

    def clear(self) -> None:
        """First of all, so that interrupted work is not taken for finished."""
        self._path.unlink(missing_ok=True)

"""Memory that was used before, for whoever is measured next."""

from __future__ import annotations

import os
from pathlib import Path

MIB = 2**20


def touch_memory(folder: Path, size: int) -> None:
    """Writes and removes a file as large as everything that will be written.

    A virtual machine's memory is backed at its first use, and freed memory goes back to its host within seconds.
    Writing a file into such memory is four times slower, and whoever is measured later would have the advantage.
    """
    scratch, part = folder / "scratch", os.urandom(8 * MIB)
    with scratch.open("wb", buffering=0) as file:
        for _ in range(-(-size // len(part))):
            file.write(part)
    scratch.unlink()

"""Large buffers that are used again: fresh memory costs a page fault every 4 KiB, and its peak is left to chance.

They are mappings of their own: a `bytearray` is cleared when it is made, 15 ms for 32 MiB with the interpreter held,
where a mapping's pages come when a thread first writes to them.
"""

from __future__ import annotations

import mmap

KEPT = 4


class Buffers:
    """A small stock of buffers, for one event loop."""

    def __init__(self) -> None:
        self._free: list[mmap.mmap] = []

    def take(self, size: int) -> memoryview:
        """`size` bytes of memory; what is in them is left from their last use."""
        for at, buffer in enumerate(self._free):
            if len(buffer) >= size:
                del self._free[at]
                return memoryview(buffer)[:size]
        return memoryview(mmap.mmap(-1, max(1, size)))[:size]

    def clear(self) -> None:
        """Lets all of them go."""
        self._free.clear()

    def give(self, view: memoryview) -> None:
        """Takes back what `take` gave, when nothing refers to it any more."""
        if isinstance(view.obj, mmap.mmap) and len(self._free) < KEPT:
            self._free.append(view.obj)

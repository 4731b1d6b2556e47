"""Python's cyclic garbage is collected on Qt's thread only.

Python collects cycles in whichever thread happens to allocate. A Qt object that is freed from another thread leaves its
timers behind ("Timers cannot be stopped from another thread"), and Qt's loop crashes when one of them fires: seen as a
segmentation fault inside `exec()`, at random, after long runs with background threads.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from PySide6.QtCore import QTimer

INTERVAL_MS = 1000


@contextmanager
def collecting_here() -> Iterator[QTimer]:
    """Until the block ends, only the calling thread collects: whenever the yielded timer fires and garbage is due.

    Needs an application and its loop in this thread.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    timer = QTimer()
    timer.timeout.connect(collect_due)
    timer.start(INTERVAL_MS)
    try:
        yield timer
    finally:
        timer.stop()
        gc.collect()  # while nothing else runs; what Qt objects are left must not fall to another thread
        if was_enabled:
            gc.enable()


def collect_due() -> int | None:
    """Collects the oldest generation whose threshold is passed, as Python would; returns it, or None."""
    counts, thresholds = gc.get_count(), gc.get_threshold()
    for generation in (2, 1, 0):
        if counts[generation] > thresholds[generation] > 0:
            gc.collect(generation)
            return generation
    return None

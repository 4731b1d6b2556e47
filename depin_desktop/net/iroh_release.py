"""Frees iroh's objects in a thread of their own, never where Python's garbage collector happens to run.

iroh calls Python when a future may go on, now and then with a connection's lock held. Where the collector runs just
then and finds a stream or connection in a cycle, the binding's finalizer asks for the same lock in the same thread, and
the process stands still for ever: a flood of streams on one connection was enough. The binding's own table of futures
has a lock with the same fault. A finalizer that only puts a number into a queue cannot wait for anything.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import cache
from importlib import import_module
from inspect import isclass
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

from depin_desktop.net import iroh_patch

log = logging.getLogger(__name__)

THREAD = "iroh-release"

Finalizer = Callable[[Any], None]


@cache
def apply() -> bool:
    """Moves the finalizers of all of iroh's objects into the thread, once; returns whether that is so.

    A binding that looks different is left alone, and the log says so.
    """
    if not iroh_patch.is_known():
        log.warning("iroh is not a version whose finalizers were studied: they stay as they are")
        return False
    binding: Any = import_module("iroh.iroh_ffi")
    freed: SimpleQueue[tuple[Finalizer, int]] = SimpleQueue()
    kinds: list[Any] = [kind for kind in vars(binding).values() if isclass(kind)]
    for kind in kinds:
        if "__del__" in vars(kind) and hasattr(kind, "_uniffi_clone_handle"):
            kind.__del__ = _later(kind.__del__, freed)
    threading.Thread(target=_free, args=(freed,), name=THREAD, daemon=True).start()
    return True


def _later(free: Finalizer, freed: SimpleQueue[tuple[Finalizer, int]]) -> Finalizer:
    def finalize(freed_object: Any) -> None:
        handle = getattr(freed_object, "_handle", None)  # there is none where its making failed
        if handle is not None:
            freed.put((free, handle))  # made for finalizers: it can be interrupted by itself

    return finalize


def _free(freed: SimpleQueue[tuple[Finalizer, int]]) -> None:
    while True:
        free, handle = freed.get()
        free(SimpleNamespace(_handle=handle))  # all that the binding's finalizer looks at

"""Leaving alone what has just failed, each by itself, for longer with every failure in a row."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

FIRST_S = 1.0
LONGEST_S = 300.0
FORGET_AFTER_S = 1800.0
"""What was left alone for so long begins anew."""


@dataclass(frozen=True)
class _Pause:
    failures: int
    until: float


class Backoff:
    """Pauses by key; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pauses: dict[Hashable, _Pause] = {}

    def failed(self, key: Hashable) -> float:
        """Counts a failure; returns for how long the key is to be left alone."""
        now = self._clock()
        known = self._pauses.get(key)
        failures = 1 if known is None or now - known.until > FORGET_AFTER_S else known.failures + 1
        pause = float(min(LONGEST_S, FIRST_S * 2.0 ** min(failures - 1, 16)))
        self._pauses[key] = _Pause(failures, now + pause)
        return pause

    def busy(self, key: Hashable, seconds: float) -> None:
        """Leaves the key alone because it said so (429 with Retry-After): no failure of its own."""
        known = self._pauses.get(key)
        until = self._clock() + min(max(seconds, 0.0), LONGEST_S)
        failures = known.failures if known else 0
        self._pauses[key] = _Pause(failures, max(until, known.until if known else until))

    def succeeded(self, key: Hashable) -> None:
        """Forgets the key's failures."""
        self._pauses.pop(key, None)

    def wait_s(self, key: Hashable) -> float:
        """Seconds that the key is still to be left alone; 0 when it may be asked."""
        known = self._pauses.get(key)
        return 0.0 if known is None else max(0.0, known.until - self._clock())

"""Bytes in and out, sampled into the points that the plots show."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from depin_desktop.api.models import RatePoint

SAMPLE_S = 2.0
KEPT_POINTS = 150


class Rates:
    """Counts bytes; each sample becomes one point with the mean rates since the one before."""

    def __init__(self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._points: deque[RatePoint] = deque(maxlen=KEPT_POINTS)
        self._since = monotonic()
        self._received = self._sent = 0
        self.received_total = self.sent_total = 0

    def received(self, count: int) -> None:
        """`count` bytes came in."""
        self._received += count
        self.received_total += count

    def sent(self, count: int) -> None:
        """`count` bytes went out."""
        self._sent += count
        self.sent_total += count

    def sample(self) -> bool:
        """Ends the current interval; returns whether the plot changed, which it does not while nothing moves."""
        now = self._monotonic()
        elapsed = max(now - self._since, 1e-3)
        point = RatePoint(at=self._clock(), received=self._received / elapsed, sent=self._sent / elapsed)
        self._since, self._received, self._sent = now, 0, 0
        before = self._points[-1] if self._points else None
        self._points.append(point)
        return bool(point.received or point.sent or (before is not None and (before.received or before.sent)))

    @property
    def points(self) -> tuple[RatePoint, ...]:
        """Oldest first."""
        return tuple(self._points)

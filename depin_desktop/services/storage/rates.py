"""Bytes in and out, sampled into the points that the plots show and the news that an owner reads."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from depin_desktop.api.models import Activity, RatePoint
from depin_desktop.core.units import format_size

SAMPLE_S = 2.0
NEWS_S = 10.0
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
        self._stored: list[int] = []
        self._served: list[int] = []
        self._told = monotonic() - NEWS_S

    def received(self, count: int) -> None:
        """`count` bytes came in."""
        self._received += count
        self.received_total += count

    def sent(self, count: int) -> None:
        """`count` bytes went out."""
        self._sent += count
        self.sent_total += count

    def stored(self, size: int) -> None:
        """A new piece of `size` bytes was stored."""
        self._stored.append(size)

    def served(self, length: int) -> None:
        """A read of `length` bytes was served to its end."""
        self._served.append(length)

    def news(self) -> list[Activity]:
        """What was stored and read since it was last told, in one line each; nothing more often than every 10 s."""
        now = self._monotonic()
        if now - self._told < NEWS_S or not (self._stored or self._served):
            return []
        told = [
            _line(self._clock(), kind, word, moved)
            for kind, word, moved in (("piece-stored", "Stored", self._stored), ("piece-read", "Served", self._served))
            if moved
        ]
        self._told, self._stored, self._served = now, [], []
        return told

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


def _line(at: float, kind: str, word: str, moved: list[int]) -> Activity:
    noun = "piece" if kind == "piece-stored" else "read"
    number = f"{len(moved)} {noun}{'s' if len(moved) > 1 else ''}"
    return Activity(at=at, kind=kind, title=f"{word} {format_size(sum(moved))}", detail=f"In {number}.")

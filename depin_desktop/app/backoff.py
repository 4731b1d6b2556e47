"""How long to wait before the next attempt: short at first, then longer, never for ever."""

from __future__ import annotations


class Backoff:
    """Doubles from `first_s` to `longest_s`; `reset` after a success."""

    def __init__(self, first_s: float = 0.25, longest_s: float = 5.0) -> None:
        self._first = first_s
        self._longest = longest_s
        self._next = first_s

    def next(self) -> float:
        """Seconds to wait now."""
        now, self._next = self._next, min(self._longest, self._next * 2)
        return now

    def reset(self) -> None:
        self._next = self._first

"""How providers have behaved towards this customer: whom to ask first, and who sent what was not stored."""

from __future__ import annotations

import statistics
from collections import deque

RECENT = 32
HEDGE_FACTOR = 3.0
HEDGE_FLOOR_S = 1.0
HEDGE_START_S = 2.0
GOOD = (False, 0)
"""The rank of whoever has done nothing wrong."""
SLOWEST_EXPECTED = 4e6  # bytes a second, before any was measured


class Health:
    """Of all providers, for as long as a session lasts."""

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}
        self._rates: deque[float] = deque(maxlen=RECENT)
        self.liars: dict[str, str] = {}

    def failed(self, owner: str) -> None:
        """A request came to nothing."""
        self._failures[owner] = self._failures.get(owner, 0) + 1

    def served(self, owner: str, count: int, seconds: float) -> None:
        """`count` bytes arrived in `seconds`."""
        self._failures.pop(owner, None)
        self._rates.append(count / max(seconds, 1e-6))

    def lied(self, owner: str, what: str) -> None:
        """What arrived was not what had been stored."""
        self.liars[owner] = what

    def rank(self, owner: str) -> tuple[bool, int]:
        """Sorts the honest and reliable first."""
        return owner in self.liars, self._failures.get(owner, 0)

    def patience_s(self, count: int) -> float:
        """How long `count` bytes may take before another provider is asked as well."""
        if not self._rates:
            return HEDGE_START_S + count / SLOWEST_EXPECTED
        return max(HEDGE_FLOOR_S, HEDGE_FACTOR * count / statistics.median(self._rates))

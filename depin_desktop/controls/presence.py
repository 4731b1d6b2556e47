"""What desktop sessions tell of their users; each word holds for a few seconds and is then forgotten."""

from __future__ import annotations

from collections.abc import Callable

from depin_desktop.api.controls import Presence

FRESH_S = 10.0
MAX_SESSIONS = 32


class Presences:
    """The newest word of every session."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: dict[str, tuple[float, Presence]] = {}

    def note(self, presence: Presence) -> None:
        self._told.pop(presence.session, None)
        self._told[presence.session] = (self._clock(), presence)
        while len(self._told) > MAX_SESSIONS:
            del self._told[next(iter(self._told))]

    def fresh(self) -> tuple[Presence, ...]:
        """What still holds."""
        now = self._clock()
        self._told = {session: told for session, told in self._told.items() if now - told[0] < FRESH_S}
        return tuple(presence for _, presence in self._told.values())


def idle_of(presences: tuple[Presence, ...]) -> float | None:
    """Seconds since the last input anywhere; None when any session cannot tell, as its user may be at work."""
    told = [presence.idle_s for presence in presences]
    known = [idle for idle in told if idle is not None]
    return min(known) if known and len(known) == len(told) else None


def full_screen_of(presences: tuple[Presence, ...]) -> Presence | None:
    """A session whose window in front fills the screen."""
    return next((presence for presence in presences if presence.full_screen), None)

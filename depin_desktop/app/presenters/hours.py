"""Pauses and the hours of the week in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from depin_desktop.api.controls import Wishes
from depin_desktop.api.week import Span
from depin_desktop.app.words import tr


@dataclass(frozen=True)
class Snooze:
    """One line of the menu that pauses; None lasts until resumed."""

    text: str
    seconds: float | None


def snoozes(now: float) -> tuple[Snooze, ...]:
    """What the menu offers."""
    local = datetime.fromtimestamp(now)
    morning = (local + timedelta(days=1)).replace(hour=8, minute=0, second=0, microsecond=0)
    return (
        Snooze(tr("For 15 minutes"), 900.0),
        Snooze(tr("For 1 hour"), 3600.0),
        Snooze(tr("For 4 hours"), 4 * 3600.0),
        Snooze(tr("Until tomorrow, 08:00"), morning.timestamp() - now),
        Snooze(tr("Until I resume"), None),
    )


HOUR_KINDS = ("allowed", "outside", "quiet", "expensive")


def week(wishes: Wishes) -> tuple[tuple[str, ...], ...]:
    """What each of the 24 hours of each day, Monday first, is: a kind of HOUR_KINDS, judged at its half hour."""
    monday = datetime(2024, 1, 1)  # any Monday
    return tuple(
        tuple(_kind(wishes, monday + timedelta(days=day, hours=hour, minutes=30)) for hour in range(24))
        for day in range(7)
    )


def _kind(wishes: Wishes, moment: datetime) -> str:
    def within(spans: Sequence[Span]) -> bool:
        return any(span.ends_after(moment) is not None for span in spans)

    if wishes.schedule and not within(wishes.schedule):
        return "outside"
    if within(wishes.quiet_hours):
        return "quiet"
    return "expensive" if within(wishes.expensive_hours) else "allowed"


def week_summary(hours: Sequence[Sequence[str]]) -> str:
    """How much of the week is left for work."""
    allowed = sum(kind == "allowed" for day in hours for kind in day)
    if allowed == 168:
        return tr("Work may run at every hour of the week.")
    return tr("Work may run in about {n} of 168 hours of the week.", n=allowed)

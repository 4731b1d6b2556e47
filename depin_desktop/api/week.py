"""Times of the week, as the owner states them: "mon-fri 22:00-07:00", in the machine's own time zone."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from depin_desktop.core.errors import UserFacingError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = tuple(range(7))

_SPAN = re.compile(r"^(?:([a-z,\s-]+?)\s+)?(\d{1,2}:\d{2})\s*[-–]\s*(\d{1,2}:\d{2})$")
_CLOCK = re.compile(r"^([01]?\d|2[0-4]):([0-5]\d)$")
_REMEDY = "Write it as “mon-fri 22:00-07:00”, or without days for every day."


def minutes_of(clock: str) -> int:
    """Minutes since midnight: "07:30" → 450; "24:00" is the day's end."""
    match = _CLOCK.match(clock)
    if match is None or (minutes := int(match[1]) * 60 + int(match[2])) > 24 * 60:
        raise ValueError(f"“{clock}” is not a time of the day")
    return minutes


def _clock(value: str) -> str:
    minutes = minutes_of(value)
    return f"{minutes // 60:02}:{minutes % 60:02}"


Clock = Annotated[str, AfterValidator(_clock)]
Day = Annotated[int, Field(ge=0, le=6)]


class Span(BaseModel):
    """The same hours on some days of the week. One that ends at or before its start goes on into the next day.

    Attributes:
        days: on which it starts; 0 is Monday.
        start: "HH:MM" of the wall clock.
        end: likewise; equal to `start` it lasts 24 hours.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: Annotated[tuple[Day, ...], Field(min_length=1)] = EVERY_DAY
    start: Clock
    end: Clock

    def ends_after(self, now: datetime) -> datetime | None:
        """When the occurrence that `now` lies in ends; None outside of every one.

        `now` and the result are wall-clock times of the machine's zone; on the days on which the clock is changed
        a span is an hour longer or shorter, as a person reading the clock expects.
        """
        start, end = minutes_of(self.start), minutes_of(self.end)
        length = (end - start) if end > start else end - start + 24 * 60
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        ends = [
            begin + timedelta(minutes=length)
            for begin in (midnight - timedelta(days=back) + timedelta(minutes=start) for back in (0, 1))
            if begin.weekday() in self.days and begin <= now < begin + timedelta(minutes=length)
        ]
        return max(ends, default=None)

    def starts_after(self, now: datetime) -> datetime:
        """When it starts next, strictly after `now`."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        begins = (midnight + timedelta(days=ahead, minutes=minutes_of(self.start)) for ahead in range(-1, 9))
        return next(begin for begin in begins if begin > now and begin.weekday() in self.days)

    def __str__(self) -> str:
        hours = f"{self.start}-{self.end}"
        return hours if set(self.days) == set(EVERY_DAY) else f"{_days_text(self.days)} {hours}"


def parse_span(text: str) -> Span:
    """The span meant by "mon-fri 22:00-07:00", "sat,sun 00:00-24:00" or "22:00-06:00".

    Raises:
        UserFacingError: the text is not one.
    """
    match = _SPAN.match(text.strip().lower())
    if match is None:
        raise UserFacingError(f"“{text}” is not a time of the week.", _REMEDY, code="bad-span")
    try:
        return Span(days=_parse_days(match[1]) if match[1] else EVERY_DAY, start=match[2], end=match[3])
    except ValueError as error:
        raise UserFacingError(f"“{text}” is not a time of the week.", _REMEDY, code="bad-span") from error


def parse_spans(text: str) -> tuple[Span, ...]:
    """Several spans, separated by semicolons; empty text is none of them."""
    return tuple(parse_span(part) for part in text.split(";") if part.strip())


def format_spans(spans: tuple[Span, ...]) -> str:
    """The text that `parse_spans` reads back."""
    return "; ".join(str(span) for span in spans)


def _parse_days(text: str) -> tuple[int, ...]:
    days: set[int] = set()
    for part in re.split(r"[,\s]+", text.strip()):
        first, dash, last = part.partition("-")
        begin = DAYS.index(first[:3])
        length = (DAYS.index(last[:3]) - begin) % 7 if dash else 0
        days.update((begin + step) % 7 for step in range(length + 1))
    return tuple(sorted(days))


def _days_text(days: tuple[int, ...]) -> str:
    """Runs of three and more days as a range: (0, 1, 2, 3, 4, 6) → "mon-fri,sun"."""
    parts: list[str] = []
    ordered = sorted(set(days))
    while ordered:
        run = [ordered.pop(0)]
        while ordered and ordered[0] == run[-1] + 1:
            run.append(ordered.pop(0))
        parts += [f"{DAYS[run[0]]}-{DAYS[run[-1]]}"] if len(run) > 2 else [DAYS[day] for day in run]
    return ",".join(parts)

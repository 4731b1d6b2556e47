"""Times of the week: what people write, and when it begins and ends."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.api.week import Span, format_spans, parse_span, parse_spans
from depin_desktop.core.errors import UserFacingError

BERLIN = ZoneInfo("Europe/Berlin")
clocks = st.builds(lambda hour, minute: f"{hour:02}:{minute:02}", st.integers(0, 23), st.integers(0, 59))
spans = st.builds(
    Span, days=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))), start=clocks, end=clocks
)


def monday(clock: str, day: int = 0) -> datetime:
    hour, minute = clock.split(":")
    return datetime(2026, 11, 23 + day, int(hour), int(minute), tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("text", "days", "start", "end"),
    [
        ("22:00-07:00", (0, 1, 2, 3, 4, 5, 6), "22:00", "07:00"),
        ("mon-fri 9:00-17:30", (0, 1, 2, 3, 4), "09:00", "17:30"),
        ("Saturday, sun 00:00 – 24:00", (5, 6), "00:00", "24:00"),
        ("fri-mon 18:00-23:00", (0, 4, 5, 6), "18:00", "23:00"),
    ],
)
def test_what_people_write_is_understood(text: str, days: tuple[int, ...], start: str, end: str) -> None:
    span = parse_span(text)
    assert (span.days, span.start, span.end) == (days, start, end)


@pytest.mark.parametrize("text", ["", "mon", "25:00-26:00", "noday 10:00-11:00", "10:00", "10:60-11:00", "24:30-01:00"])
def test_what_is_not_a_time_of_the_week_is_refused_in_words(text: str) -> None:
    with pytest.raises(UserFacingError, match="is not a time of the week"):
        parse_span(text)


@given(st.lists(spans, max_size=4).map(tuple))
def test_every_list_of_spans_survives_its_text(many: tuple[Span, ...]) -> None:
    assert parse_spans(format_spans(many)) == many


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    night = parse_span("mon 22:00-07:00")
    assert night.ends_after(monday("06:00")) is None
    assert night.ends_after(monday("22:00")) == monday("07:00", day=1)
    assert night.ends_after(monday("06:59", day=1)) == monday("07:00", day=1)
    assert night.ends_after(monday("07:00", day=1)) is None


@given(spans, st.integers(0, 7 * 24 * 60 - 1))
def test_inside_is_exactly_from_a_start_until_its_end(span: Span, minute: int) -> None:
    now = datetime.fromtimestamp(1_700_000_000 + minute * 60, ZoneInfo("UTC"))
    end, start = span.ends_after(now), span.starts_after(now)
    assert start > now
    assert start.weekday() in span.days
    if end is not None:
        assert 0 < (end - now).total_seconds() <= 24 * 3600
        after = span.ends_after(end)  # either it is over then, or the next day's has begun
        assert after is None or after > end


def test_the_clock_on_the_wall_counts_when_clocks_are_changed() -> None:
    night = parse_span("22:00-07:00")
    before = datetime(2026, 10, 24, 23, 0, tzinfo=BERLIN)  # in this night an hour comes twice
    end = night.ends_after(before)
    assert end == datetime(2026, 10, 25, 7, 0, tzinfo=BERLIN)
    assert end is not None
    assert end.timestamp() - before.timestamp() == 9 * 3600

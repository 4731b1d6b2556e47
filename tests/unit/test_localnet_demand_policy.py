"""What neighbours decide: within their bounds, whatever the dice say."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.core.errors import UserFacingError
from depin_desktop.localnet.demand_policy import (
    LONGEST_BACK_OFF_S,
    Act,
    DemandSettings,
    Held,
    back_off_s,
    content,
    decide,
    pause_s,
)

SETTINGS = DemandSettings()
sizes = st.lists(st.integers(SETTINGS.smallest, SETTINGS.largest), max_size=50)


def files(sizes: list[int]) -> list[Held]:
    return [Held(f"locator {index}", f"name {index}", size) for index, size in enumerate(sizes)]


@given(sizes=sizes, seed=st.integers())
def test_it_never_stores_more_than_it_may(sizes: list[int], seed: int) -> None:
    held = files(sizes)
    plan = decide(held, SETTINGS, random.Random(seed))
    if plan.act is Act.STORE:
        assert SETTINGS.smallest <= plan.size <= SETTINGS.largest
        assert sum(sizes) + plan.size <= SETTINGS.most_stored
        assert len(held) < SETTINGS.most_files
        assert SETTINGS.shortest_term_periods <= plan.term_periods <= SETTINGS.longest_term_periods
        assert plan.held is None
    else:
        assert plan.held in held
    if plan.act is Act.READ:
        assert plan.held is not None
        assert plan.size >= 1
        assert 0 <= plan.start <= plan.start + plan.size <= plan.held.size


@given(seed=st.integers())
def test_whoever_has_nothing_stores(seed: int) -> None:
    assert decide([], SETTINGS, random.Random(seed)).act is Act.STORE


def test_over_time_it_does_everything_and_stays_within_its_bounds() -> None:
    dice, held, done = random.Random(7), [], set()
    for step in range(2000):
        plan = decide(held, SETTINGS, dice)
        done.add(plan.act)
        if plan.act is Act.STORE:
            held.append(Held(str(step), plan.name, plan.size))
        elif plan.act is Act.REMOVE:
            held.remove(plan.held)
        assert sum(file.size for file in held) <= SETTINGS.most_stored
    assert done == set(Act)
    assert len(held) > 5, "it does not take away as fast as it brings"


@given(name=st.text(), size=st.integers(0, 5000))
def test_a_files_content_can_be_made_again(name: str, size: int) -> None:
    made = content(name, size)
    assert len(made) == size
    assert made == content(name, size)
    assert size < 32 or made != content(name + "x", size)


def test_failures_slow_it_down_up_to_a_limit() -> None:
    waits = [back_off_s(failures) for failures in range(1, 100)]
    assert waits == sorted(waits)
    assert waits[0] == 2
    assert waits[-1] == LONGEST_BACK_OFF_S


@given(seed=st.integers())
def test_pauses_are_within_their_bounds(seed: int) -> None:
    assert SETTINGS.shortest_pause_s <= pause_s(SETTINGS, random.Random(seed)) <= SETTINGS.longest_pause_s


def test_settings_come_from_a_file_if_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "demand.json"
    assert DemandSettings.load(path) == DemandSettings()
    path.write_text('{"most_files": 3, "codes": [[1, 1]]}')
    assert DemandSettings.load(path) == DemandSettings(most_files=3, codes=((1, 1),))
    for wrong in ("{", '{"most_fles": 3}', '{"codes": []}', '{"smallest": 9, "largest": 8}', '{"most_files": 0}'):
        path.write_text(wrong)
        with pytest.raises(UserFacingError):
            DemandSettings.load(path)

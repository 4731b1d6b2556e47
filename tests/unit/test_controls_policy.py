"""What may run: every rule, its sentence, and which of two reasons is the one that is printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.api.controls import CardWish, Pause, Wishes
from depin_desktop.api.week import parse_spans
from depin_desktop.controls import hysteresis
from depin_desktop.controls.facts import CPU, App, Card, Facts
from depin_desktop.controls.policy import card_reason, decide

GIB = 2**30
ZONE = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=ZONE).timestamp()  # a Monday
BIG, SMALL = Card("GPU-1", "Big", 24 * GIB, 60.0, 0.0), Card("GPU-2", "Small", 8 * GIB, 50.0, 0.0)
FACTS = Facts(
    now=NOON,
    cpu_threads=8,
    memory_bytes=32 * GIB,
    zone=ZONE,
    cards=(BIG, SMALL),
    cpu_temperature_c=50,
    on_battery=False,
    idle_s=600,
    others_percent=3,
)
GAME = App("game", 42)


def test_without_an_objection_the_shares_are_given() -> None:
    allowed = decide(Wishes(cpu_percent=30, memory_bytes=8 * GIB, vram_percent=50, disk_bytes=5), FACTS)
    assert (allowed.run, allowed.reason, allowed.until) == (True, "", None)
    assert (allowed.cpu_threads, allowed.memory_bytes, allowed.disk_bytes) == (2, 8 * GIB, 5)
    assert allowed.gpus == ("GPU-1", "GPU-2")
    assert allowed.vram_bytes == 4 * GIB, "the share of the smallest card, as it holds for each"


def test_half_of_the_memory_is_given_where_nothing_is_wished_and_never_more_than_there_is() -> None:
    assert decide(Wishes(), FACTS).memory_bytes == 16 * GIB
    assert decide(Wishes(memory_bytes=64 * GIB), FACTS).memory_bytes == 32 * GIB


def test_a_machine_without_cards_is_a_normal_case() -> None:
    allowed = decide(Wishes(), replace(FACTS, cards=()))
    assert (allowed.run, allowed.gpus, allowed.vram_bytes) == (True, (), None)


# Each objection: a change of the wishes, one of the facts, a pause, and the sentence. In priority order.
Objection = tuple[dict[str, object], dict[str, object], Pause | None, str]
OBJECTIONS: tuple[Objection, ...] = (
    ({}, {}, Pause(until=NOON + 1800), "You have paused work until 12:30."),
    ({}, {"sharing": False}, None, "Sharing is switched off."),
    (
        {},
        {"hot": frozenset({CPU}), "cpu_temperature_c": 91},
        None,
        "The processor is too hot (91 °C); work goes on below 75 °C.",
    ),
    ({}, {"on_battery": True}, None, "The computer runs on its battery."),
    ({"schedule": parse_spans("22:00-07:00")}, {}, None, "By your schedule, work goes on from 22:00."),
    ({"quiet_hours": parse_spans("mon 11:00-13:00")}, {}, None, "Quiet hours last until 13:00."),
    ({"expensive_hours": parse_spans("06:00-20:00")}, {}, None, "Electricity is expensive until 20:00."),
    (
        {"exclusive_apps": ("game",)},
        {"exclusive": (GAME,)},
        None,
        "game is running, which you want to have the computer for itself.",
    ),
    ({}, {"full_screen": App("player", 7)}, None, "player fills the screen."),
    (
        {"only_when_idle": True},
        {"idle_s": 20},
        None,
        "You are using the computer; work goes on after 3 min without input.",
    ),
    (
        {"busy_percent": 40},
        {"busy": frozenset({CPU})},
        None,
        "Other programs keep the processor busy by more than 40 %.",
    ),
)


def _together(objections: tuple[Objection, ...]) -> tuple[Wishes, Facts, Pause | None]:
    wishes: dict[str, object] = {}
    facts: dict[str, object] = {}
    pause = None
    for wished, found, paused, _ in objections:
        wishes |= wished
        facts |= found
        pause = pause or paused
    return Wishes.model_validate(wishes), replace(FACTS, **facts), pause  # type: ignore[arg-type]


@pytest.mark.parametrize("objection", OBJECTIONS, ids=lambda objection: objection[3])
def test_each_rule_stops_work_with_its_own_sentence(objection: Objection) -> None:
    stopped = decide(*_together((objection,)))
    assert (stopped.run, stopped.reason) == (False, objection[3])
    assert (stopped.cpu_threads, stopped.memory_bytes, stopped.gpus) == (0, 0, ())


@pytest.mark.parametrize("first", range(len(OBJECTIONS)))
def test_of_several_reasons_the_most_important_one_is_printed(first: int) -> None:
    assert decide(*_together(OBJECTIONS[first:])).reason == OBJECTIONS[first][3]


@given(st.sets(st.integers(0, len(OBJECTIONS) - 1)))
def test_any_mixture_of_reasons_gives_exactly_the_first(chosen: set[int]) -> None:
    mixture = tuple(OBJECTIONS[index] for index in sorted(chosen))
    decision = decide(*_together(mixture))
    assert decision.run == (not mixture)
    assert decision.reason == (mixture[0][3] if mixture else "")


# --- time


def test_a_pause_that_is_over_stops_nothing() -> None:
    assert decide(Wishes(), FACTS, Pause(until=NOON)).run


def test_a_pause_says_its_end_and_whether_what_runs_is_finished() -> None:
    stopped = decide(Wishes(), FACTS, Pause(until=NOON + 86_400, finish_current=True))
    assert (stopped.until, stopped.finish_current) == (NOON + 86_400, True)
    assert stopped.reason == "You have paused work until Tuesday 12:00."
    assert decide(Wishes(), FACTS, Pause()).reason == "You have paused work until you resume it."


def test_hours_that_end_finish_what_runs_only_when_it_is_wished() -> None:
    for gentle in (False, True):
        wishes = Wishes(schedule=parse_spans("22:00-07:00"), finish_current=gentle)
        assert decide(wishes, FACTS).finish_current is gentle
    hot = replace(FACTS, hot=frozenset({CPU}))
    assert not decide(Wishes(finish_current=True), hot).finish_current, "heat waits for nobody"


def test_inside_of_the_schedule_work_runs_until_its_end_or_the_next_quiet_hours() -> None:
    wishes = Wishes(schedule=parse_spans("08:00-18:00"))
    assert decide(wishes, FACTS).until == NOON + 6 * 3600
    wishes = wishes.model_copy(update={"quiet_hours": parse_spans("14:00-15:00")})
    assert decide(wishes, FACTS).until == NOON + 2 * 3600


# --- the user


def test_what_is_not_known_is_said_and_not_guessed() -> None:
    stopped = decide(
        Wishes(only_when_idle=True), replace(FACTS, idle_s=None, idle_why="no desktop app is open to tell")
    )
    assert not stopped.run
    assert "cannot be known: no desktop app is open to tell" in stopped.reason
    assert decide(Wishes(), replace(FACTS, idle_s=None, on_battery=None, cpu_temperature_c=None)).run


def test_the_battery_stops_work_only_where_it_is_not_allowed() -> None:
    assert decide(Wishes(on_battery=True), replace(FACTS, on_battery=True)).run


# --- one card


def only_small(wishes: Wishes, facts: Facts, reason: str) -> None:
    allowed = decide(wishes, facts)
    assert allowed.run
    assert allowed.gpus == ("GPU-2",)
    assert allowed.vram_bytes == 8 * GIB * 90 // 100
    assert card_reason(wishes, facts, BIG) == reason
    assert card_reason(wishes, facts, SMALL) == ""


def test_a_card_that_is_switched_off_leaves_the_others_at_work() -> None:
    only_small(Wishes(cards={"GPU-1": CardWish(use=False)}), FACTS, "You have switched this card off.")


def test_a_hot_card_stops_alone() -> None:
    facts = replace(FACTS, hot=frozenset({"GPU-1"}), cards=(replace(BIG, temperature_c=88), SMALL))
    allowed = decide(Wishes(), facts)
    assert (allowed.run, allowed.gpus) == (True, ("GPU-2",))
    assert card_reason(Wishes(), facts, facts.cards[0]).startswith("This card is too hot (88 °C)")


def test_an_exclusive_program_on_a_card_takes_that_card_and_not_the_machine() -> None:
    app = replace(GAME, cards=frozenset({"GPU-1"}))
    only_small(Wishes(), replace(FACTS, exclusive=(app,)), "game is running on this card.")


def test_a_full_screen_program_on_a_card_takes_that_card_and_not_the_machine() -> None:
    app = App("player", 7, frozenset({"GPU-1"}))
    only_small(Wishes(), replace(FACTS, full_screen=app), "player fills the screen and uses this card.")
    assert len(decide(Wishes(pause_full_screen=False), replace(FACTS, full_screen=app)).gpus) == 2


def test_a_card_that_others_keep_busy_stops_alone() -> None:
    wishes = Wishes(busy_percent=25)
    only_small(
        wishes, replace(FACTS, busy=frozenset({"GPU-1"})), "Other programs keep this card busy by more than 25 %."
    )


# --- rules that remember


def _run(
    wishes: Wishes, rounds: list[tuple[float, dict[str, object]]], see: Callable[[hysteresis.Memory], object]
) -> list[object]:
    memory, seen = hysteresis.Memory(), []
    for at, change in rounds:
        memory = hysteresis.remember(wishes, replace(FACTS, now=at, **change), memory)  # type: ignore[arg-type]
        seen.append(see(memory))
    return seen


def test_what_was_too_hot_stays_so_until_it_has_cooled() -> None:
    readings = [84.9, 85, 80, 75.1, 75, 74.9, 84.9]
    rounds: list[tuple[float, dict[str, object]]] = [
        (index, {"cpu_temperature_c": celsius}) for index, celsius in enumerate(readings)
    ]
    seen = _run(Wishes(max_temperature_c=85, resume_temperature_c=75), rounds, lambda memory: CPU in memory.hot)
    assert seen == [False, True, True, True, True, False, False]


def test_a_thing_that_falls_silent_while_hot_is_believed_for_a_while_only() -> None:
    rounds: list[tuple[float, dict[str, object]]] = [
        (0, {"cpu_temperature_c": 90}),
        (5, {"cpu_temperature_c": None}),
        (9, {"cpu_temperature_c": None}),
        (11, {"cpu_temperature_c": None}),
    ]
    assert _run(Wishes(), rounds, lambda memory: CPU in memory.hot) == [True, True, True, False]


def test_without_a_ceiling_nothing_is_too_hot() -> None:
    hot = [(0.0, {"cpu_temperature_c": 105})]
    assert _run(Wishes(max_temperature_c=None), hot, lambda memory: dict(memory.hot)) == [{}]  # type: ignore[arg-type]


def test_a_short_burst_of_others_does_not_stop_work_and_a_short_rest_does_not_resume_it() -> None:
    loads = [(0, 90), (3, 10), (4, 90), (8, 90), (9, 90), (10, 5), (20, 90), (21, 5), (40, 5), (41, 5)]
    rounds: list[tuple[float, dict[str, object]]] = [(at, {"others_percent": percent}) for at, percent in loads]
    seen = _run(Wishes(busy_percent=50), rounds, lambda memory: CPU in memory.busy)
    assert seen == [False, False, False, False, True, True, True, True, True, False]

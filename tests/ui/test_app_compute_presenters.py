"""Compute in words, as tables: pills, the one reason, models, jobs, rules and what a change of them means."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from depin_desktop.api.compute import DeviceEarnings, JobOutcome, ModelImport, ModelStatus
from depin_desktop.api.controls import CardWish, Pause, Wishes
from depin_desktop.api.models import ServiceState
from depin_desktop.api.week import parse_spans
from depin_desktop.app.known import Known
from depin_desktop.app.presenters import common, compute, home, hours, jobs, models, rules
from depin_desktop.core.errors import UserFacingError

from . import compute_samples as computing
from . import samples
from .compute_samples import NOW

GIB = 2**30


def with_state(state: ServiceState, reason: str = "", **changes: Any) -> Known:
    return samples.live(compute=computing.compute(service=computing.service(state, reason), **changes))


@pytest.mark.parametrize(
    ("known", "text", "tone"),
    [
        (samples.live(), "1\u00a0job now", "accent"),
        (with_state(ServiceState.EARNING, running=0), "Earning", "accent"),
        (with_state(ServiceState.IDLE), "Ready", "info"),
        (with_state(ServiceState.PAUSED, "You are using the computer."), "Paused", "muted"),
        (with_state(ServiceState.ATTENTION), "Look at this", "warning"),
        (with_state(ServiceState.FAULT), "Fault", "fault"),
        (samples.empty(), "Off", "muted"),
        (samples.loading(), "Loading…", "muted"),
        (samples.offline(), "Seen 34 s ago", "muted"),
    ],
)
def test_the_pill_says_each_state_in_a_word(known: Known, text: str, tone: str) -> None:
    pill = compute.pill(known, NOW)
    assert (pill.text, pill.tone) == (text, tone)


@pytest.mark.parametrize(
    ("known", "headline", "action"),
    [
        (samples.paused(), "Paused until", "resume"),
        (samples.live(controls=computing.controls(pause=Pause())), "Paused", "resume"),
        (
            samples.live(controls=computing.controls(sharing=False), status=samples.status(sharing=False)),
            "Paused",
            "share",
        ),
        (samples.live(controls=computing.controls(on_battery=True)), "Paused", "rules"),
        (with_state(ServiceState.FAULT, "The worker ends."), "Compute has a fault", ""),
    ],
)
def test_what_stops_work_is_said_with_the_one_thing_to_do(known: Known, headline: str, action: str) -> None:
    notice = compute.notice(known, NOW)
    assert notice is not None
    assert notice.headline.startswith(headline)
    assert notice.action == action
    assert notice.sentence.endswith(".")


@pytest.mark.parametrize("known", [samples.live(), samples.empty(), samples.loading(), samples.offline()])
def test_without_a_reason_nothing_is_said(known: Known) -> None:
    assert compute.notice(known, NOW) is None


def test_a_pause_of_days_names_its_day() -> None:
    known = samples.live(controls=computing.controls(pause=Pause(until=NOW + 3 * 86_400)))
    notice = compute.notice(known, NOW)
    assert notice is not None
    assert "25 Nov" in notice.headline


@pytest.mark.parametrize(
    ("known", "busy", "on", "enabled"),
    [
        (samples.live(), False, True, True),
        (samples.empty(), False, False, True),
        (samples.live(), True, True, False),
        (samples.offline(), False, True, False),
        (samples.loading(), False, False, False),
    ],
)
def test_the_switch_moves_only_while_somebody_listens(known: Known, busy: bool, on: bool, enabled: bool) -> None:
    view = compute.switch(known, busy)
    assert (view.on, view.enabled) == (on, enabled)
    assert view.tip


def test_earnings_per_watt_hour_are_told_only_where_power_is_known() -> None:
    assert compute.per_watt_hour(DeviceEarnings(device="cpu", earned_total=10)) is None
    assert compute.per_watt_hour(DeviceEarnings(device="g", earned_total=10, energy_wh=4.0)) == 2
    dark = samples.live(compute=computing.compute(devices=(DeviceEarnings(device="cpu", jobs=1, earned_total=5),)))
    assert "not known" in compute.earned(dark).note.text
    assert "for each Wh" in compute.earned(samples.live()).note.text


def test_a_card_says_why_it_rests() -> None:
    wishes = Wishes(cards={computing.CARD: CardWish(use=False)})
    off = compute.devices(samples.live(controls=computing.controls(wishes)))[1]
    assert (off.pill.text, off.note.text) == ("Off", "You have switched this card off.")
    assert off.use is not None
    assert not off.use.on
    bare = computing.gpu(utilisation_percent=None, temperature_c=None, power_w=None)
    silent = compute.devices(samples.live(controls=computing.controls(gpus=(bare,))))[1]
    assert [reading.value for reading in silent.readings] == ["–", "1.4", "–", "–"]


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("cpu", "Processor"),
        (computing.CARD, "RTX 4070"),
        ("GPU-of-before", "Card that is gone"),
        ("server 192.168.1.20:8000", "192.168.1.20:8000"),
        ("ray 192.168.1.30:6379", "Ray at 192.168.1.30:6379"),
    ],
)
def test_a_job_names_what_it_ran_on_here_and_elsewhere(device: str, name: str) -> None:
    known = samples.live()
    said = compute.device_name(device, known)
    assert said == name
    assert jobs.cell(computing.job(1, device=device), 3, NOW, said, "DPN").tip == name


def test_a_job_elsewhere_is_no_load_of_this_machine() -> None:
    away = computing.job(0, device="server gpu.lan", outcome=JobOutcome.RUNNING, ended_at=None)
    known = samples.live(compute=computing.compute(jobs=(away,)))
    assert {view.pill.text for view in compute.devices(known)} == {"Ready"}
    shown = home.compute_card(known, NOW)
    assert "busy" in shown.lines[0]


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("NVIDIA GeForce RTX 4070", "RTX 4070"),
        ("AMD Radeon RX 7900 XTX", "RX 7900 XTX"),
        ("Intel(R) Xeon(R) Processor", "Xeon Processor"),
        ("Apple M3", "M3"),
        ("llvmpipe", "llvmpipe"),
    ],
)
def test_a_device_is_named_without_its_maker_where_there_is_little_room(name: str, short: str) -> None:
    assert compute.model_of(name) == short


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0052, "5\u00a0ms"), (3.21, "3.2\u00a0s"), (150, "2\u00a0min"), (9000, "2.5\u00a0h")],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert compute.duration(seconds) == text


def model(**changes: Any) -> ModelStatus:
    return computing.models()[0].model_copy(update=changes)


@pytest.mark.parametrize(
    ("entry", "column", "text"),
    [
        (model(), 0, "SmolLM2‐135M‐Inst…t Q4_K_M\nApache‐2.0 · 98.0 MB"),
        (model(licence=""), 0, "SmolLM2‐135M‐Inst…t Q4_K_M\nlicence unknown · 98.0 MB"),
        (model(), 1, "Chat\nllama.cpp b6653"),
        (model(), 2, "RTX 4070\n4\u00a0slots"),
        (model(), 3, "412\ntokens/s"),
        (model(rate=0.0), 3, "not measured"),
        (model(kind="onnx", rate=12.34, price_per_run_second=10**16), 3, "12.3\nruns/s"),
        (model(kind="onnx", price_per_run_second=10**16), 4, "0.0100\nper second"),
        (model(), 4, "0.400 + 1.20\nper Mtoken"),
        (model(served=False), 4, "–"),
        (model(), 5, "In memory"),
        (model(loaded=False), 5, "On disk"),
        (model(problem="It does not fit."), 5, "Not served"),
        (computing.models()[2], 0, "Sandboxed programs\ncustomers bring them"),
        (computing.models()[2], 3, "310\u00a0M\nfuel/s"),
        (computing.models()[2], 4, "0.0200\nper Gfuel"),
    ],
)
def test_the_cells_of_a_model(entry: ModelStatus, column: int, text: str) -> None:
    assert models.cell(entry, column, "RTX 4070", "DPN").text == text


def test_models_are_ordered_by_value_and_problems_come_last() -> None:
    entries = [*computing.models(), model(problem="It does not fit.")]
    kinds = [entry.kind for entry in sorted(entries[:3], key=lambda entry: models.sort_key(entry, 3))]
    assert kinds == ["chat", "embedding", "wasm"]
    assert max(entries, key=lambda entry: models.sort_key(entry, 5)).problem


@pytest.mark.parametrize(
    ("path", "sha256", "problem"),
    [
        ("", "", ""),
        ("/m/a.gguf", "", ""),
        ("/m/A.ONNX", "AB" * 32, ""),
        ("a.gguf", "", "whole path"),
        ("/m/a.pt", "", "pickle"),
        ("/m/a.gguf", "abc", "64 hexadecimal"),
    ],
)
def test_a_file_is_judged_as_it_is_written(path: str, sha256: str, problem: str) -> None:
    assert problem in models.import_problem(path, sha256)
    assert bool(problem) == bool(models.import_problem(path, sha256))


def test_an_import_without_a_known_size_promises_nothing() -> None:
    view = models.import_view(ModelImport(id="1", name="", path="/m/some.gguf"))
    assert (view.title, view.done, view.action) == ("some.gguf", None, "Cancel")
    done = models.import_view(ModelImport(id="1", name="x", path="/m/x.gguf", size_bytes=5, done_bytes=5))
    assert (done.detail.text, done.done) == ("Checking it…", 1.0)


@pytest.mark.parametrize("outcome", list(JobOutcome))
def test_every_outcome_has_its_word_and_its_meaning(outcome: JobOutcome) -> None:
    words = jobs.cell(computing.job(1, outcome=outcome), 6, NOW, "Processor", "DPN")
    assert words.text
    assert words.tip.endswith(".")


@pytest.mark.parametrize(
    ("changes", "work"),
    [
        ({}, "256\u00a0tokens"),
        ({"completion_tokens": 0}, "121\u00a0tokens read"),
        ({"kind": "wasm", "fuel": 1_250_000_000}, "1.25\u00a0G fuel"),
        ({"kind": "onnx", "seconds": 3.14}, "3.1\u00a0s"),
        ({"completion_tokens": 0, "prompt_tokens": 0}, ""),
    ],
)
def test_work_is_told_in_what_it_is_paid_by(changes: dict[str, Any], work: str) -> None:
    assert jobs.work(computing.job(1, **changes)) == work


def test_a_running_job_goes_on_ageing() -> None:
    running = computing.job(0, started_at=NOW - 4, ended_at=None)
    assert jobs.took(running, NOW) == "4.0\u00a0s"
    assert jobs.took(running, NOW + 1) == "5.0\u00a0s"
    assert jobs.took(computing.job(0, started_at=None, ended_at=None), NOW) == ""


def test_checked_answers_are_told_and_wrong_ones_warn() -> None:
    assert "checked" not in jobs.summary(computing.compute()).text
    good = jobs.summary(computing.compute(checked_right=41))
    assert (good.text.split(" · ")[-1], good.tone) == ("41 of 41 checked answers right", "muted")
    assert jobs.summary(computing.compute(checked_right=41, checked_wrong=1)).tone == "warning"


def rule(key: str, wishes: Wishes | None = None) -> rules.Rule:
    controls = computing.controls(wishes)
    found = [rule for group in rules.groups(controls, samples.inventory()) for rule in group.rules if rule.key == key]
    return found[0]


@pytest.mark.parametrize(
    ("key", "on", "changed"),
    [
        ("only_when_idle", True, {"only_when_idle": True}),
        ("pause_full_screen", False, {"pause_full_screen": False}),
        ("on_battery", True, {"on_battery": True}),
        ("finish_current", True, {"finish_current": True}),
        ("busy_percent", True, {"busy_percent": 50}),
        ("busy_percent", False, {"busy_percent": None}),
        ("disk_bytes", True, {"disk_bytes": 20 * GIB}),
        ("max_temperature_c", False, {"max_temperature_c": None}),
        ("power:GPU-1", True, {"cards": {"GPU-1": CardWish(power_limit_w=200.0)}}),
        ("power:GPU-1", False, {"cards": {"GPU-1": CardWish()}}),
    ],
)
def test_what_a_switch_changes(key: str, on: bool, changed: dict[str, Any]) -> None:
    assert rules.switched(Wishes(), rule(key), on) == Wishes(**changed)


@pytest.mark.parametrize(
    ("key", "value", "changed"),
    [
        ("cpu_percent", 25, {"cpu_percent": 25}),
        ("memory_bytes", 4 * GIB, {"memory_bytes": 4 * GIB}),
        ("vram_percent", 40, {"vram_percent": 40}),
        ("disk_bytes", 7 * GIB, {"disk_bytes": 7 * GIB}),
        ("only_when_idle", 10, {"idle_after_s": 600.0}),
        ("max_temperature_c", 70, {"max_temperature_c": 70.0, "resume_temperature_c": 60.0}),
        ("max_temperature_c", 95, {"max_temperature_c": 95.0, "resume_temperature_c": 75.0}),
        ("resume_temperature_c", 60, {"resume_temperature_c": 60.0}),
        ("power:GPU-1", 150, {"cards": {"GPU-1": CardWish(power_limit_w=150.0)}}),
    ],
)
def test_what_an_amount_changes(key: str, value: int, changed: dict[str, Any]) -> None:
    assert rules.measured(Wishes(), rule(key), value) == Wishes(**changed)


def test_what_is_written_becomes_programs_and_hours() -> None:
    apps = rules.written(Wishes(), rule("exclusive_apps"), " blender, steam;game.exe, blender,, ")
    assert apps.exclusive_apps == ("blender", "steam", "game.exe")
    quiet = rules.written(Wishes(), rule("quiet_hours"), "22:00-06:30; sat,sun 12:00-14:00")
    assert len(quiet.quiet_hours) == 2
    assert rules.written(quiet, rule("quiet_hours"), "").quiet_hours == ()
    with pytest.raises(UserFacingError, match="not a time of the week"):
        rules.written(Wishes(), rule("schedule"), "at night")


@pytest.mark.parametrize("ceiling", range(40, 106))
def test_work_always_goes_on_below_the_ceiling(ceiling: int) -> None:
    wishes = rules.ceiling(Wishes(max_temperature_c=105, resume_temperature_c=100), ceiling)
    assert wishes.max_temperature_c == ceiling
    assert 30 <= wishes.resume_temperature_c < ceiling


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [("50 %", "%", 50), ("50", "%", 50), ("84,6\u00a0°C", "°C", 85), ("2 GiB", "bytes", 2 * GIB)],
)
def test_amounts_are_read_as_people_write_them(text: str, unit: str, value: int) -> None:
    assert rules.read_amount(text, unit) == value
    assert rules.read_amount(rules.say_amount(50 * GIB if unit == "bytes" else 50, unit), unit) > 0
    with pytest.raises(UserFacingError):
        rules.read_amount("much", unit)


def test_every_rule_says_what_it_does_here() -> None:
    for group in rules.groups(computing.controls(), samples.inventory()):
        for entry in group.rules:
            assert entry.effect.text.endswith("."), entry.key


def test_the_week_follows_schedule_quiet_and_costly_hours() -> None:
    wishes = Wishes(
        schedule=parse_spans("mon-fri 20:00-08:00"),
        quiet_hours=parse_spans("22:00-23:00"),
        expensive_hours=parse_spans("tue 06:00-07:00"),
    )
    week = hours.week(wishes)
    assert week[0][7] == "outside", "Sunday's evening is not in the schedule"
    assert week[1][7] == "allowed"
    assert week[1][6] == "expensive"
    assert week[0][22] == "quiet"
    assert "of 168 hours" in hours.week_summary(week)
    assert "every hour" in hours.week_summary(hours.week(Wishes()))


def test_pauses_end_when_they_say() -> None:
    ends = [snooze.seconds for snooze in hours.snoozes(NOW)]
    assert ends[:3] == [900.0, 3600.0, 14_400.0]
    assert ends[-1] is None
    assert ends[3] is not None
    assert 0 < ends[3] <= 32 * 3600


def test_one_word_for_the_machine_follows_what_needs_its_owner() -> None:
    leading = common.leading(with_state(ServiceState.FAULT))
    assert leading is not None
    assert leading.kind == "compute"
    assert common.status_line(with_state(ServiceState.FAULT), NOW).state.text == "Fault"
    calm = common.leading(with_state(ServiceState.PAUSED))
    assert calm is not None
    assert calm.kind == "storage"
    assert common.sharing_switch(replace(samples.empty(), compute=computing.compute())).enabled

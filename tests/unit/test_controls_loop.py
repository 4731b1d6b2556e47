"""The loop that decides: readings that change, hang and grow old; the owner's word; and who is told, and how soon."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from depin_desktop.api.controls import CardWish, ControlsStatus, Presence, SetPause, Wishes
from depin_desktop.api.models import Gpu, GpuProcess
from depin_desktop.controls.allowance import Allowance
from depin_desktop.controls.controls import Controls
from depin_desktop.controls.facts import App
from depin_desktop.controls.observer import Sources
from depin_desktop.controls.presence import FRESH_S, Presences, full_screen_of, idle_of
from depin_desktop.controls.sessions import Idle
from depin_desktop.core.bus import EventBus
from depin_desktop.core.errors import UserFacingError
from depin_desktop.hardware.gpus import GpuReading

GIB = 2**30
OURS, THEIRS = 100, 200
NOT_TOLD = Idle(None, "no desktop app is open to tell")


def card(**changes: object) -> Gpu:
    base: dict[str, object] = {
        "index": 0,
        "uuid": "GPU-1",
        "name": "Big",
        "driver": "1",
        "memory_total_bytes": 24 * GIB,
        "memory_used_bytes": GIB,
        "utilisation_percent": 3.0,
        "temperature_c": 50.0,
        "power_w": 100.0,
        "power_limit_w": 350.0,
    }
    return Gpu(**(base | changes))  # type: ignore[arg-type]


@dataclass
class Machine:
    """What the readings find; tests change it."""

    gpus: tuple[Gpu, ...] = (card(),)
    temperature: float | None = 50.0
    battery: bool | None = False
    others: float | None = 2.0
    running: tuple[App, ...] = ()
    idle: Idle = NOT_TOLD
    hang: threading.Event | None = None
    limits: list[tuple[str, float | None]] = field(default_factory=list)
    refusal: UserFacingError | None = None

    def read_cards(self) -> GpuReading:
        if self.hang is not None:
            self.hang.wait()
        return GpuReading(self.gpus)

    def set_limit(self, uuid: str, watts: float | None) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.limits.append((uuid, watts))

    def sources(self) -> Sources:
        return Sources(
            cards=self.read_cards,
            set_power_limit=self.set_limit,
            temperature=lambda: self.temperature,
            battery=lambda: self.battery,
            others=lambda: self.others,
            running=lambda names: tuple(app for app in self.running if app.name in names),
            idle=lambda: self.idle,
            own_pids=lambda: frozenset({OURS}),
        )


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
async def controls(machine: Machine, tmp_path: Path) -> AsyncIterator[Controls]:
    async with started(machine, tmp_path) as controls:
        yield controls


@contextlib.asynccontextmanager
async def started(machine: Machine, folder: Path, bus: EventBus | None = None) -> AsyncIterator[Controls]:
    controls = Controls(folder / "controls.json", bus or EventBus(), sharing=lambda: True, sources=machine.sources())
    await controls.start()
    await controls.observer.cards.cycle.trigger_and_wait()
    try:
        yield controls
    finally:
        await controls.stop()


async def told(controls: Controls, reached: object) -> Allowance:
    """Waits until the allowance's `run` is as asked for, as a service would be told."""
    seen: asyncio.Queue[Allowance] = asyncio.Queue()
    controls.on_change(seen.put_nowait)
    allowed = controls.allowance()
    async with asyncio.timeout(5):
        while allowed.run is not reached:
            allowed = await seen.get()
    return allowed


async def test_nothing_may_run_before_the_first_look(machine: Machine, tmp_path: Path) -> None:
    machine.battery = True
    controls = Controls(tmp_path / "controls.json", EventBus(), sharing=lambda: True, sources=machine.sources())
    assert controls.allowance() == Allowance.stopped("The engine is starting.")
    await controls.start()
    assert controls.allowance().reason == "The computer runs on its battery."
    await controls.stop()


async def test_the_owners_pause_is_told_within_a_moment_and_survives_a_restart(
    controls: Controls, machine: Machine, tmp_path: Path
) -> None:
    heard: list[tuple[float, bool]] = []
    controls.on_change(lambda allowed: heard.append((time.monotonic(), allowed.run)))
    asked = time.monotonic()
    status = await controls.pause(SetPause(seconds=3600))
    assert [run for _, run in heard] == [False]
    assert heard[0][0] - asked < 1.0
    assert status.until == pytest.approx(time.time() + 3600, abs=5)
    async with started(machine, tmp_path) as again:
        assert not again.allowance().run
        assert (await again.resume()).run


async def test_a_pause_ends_by_itself(controls: Controls) -> None:
    await controls.pause(SetPause(seconds=0.01))
    await told(controls, True)
    assert controls.status().pause is None


async def test_a_service_that_fails_to_follow_does_not_keep_others_from_it(controls: Controls) -> None:
    heard: list[bool] = []

    def fail(_: Allowance) -> None:
        raise RuntimeError("broken")

    controls.on_change(fail)
    controls.on_change(lambda allowed: heard.append(allowed.run))
    await controls.pause(SetPause())
    assert heard == [False]


async def test_readings_that_change_are_followed(controls: Controls, machine: Machine) -> None:
    for change, sentence in (("temperature", "too hot"), ("battery", "battery")):
        setattr(machine, change, {"temperature": 95.0, "battery": True}[change])
        controls.observer.look_again()
        assert sentence in (await told(controls, False)).reason
        setattr(machine, change, {"temperature": 50.0, "battery": False}[change])
        controls.observer.look_again()
        await told(controls, True)


async def test_a_card_that_is_switched_off_is_withdrawn_at_once(controls: Controls) -> None:
    assert controls.allowance().gpus == ("GPU-1",)
    status = await controls.set_wishes(Wishes(cards={"GPU-1": CardWish(use=False)}))
    assert controls.allowance().run
    assert controls.allowance().gpus == ()
    assert [(card.allowed, card.reason) for card in status.cards] == [(False, "You have switched this card off.")]


async def test_a_driver_that_hangs_holds_nothing_up_and_its_cards_are_given_up(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(machine, tmp_path) as controls:
        machine.hang = threading.Event()
        controls.observer.cards.timeout_s = 0.02
        await controls.observer.cards.cycle.trigger_and_wait()
        assert controls.allowance().gpus == ("GPU-1",), "one missing answer is not yet a lost card"
        await controls.pause(SetPause())
        await controls.resume()
        monkeypatch.setattr("depin_desktop.controls.observer.KEPT_S", -10.0)  # the last answer is now too old
        controls.decide()
        assert controls.allowance().run
        assert controls.allowance().gpus == ()
        assert any("do not answer" in sentence for sentence in controls.status().unknown)
        machine.hang.set()


async def test_our_own_load_never_counts_as_busy(controls: Controls, machine: Machine) -> None:
    def busy(pid: int) -> tuple[Gpu, ...]:
        return (card(utilisation_percent=99.0, processes=(GpuProcess(pid=pid, name="x", utilisation_percent=98.0),)),)

    for pid, percent in ((OURS, 0.0), (THEIRS, 98.0)):
        machine.gpus = busy(pid)
        await controls.observer.cards.cycle.trigger_and_wait()
        assert controls.observer.facts(sharing=True).cards[0].others_percent == percent


async def test_where_a_driver_does_not_count_by_program_a_card_that_we_use_is_not_called_busy(
    controls: Controls, machine: Machine
) -> None:
    for pid, percent in ((OURS, None), (THEIRS, 99.0)):
        machine.gpus = (card(utilisation_percent=99.0, processes=(GpuProcess(pid=pid, name="x"),)),)
        await controls.observer.cards.cycle.trigger_and_wait()
        assert controls.observer.facts(sharing=True).cards[0].others_percent == percent


async def test_an_exclusive_program_is_found_on_its_card(controls: Controls, machine: Machine) -> None:
    machine.running = (App("game", THEIRS),)
    machine.gpus = (card(processes=(GpuProcess(pid=THEIRS, name="game"),)), card(index=1, uuid="GPU-2"))
    await controls.observer.cards.cycle.trigger_and_wait()
    await controls.set_wishes(Wishes(exclusive_apps=("game",)))
    await controls.observer.programs.cycle.trigger_and_wait()
    assert controls.allowance().gpus == ("GPU-2",)


async def test_a_power_limit_is_set_once_and_taken_back_at_the_end(machine: Machine, tmp_path: Path) -> None:
    async with started(machine, tmp_path) as controls:
        await controls.set_wishes(Wishes(cards={"GPU-1": CardWish(power_limit_w=200)}))
        for _ in range(3):
            await controls.cycle.trigger_and_wait()
        assert machine.limits == [("GPU-1", 200)]
    assert machine.limits == [("GPU-1", 200), ("GPU-1", None)]


async def test_a_power_limit_that_is_not_allowed_is_said(controls: Controls, machine: Machine) -> None:
    machine.refusal = UserFacingError("Only an administrator may.", "Ask one.")
    await controls.set_wishes(Wishes(cards={"GPU-1": CardWish(power_limit_w=200)}))
    await controls.cycle.trigger_and_wait()
    assert controls.status().cards[0].detail == "Only an administrator may. Ask one."


async def test_the_status_is_published_when_it_changes(machine: Machine, tmp_path: Path) -> None:
    bus = EventBus()
    with bus.subscribe() as heard:
        async with started(machine, tmp_path, bus) as controls:
            await controls.pause(SetPause())
            async with asyncio.timeout(5):
                async for message in heard:
                    if isinstance(message.data, ControlsStatus) and not message.data.run:
                        break
            assert ControlsStatus.model_validate_json(message.data.model_dump_json()) == message.data


def test_a_file_that_cannot_be_understood_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "controls.json"
    path.write_text('{"wishes": {"cpu_percent": 500}}')
    with pytest.raises(UserFacingError, match="cannot be read"):
        Controls(path, EventBus(), sharing=lambda: True, sources=Machine().sources())
    assert "500" in path.read_text()


def test_wishes_of_a_newer_version_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "controls.json"
    path.write_text('{"wishes": {"cpu_percent": 20, "from_the_future": 1}, "also": 2}')
    controls = Controls(path, EventBus(), sharing=lambda: True, sources=Machine().sources())
    assert controls.status().wishes == Wishes(cpu_percent=20)


# --- the user in front of it


async def test_the_users_return_stops_work_at_once(controls: Controls) -> None:
    await controls.set_wishes(Wishes(only_when_idle=True))
    assert "cannot be known" in controls.allowance().reason
    controls.note_presence(Presence(session="1", idle_s=500))
    assert controls.allowance().run
    controls.note_presence(Presence(session="1", idle_s=0.4))
    assert controls.allowance().reason.startswith("You are using the computer")


async def test_a_full_screen_window_stops_work_or_its_card(controls: Controls, machine: Machine) -> None:
    controls.note_presence(Presence(session="1", full_screen=True, app="player", pid=THEIRS))
    assert controls.allowance().reason == "player fills the screen."
    machine.gpus = (card(processes=(GpuProcess(pid=THEIRS, name="player"),)),)
    await controls.observer.cards.cycle.trigger_and_wait()
    assert controls.allowance().run
    assert controls.allowance().gpus == ()
    assert "player fills the screen" in controls.status().cards[0].reason


async def test_without_an_app_logind_is_asked(controls: Controls, machine: Machine) -> None:
    machine.idle = Idle(4000.0)
    await controls.set_wishes(Wishes(only_when_idle=True))
    assert (await told(controls, True)).run


def test_what_a_session_told_is_forgotten_when_nothing_follows() -> None:
    now = 0.0
    presences = Presences(lambda: now)
    presences.note(Presence(session="1", idle_s=900))
    assert idle_of(presences.fresh()) == 900
    now = FRESH_S
    assert presences.fresh() == ()


def test_of_several_sessions_the_one_in_use_counts_and_one_that_cannot_tell_makes_it_unknown() -> None:
    first, second = Presence(session="1", idle_s=900), Presence(session="2", idle_s=3, full_screen=True)
    assert idle_of((first, second)) == 3
    assert idle_of((first, Presence(session="3"))) is None
    assert idle_of(()) is None
    assert full_screen_of((first, second)) == second

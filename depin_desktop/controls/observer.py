"""Keeps the facts fresh: each kind of reading has a pace, a time-out and an end of its validity of its own.

A probe that hangs holds up no other one and no decision: what it told last is forgotten when it is too old.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import psutil

from depin_desktop.api.controls import Wishes
from depin_desktop.api.models import Gpu
from depin_desktop.controls import load, sessions
from depin_desktop.controls.facts import App, Facts
from depin_desktop.controls.presence import Presences, full_screen_of, idle_of
from depin_desktop.core.tasks import Cycle, Tasks
from depin_desktop.hardware.gpus import GpuReading, Gpus
from depin_desktop.hardware.machine import read_memory
from depin_desktop.hardware.probes import ProbeFailed, Prober

Value = TypeVar("Value")

CARDS_S = 2.0
NO_CARDS_S = 30.0
FIRST_CARDS_TIMEOUT_S = 10.0  # the first question may have to wake a card, which takes seconds
TIMEOUT_S = 3.0
KEPT_S = 10.0


@dataclass
class Sources:
    """Where readings come from; each may block and is asked in a thread of its own, but for the last."""

    cards: Callable[[], GpuReading]
    set_power_limit: Callable[[str, float | None], None]
    temperature: Callable[[], float | None] = load.cpu_temperature
    battery: Callable[[], bool | None] = load.on_battery
    others: Callable[[], float | None] = field(default_factory=lambda: load.OthersLoad().read)
    running: Callable[[tuple[str, ...]], tuple[App, ...]] = field(default_factory=lambda: load.Programs().running)
    idle: Callable[[], sessions.Idle] = sessions.read_idle
    own_pids: Callable[[], frozenset[int]] = load.own_pids
    machine: Callable[[], load.MachineLoad] = field(default_factory=lambda: load.Machine().read)
    """No rule follows it and it waits for nothing, so it is read by whoever shows it, when they do."""


@dataclass(frozen=True)
class Cards:
    """The cards as read, and the processes among those on them that are ours."""

    gpus: tuple[Gpu, ...] = ()
    own: frozenset[int] = frozenset()
    problems: tuple[str, ...] = ()


class Reading(Generic[Value]):
    """One kind of reading, repeated while it is wanted."""

    def __init__(self, name: str, ask: Callable[[], Value], prober: Prober, changed: Callable[[], None]) -> None:
        self.cycle = Cycle(f"controls/{name}", KEPT_S, self.round)
        self.wanted: Callable[[], bool] = lambda: True
        self.pace: Callable[[], float] = lambda: KEPT_S / 2
        self.timeout_s = TIMEOUT_S
        self.problem = ""
        self._name = name
        self._ask = ask
        self._prober = prober
        self._changed = changed
        self._value: Value | None = None
        self._read_at = float("-inf")

    @property
    def last(self) -> Value | None:
        """What was read last, however long ago."""
        return self._value

    @property
    def value(self) -> Value | None:
        """What was read last, as long as it holds."""
        return self._value if time.monotonic() - self._read_at < self.pace() + KEPT_S else None

    async def round(self) -> None:
        self.cycle.interval_s = self.pace()
        if not self.wanted():
            self._value = None
            return
        try:
            value = await self._prober.ask(f"controls {self._name}", self._ask, timeout_s=self.timeout_s)
        except ProbeFailed as failed:
            self.problem = failed.problem.message
            return
        changed = value != self._value
        self.problem, self._value, self._read_at = "", value, time.monotonic()
        self.cycle.interval_s = self.pace()
        if changed:
            self._changed()


class Observer:
    """Asks the sources that the wishes need, and puts what is known together."""

    def __init__(
        self,
        wishes: Callable[[], Wishes],
        presences: Presences,
        changed: Callable[[], None],
        sources: Sources | None = None,
    ) -> None:
        self._gpus = Gpus()
        self.sources = sources or Sources(self._gpus.read, self._gpus.set_power_limit)
        self._wishes = wishes
        self._presences = presences
        self._threads = psutil.cpu_count() or 1
        self._memory_bytes = 0
        prober = Prober()
        self.cards = Reading("cards", self._read_cards, prober, changed)
        self.cards.pace = lambda: CARDS_S if self.cards.problem or (self.cards.last or Cards()).gpus else NO_CARDS_S
        self.cards.timeout_s = FIRST_CARDS_TIMEOUT_S
        self.temperature = Reading("temperature", self.sources.temperature, prober, changed)
        self.temperature.wanted = lambda: wishes().max_temperature_c is not None
        self.battery = Reading("battery", self.sources.battery, prober, changed)
        self.others = Reading("load", self.sources.others, prober, changed)
        self.others.wanted = lambda: wishes().busy_percent is not None
        self.others.pace = lambda: 2.0
        self.programs = Reading("programs", lambda: self.sources.running(wishes().exclusive_apps), prober, changed)
        self.programs.wanted = lambda: bool(wishes().exclusive_apps)
        self.programs.pace = lambda: 3.0
        self.idle = Reading("idle", self.sources.idle, prober, changed)
        self.idle.wanted = lambda: wishes().only_when_idle and idle_of(presences.fresh()) is None
        self._tasks = Tasks("controls/observer")

    @property
    def readings(self) -> tuple[Reading[Any], ...]:
        return (self.cards, self.temperature, self.battery, self.others, self.programs, self.idle)

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The cards as last read; none when they have stopped answering."""
        return (self.cards.value or Cards()).gpus

    async def start(self) -> None:
        """Begins to read; returns when what takes no time is known. Cards may take seconds and follow."""
        self._memory_bytes = read_memory().total_bytes
        await asyncio.gather(self.temperature.round(), self.battery.round())
        for reading in self.readings:
            self._tasks.spawn(reading.cycle.name, reading.cycle.run())

    async def stop(self) -> None:
        await self._tasks.close()
        if not self.cards.problem:  # a driver that hangs would hang here too
            self._gpus.close()

    def look_again(self) -> None:
        """The wishes have changed: read at once what they ask for."""
        for reading in self.readings:
            reading.cycle.trigger()

    def machine(self) -> load.MachineLoad:
        """How busy the whole machine is; only shown."""
        return self.sources.machine()

    def facts(self, *, sharing: bool) -> Facts:
        """Everything that is known now; remembers nothing (see `hysteresis`)."""
        cards = self.cards.value or Cards()
        present = self._presences.fresh()
        idle, told = idle_of(present), self.idle.value
        where = load.cards_by_pid(cards.gpus)
        full = full_screen_of(present)
        return Facts(
            now=time.time(),
            cpu_threads=self._threads,
            memory_bytes=self._memory_bytes,
            sharing=sharing,
            cards=tuple(load.card_of(gpu, cards.own) for gpu in cards.gpus),
            cpu_temperature_c=self.temperature.value,
            on_battery=self.battery.value,
            idle_s=idle if idle is not None or told is None else told.seconds,
            idle_why=told.why if told else "",
            full_screen=None if full is None else App(full.app, full.pid, where.get(full.pid or -1, frozenset())),
            exclusive=tuple(
                App(app.name, app.pid, where.get(app.pid or -1, frozenset())) for app in self.programs.value or ()
            ),
            others_percent=self.others.value,
        )

    def unknown(self) -> tuple[str, ...]:
        """What cannot be told here although a wish depends on it, a sentence each."""
        wishes, present, sentences = self._wishes(), self._presences.fresh(), []
        if wishes.max_temperature_c is not None and self.temperature.value is None:
            sentences.append("This computer does not show its processor's temperature, so only cards are watched.")
        if wishes.pause_full_screen and not any(presence.full_screen is not None for presence in present):
            sentences.append("Whether a program fills the screen is not known here.")
        if not wishes.on_battery and self.battery.value is None:
            sentences.append("No battery is seen here.")
        cards = self.cards.value or Cards()
        sentences += cards.problems
        if self.cards.problem:
            sentences.append(f"The graphics cards do not answer: {self.cards.problem}")
        return tuple(sentences)

    def _read_cards(self) -> Cards:
        reading = self.sources.cards()
        used = {process.pid for gpu in reading.gpus for process in gpu.processes}
        own = self.sources.own_pids() & used if used else frozenset()
        return Cards(reading.gpus, own, reading.problems)

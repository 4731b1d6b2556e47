"""What other programs take of this machine: the whole load without that of this process and its descendants."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

from depin_desktop.api.models import Gpu
from depin_desktop.controls.facts import App, Card
from depin_desktop.hardware.machine import read_memory

AGAIN_S = 1.0
OLD_S = 60.0
_CPU_CHIPS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "soc_thermal", "cpu")


def own_pids() -> frozenset[int]:
    """This process and everything that descends from it: workers and their children."""
    me = psutil.Process()
    return frozenset({os.getpid(), *(child.pid for child in me.children(recursive=True))})


@dataclass(frozen=True)
class MachineLoad:
    """How busy the whole machine is; percent is None at the first look after a long time."""

    cpu_percent: float | None
    memory_used_bytes: int


class Machine:
    """Measures between two looks, which are no closer than `AGAIN_S`: what is asked sooner is told the last one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._threads = psutil.cpu_count() or 1
        self._at, self._busy = float("-inf"), 0.0
        self._last = MachineLoad(None, 0)

    def read(self) -> MachineLoad:
        """What the processor did since the last look, ours and others', and the memory in use now."""
        now = self._clock()
        if (elapsed := now - self._at) < AGAIN_S:
            return self._last
        busy, memory = _busy_seconds(), read_memory()
        # A share of long ago tells nothing of now. Whole percents: a window redraws for what a person can tell apart.
        share = (
            None if elapsed > OLD_S else min(100, round(max(0.0, busy - self._busy) / elapsed / self._threads * 100))
        )
        self._at, self._busy = now, busy
        self._last = MachineLoad(share, memory.total_bytes - memory.available_bytes)
        return self._last


class OthersLoad:
    """Measures between two calls, so the first one knows nothing yet."""

    def __init__(self) -> None:
        self._at = 0.0
        self._busy = 0.0
        self._own: dict[int, float] = {}

    def read(self) -> float | None:
        """Percent of the whole processor that programs which are not ours kept busy since the last call."""
        now, busy, own = time.monotonic(), _busy_seconds(), _seconds_of(own_pids())
        elapsed = (now - self._at) * (psutil.cpu_count() or 1)
        # A process that ended meanwhile takes its seconds with it: better to blame nobody for them than others.
        ours = sum(seconds - self._own.get(pid, 0.0) for pid, seconds in own.items())
        gone = any(pid not in own for pid in self._own)
        share = None if not self._at or elapsed <= 0 or gone else max(0.0, busy - self._busy - ours) / elapsed * 100
        self._at, self._busy, self._own = now, busy, own
        return None if share is None else min(100.0, share)


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return (
        sum(times)
        - times.idle
        - getattr(times, "iowait", 0.0)
        - getattr(times, "guest", 0.0)
        - getattr(times, "guest_nice", 0.0)
    )


def _seconds_of(pids: Iterable[int]) -> dict[int, float]:
    found = {}
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(pid).cpu_times()
            found[pid] = times.user + times.system
    return found


def cpu_temperature() -> float | None:
    """The hottest spot of the processor in °C; None where the system does not show it."""
    read = getattr(psutil, "sensors_temperatures", None)
    chips = read() if read else {}
    values = [
        entry.current
        for name, entries in chips.items()
        if name in _CPU_CHIPS
        for entry in entries
        if entry.current is not None and 0 < entry.current < 150  # broken sensors report impossible values
    ]
    return max(values, default=None)


def on_battery() -> bool | None:
    """Whether the machine runs on its battery; None where it has none, or does not tell."""
    read = getattr(psutil, "sensors_battery", None)
    battery = read() if read else None
    return None if battery is None or battery.power_plugged is None else not battery.power_plugged


class Programs:
    """Which of some programs run. Asks each process for its name only twice, as that is dear."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._new: set[int] = set()  # these may still be about to become another program (fork, then exec)

    def running(self, wanted: Iterable[str]) -> tuple[App, ...]:
        """The programs of those names, each once per process; "Game.exe" and "game" are the same."""
        alive = set(psutil.pids())
        self._names = {pid: name for pid, name in self._names.items() if pid in alive}
        unknown = alive - self._names.keys()
        for pid in unknown | (self._new & alive):
            try:
                self._names[pid] = psutil.Process(pid).name()
            except psutil.Error:
                self._names[pid] = ""
        self._new = unknown
        sought = {_plain(name): name for name in wanted}
        found = sorted((pid, _plain(name)) for pid, name in self._names.items())
        return tuple(App(sought[name], pid) for pid, name in found if name in sought)


def _plain(name: str) -> str:
    return name.casefold().removesuffix(".exe").strip()


def card_of(gpu: Gpu, own: frozenset[int]) -> Card:
    """A card as the policy sees it."""
    return Card(
        uuid=gpu.uuid,
        name=gpu.name,
        memory_bytes=gpu.memory_total_bytes,
        temperature_c=gpu.temperature_c,
        others_percent=_others_percent(gpu, own),
    )


def _others_percent(gpu: Gpu, own: frozenset[int]) -> float | None:
    """Where the driver does not count by program, a card that we use is not known to be busy by others."""
    if any(process.utilisation_percent is not None for process in gpu.processes):
        shares = (process.utilisation_percent or 0.0 for process in gpu.processes if process.pid not in own)
        return min(100.0, sum(shares))
    ours = any(process.pid in own for process in gpu.processes)
    return None if ours else gpu.utilisation_percent


def cards_by_pid(gpus: Iterable[Gpu]) -> dict[int, frozenset[str]]:
    """The cards that each program uses, by UUID."""
    found: dict[int, set[str]] = {}
    for gpu in gpus:
        for process in gpu.processes:
            found.setdefault(process.pid, set()).add(gpu.uuid)
    return {pid: frozenset(cards) for pid, cards in found.items()}

"""The whole inventory: every probe at once, each with its own time-out, and what failed said in words."""

from __future__ import annotations

import asyncio
import functools
import platform
import socket
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from depin_desktop.api.models import Cpu, Disk, Inventory, Memory, NetworkInterface, ProbeProblem, Sensor
from depin_desktop.hardware import disks, gpus, machine, sensors, smart
from depin_desktop.hardware.facts import Mount
from depin_desktop.hardware.probes import ProbeFailed, Prober

TIMEOUT_S = 5.0
NVML_TIMEOUT_S = 10.0  # the first question after a start may have to wake the card, which takes seconds
SMART_MAX_AGE_S = 600.0

Value = TypeVar("Value")


class Surveyor:
    """Takes inventories. Keep one per process: it remembers which probes hang, and what SMART said lately."""

    def __init__(self, prober: Prober | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        self.prober = prober or Prober()
        self._timeout_s = timeout_s
        self._smart: dict[str, tuple[float, smart.SmartReading]] = {}

    async def take(self, listed: Callable[[], Iterable[Mount]] = disks.mounts) -> Inventory:
        """Everything this machine has, now. What gives no answer in time is named in `problems`."""
        survey = _Survey(self.prober, self._timeout_s)
        (cpu, memory, interfaces), (measured, attached, cards, found) = await asyncio.gather(
            asyncio.gather(
                survey.ask("processor", machine.read_cpu, Cpu(name="unknown processor", cores=1, threads=1)),
                survey.ask("memory", machine.read_memory, Memory(total_bytes=0, available_bytes=0)),
                survey.ask("network", machine.read_interfaces, tuple[NetworkInterface, ...]()),
            ),
            asyncio.gather(
                survey.ask("sensors", sensors.read_measurements, tuple[Sensor, ...]()),
                survey.ask("attached devices", sensors.read_attached, tuple[Sensor, ...]()),
                survey.ask("graphics", gpus.read_gpus, gpus.GpuReading(), timeout_s=NVML_TIMEOUT_S),
                self._disks(survey, listed),
            ),
        )
        survey.problems.extend(ProbeProblem(probe="graphics", message=sentence) for sentence in cards.problems)
        return Inventory(
            taken_at=time.time(),
            hostname=socket.gethostname(),
            system=_system_name(),
            cpu=cpu,
            memory=memory,
            disks=found,
            gpus=cards.gpus,
            sensors=(*measured, *attached),
            interfaces=interfaces,
            problems=tuple(survey.problems),
        )

    async def _disks(self, survey: _Survey, listed: Callable[[], Iterable[Mount]]) -> tuple[Disk, ...]:
        mounts = await survey.ask("disks", lambda: disks.choose(listed()), tuple[Mount, ...]())
        # Each file system on its own: one dead network mount must not hide the other disks.
        described = await asyncio.gather(
            *(survey.ask(f"disk {mount.path}", functools.partial(disks.describe, mount), None) for mount in mounts)
        )
        found = [entry for entry in described if entry is not None]
        wholes = sorted({whole for _, whole in found if whole is not None})
        readings = await asyncio.gather(*(self._health(survey, whole) for whole in wholes))
        of_disk = dict(zip(wholes, readings, strict=True))
        return tuple(disk if whole is None else _judged(disk, of_disk[whole]) for disk, whole in found)

    async def _health(self, survey: _Survey, device: str) -> smart.SmartReading:
        known = self._smart.get(device)
        if known is not None and time.monotonic() - known[0] < SMART_MAX_AGE_S:
            return known[1]
        program = smart.find_smartctl()
        if program is None:
            return smart.SmartReading(detail="smartctl is not installed")
        unanswered = smart.SmartReading(detail="the disk did not answer SMART in time")
        question = functools.partial(smart.read_smart, device, program)
        reading = await survey.ask(f"SMART {device}", question, unanswered, timeout_s=smart.TIMEOUT_S + 1)
        self._smart[device] = (time.monotonic(), reading)
        return reading


class _Survey:
    """One inventory in the making: asks probes and gathers what went wrong."""

    def __init__(self, prober: Prober, timeout_s: float) -> None:
        self._prober = prober
        self._timeout_s = timeout_s
        self.problems: list[ProbeProblem] = []

    async def ask(
        self, name: str, work: Callable[[], Value], default: Value, *, timeout_s: float | None = None
    ) -> Value:
        try:
            return await self._prober.ask(name, work, timeout_s=timeout_s or self._timeout_s)
        except ProbeFailed as failed:
            self.problems.append(failed.problem)
            return default


def _judged(disk: Disk, reading: smart.SmartReading) -> Disk:
    return disk.model_copy(
        update={
            "health": reading.health,
            "health_detail": reading.detail,
            "temperature_c": reading.temperature_c,
            "model": disk.model or reading.model,
        }
    )


def _system_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}".strip()


_SURVEYOR = Surveyor()


async def take_inventory() -> Inventory:
    """Everything this machine has, now; never raises for absent or broken hardware, never hangs.

    Takes as long as the slowest probe, at most its time-out. One surveyor serves the whole process.
    """
    return await _SURVEYOR.take()

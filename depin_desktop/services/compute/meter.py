"""How long each device was busy and what it drew, shared out among the jobs that ran on it at the same time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Mark:
    """What the meter of a device showed when a job began."""

    device: str
    busy_s: float
    energy_wh: float | None


class Device:
    """Counts up while jobs run: by a second each second, divided by how many jobs run."""

    def __init__(self) -> None:
        self.running = 0
        self.busy_s = 0.0
        self.energy_wh: float | None = 0.0
        self._at = 0.0

    def advance(self, now: float, power_w: float | None) -> None:
        """Counts the time since the last change in."""
        if self.running:
            share_s = (now - self._at) / self.running
            self.busy_s += share_s
            if power_w is None or self.energy_wh is None:
                self.energy_wh = None  # one gap makes the sum unknown for those who run now
            else:
                self.energy_wh += power_w * share_s / SECONDS_PER_HOUR
        elif self.energy_wh is None:
            self.energy_wh = 0.0
        self._at = now


class Meter:
    """The meters of all devices.

    Args:
        power_w: what a device draws now in watts; None where that is not known.
        clock: monotonic seconds.
    """

    def __init__(self, power_w: Callable[[str], float | None], clock: Callable[[], float]) -> None:
        self._power_w = power_w
        self._clock = clock
        self._devices: dict[str, Device] = {}

    def begin(self, device: str) -> Mark:
        """A job begins."""
        meter = self._devices.setdefault(device, Device())
        meter.advance(self._clock(), self._power_w(device))
        meter.running += 1
        return Mark(device, meter.busy_s, meter.energy_wh)

    def end(self, mark: Mark) -> tuple[float, float | None]:
        """A job ends: its part of the busy seconds, and of the watt-hours where they are known."""
        meter = self._devices[mark.device]
        meter.advance(self._clock(), self._power_w(mark.device))
        meter.running -= 1
        known = mark.energy_wh is not None and meter.energy_wh is not None
        return meter.busy_s - mark.busy_s, (meter.energy_wh or 0.0) - (mark.energy_wh or 0.0) if known else None

    def sample(self) -> None:
        """Counts the time until now in at what devices draw now; to be called every few seconds."""
        for device, meter in self._devices.items():
            meter.advance(self._clock(), self._power_w(device))

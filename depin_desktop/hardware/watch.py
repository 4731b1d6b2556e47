"""Notices what is plugged in or pulled out, and publishes a fresh inventory when something was."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

import psutil

from depin_desktop.api.models import Inventory
from depin_desktop.core.bus import EventBus
from depin_desktop.core.tasks import Cycle, Tasks
from depin_desktop.hardware import disks
from depin_desktop.hardware.inventory import Surveyor
from depin_desktop.hardware.probes import ProbeFailed
from depin_desktop.hardware.system import system

TOPIC = "hardware"
INTERVAL_S = 5.0
REFRESH_S = 120.0  # free space, temperatures and load change without anything being plugged in


def fingerprint() -> Hashable:
    """Equal as long as nothing was attached, detached, mounted or unmounted. Costs about a millisecond."""
    links = tuple(sorted((name, state.isup) for name, state in psutil.net_if_stats().items()))
    return disks.mounts(), system.attached(), links


class HardwareWatch:
    """Keeps `inventory` fresh and publishes it as topic "hardware"; `cycle.trigger()` looks at once."""

    def __init__(
        self, bus: EventBus, surveyor: Surveyor | None = None, *, look: Callable[[], Hashable] = fingerprint
    ) -> None:
        self.inventory: Inventory | None = None
        self.cycle = Cycle("hardware watch", INTERVAL_S, self._round)
        self._bus = bus
        self._surveyor = surveyor or Surveyor()
        self._look = look
        self._seen: Hashable = None
        self._taken = float("-inf")
        self._tasks = Tasks("hardware")

    async def start(self) -> None:
        """Begins to watch; the first inventory is published as soon as it is taken."""
        self._tasks.spawn("watch", self.cycle.run())

    async def stop(self) -> None:
        await self._tasks.close()

    async def _round(self) -> None:
        try:
            seen = await self._surveyor.prober.ask("hot-plug", self._look, timeout_s=INTERVAL_S)
        except ProbeFailed:
            seen = self._seen  # the next inventory names what hangs
        if seen == self._seen and time.monotonic() - self._taken < REFRESH_S:
            return
        self.inventory = await self._surveyor.take()
        self._seen, self._taken = seen, time.monotonic()
        self._bus.publish(TOPIC, self.inventory)

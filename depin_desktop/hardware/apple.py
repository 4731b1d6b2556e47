"""Apple's graphics on macOS: what the system's own report tells without an administrator's rights.

That is the name and the number of cores. Memory is shared with the processor; temperature, power and load are told
only to administrators (powermetrics), so they stay unknown here.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

from depin_desktop.api.models import Gpu
from depin_desktop.hardware.facts import GpuReading

PROFILER = "/usr/sbin/system_profiler"
TIMEOUT_S = 8.0


class AppleGraphics:
    """Asks once and keeps the answer: nothing in it changes while the system runs."""

    def __init__(self) -> None:
        self._known: GpuReading | None = None

    def read(self) -> GpuReading:
        if self._known is None:
            try:
                command = [PROFILER, "SPDisplaysDataType", "-json"]
                report = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=True).stdout  # noqa: S603
                self._known = from_report(json.loads(report))
            except (OSError, subprocess.SubprocessError, ValueError) as error:
                return GpuReading(problems=(f"macOS does not tell about its graphics ({type(error).__name__}).",))
        return self._known


def from_report(report: dict[str, Any]) -> GpuReading:
    """The cards in system_profiler's report."""
    cards = [entry for entry in report.get("SPDisplaysDataType", ()) if "Apple" in entry.get("spdisplays_vendor", "")]
    return GpuReading(
        tuple(
            Gpu(
                index=index,
                uuid=f"APPLE-{index}",
                name=" ".join(part for part in (entry.get("sppci_model", "Apple graphics"), _cores(entry)) if part),
                driver=str(entry.get("spdisplays_mtlgpufamilysupport", "")).replace("spdisplays_", ""),
                memory_total_bytes=0,
                memory_used_bytes=0,
            )
            for index, entry in enumerate(cards)
        )
    )


def _cores(entry: dict[str, Any]) -> str:
    cores = entry.get("sppci_cores")
    return f"({cores} cores)" if cores else ""

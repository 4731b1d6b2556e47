"""macOS: how long keyboard and mouse have been quiet. Which windows fill the screen is not shown without permission."""

from __future__ import annotations

import re
import subprocess

from depin_desktop.presence.seen import Seen

IOREG = "/usr/sbin/ioreg"
TIMEOUT_S = 2.0
_IDLE = re.compile(rb'"HIDIdleTime"\s*=\s*(\d+)')


class Session:
    """The session that this process belongs to."""

    def look(self) -> Seen:
        command = [IOREG, "-c", "IOHIDSystem", "-d", "4"]
        try:
            report = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=True).stdout  # noqa: S603
        except (OSError, subprocess.SubprocessError):
            return Seen()
        return from_report(report)

    def close(self) -> None:
        """Nothing is kept open."""


def from_report(report: bytes) -> Seen:
    """The idle time in ioreg's report, in nanoseconds there."""
    match = _IDLE.search(report)
    return Seen(int(match[1]) / 1e9, source="macOS") if match else Seen()

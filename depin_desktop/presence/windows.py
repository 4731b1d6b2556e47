"""Windows: the last input of the session, and what the shell says about full-screen programs.

Sources: Win32 API, GetLastInputInfo and SHQueryUserNotificationState.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import wintypes
from typing import Any

import psutil

from depin_desktop.presence.seen import Seen

_FULL_SCREEN = {2, 3, 4}  # a full-screen program, a Direct3D game, a presentation


class _LastInput(ctypes.Structure):
    _fields_ = (("size", wintypes.UINT), ("tick", wintypes.DWORD))


class Session:
    """The session that this process belongs to."""

    def look(self) -> Seen:
        if sys.platform != "win32":
            return Seen()
        libraries: Any = ctypes.windll
        full = self._full_screen(libraries)
        app, pid = self._in_front(libraries) if full else ("", None)
        return Seen(self._idle_s(libraries), full, app, pid, "Windows")

    def close(self) -> None:
        """Nothing is kept open."""

    @staticmethod
    def _idle_s(libraries: Any) -> float | None:
        last = _LastInput(size=ctypes.sizeof(_LastInput))
        if not libraries.user32.GetLastInputInfo(ctypes.byref(last)):
            return None
        ticks = (libraries.kernel32.GetTickCount() - last.tick) & 0xFFFFFFFF  # it wraps after 49 days
        return float(ticks) / 1000

    @staticmethod
    def _full_screen(libraries: Any) -> bool | None:
        state = ctypes.c_int()
        if libraries.shell32.SHQueryUserNotificationState(ctypes.byref(state)) != 0:
            return None
        return state.value in _FULL_SCREEN

    @staticmethod
    def _in_front(libraries: Any) -> tuple[str, int | None]:
        pid = wintypes.DWORD()
        libraries.user32.GetWindowThreadProcessId(libraries.user32.GetForegroundWindow(), ctypes.byref(pid))
        try:
            return psutil.Process(pid.value).name(), pid.value
        except psutil.Error:
            return "", pid.value or None

"""Linux and the BSDs: Mutter over D-Bus (GNOME), and the X server (every X11 desktop).

Wayland lets no program see other programs' windows, and shows idleness to compositors' own protocols only; there
GNOME tells how long its user has been idle, and games that run through Xwayland are seen by the X server.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from typing import Any

from depin_desktop.presence.seen import Seen

TIMEOUT_S = 1.0
LOOK_AGAIN_S = 60.0  # for a desktop that was not there before: sessions change more rarely than this

_MUTTER = "org.gnome.Mutter.IdleMonitor"


class Mutter:
    """GNOME's window manager, asked over the session's bus; also on Wayland."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("DBUS_SESSION_BUS_ADDRESS", "")
        self._connection: Any = None
        self._absent_until = 0.0

    def idle_s(self) -> float | None:
        """Seconds since the last input; None where this is no GNOME."""
        if not self._address or time.monotonic() < self._absent_until:
            return None
        from jeepney import DBusAddress, DBusErrorResponse, MessageFlag, new_method_call
        from jeepney.io.blocking import open_dbus_connection
        from jeepney.wrappers import unwrap_msg

        question = new_method_call(
            DBusAddress("/org/gnome/Mutter/IdleMonitor/Core", bus_name=_MUTTER, interface=_MUTTER), "GetIdletime"
        )
        question.header.flags |= MessageFlag.no_auto_start
        try:
            if self._connection is None:
                self._connection = open_dbus_connection(self._address)
            (idle_ms,) = unwrap_msg(self._connection.send_and_get_reply(question, timeout=TIMEOUT_S))
            return float(idle_ms) / 1000
        except DBusErrorResponse:  # the bus lives, and nobody on it is Mutter
            self._absent_until = time.monotonic() + LOOK_AGAIN_S
        except (OSError, ValueError, EOFError, TimeoutError):
            self.close()
            self._absent_until = time.monotonic() + LOOK_AGAIN_S
        return None

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()


class XServer:
    """The X server, or Xwayland, which knows the windows and the input of X programs alone."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._name = environment.get("DISPLAY", "")
        self._wayland = bool(environment.get("WAYLAND_DISPLAY")) or environment.get("XDG_SESSION_TYPE") == "wayland"
        self._display: Any = None
        self._absent_until = 0.0

    def look(self) -> Seen:
        """Idle time (not on Wayland), and the program whose window in front fills the screen."""
        if not self._name or time.monotonic() < self._absent_until:
            return Seen()
        from Xlib import error

        try:
            return self._look()
        except (error.DisplayError, error.ConnectionClosedError, OSError, AssertionError):
            self._absent_until = time.monotonic() + LOOK_AGAIN_S
            self.close()
        except error.XError:
            return Seen()  # the window went away between two questions
        return Seen()

    def close(self) -> None:
        display, self._display = self._display, None
        if display is not None:
            with contextlib.suppress(Exception):  # a broken connection cannot be closed in order either
                display.close()

    def _look(self) -> Seen:
        from Xlib import display

        if self._display is None:
            self._display = display.Display(self._name)
        idle = None
        if not self._wayland and self._display.has_extension("MIT-SCREEN-SAVER"):
            idle = self._display.screen().root.screensaver_query_info().idle / 1000
        window = self._active()
        if window is None:
            # Without a window manager that names it, or with a Wayland program in front, nothing is known.
            return Seen(idle, None, source="the X server")
        states = self._property(window, "_NET_WM_STATE") or []
        if self._display.get_atom("_NET_WM_STATE_FULLSCREEN") not in states:
            return Seen(idle, False, source="the X server")
        pid = self._property(window, "_NET_WM_PID")
        names = window.get_wm_class() or ("",)
        return Seen(idle, True, str(names[-1]), int(pid[0]) if pid else None, "the X server")

    def _active(self) -> Any:
        found = self._property(self._display.screen().root, "_NET_ACTIVE_WINDOW")
        return self._display.create_resource_object("window", found[0]) if found and found[0] else None

    def _property(self, window: Any, name: str) -> Any:
        from Xlib import X

        answer = window.get_full_property(self._display.get_atom(name), X.AnyPropertyType)
        return None if answer is None else answer.value


class Session:
    """The session that this process belongs to; keeps its connections between looks. One thread at a time."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        self._mutter = Mutter(environment)
        self._x = XServer(environment)

    def look(self) -> Seen:
        """Blocks for about a millisecond."""
        seen, idle = self._x.look(), self._mutter.idle_s()
        if idle is None:
            return seen
        return Seen(idle, seen.full_screen, seen.app, seen.pid, "Mutter")

    def close(self) -> None:
        self._mutter.close()
        self._x.close()

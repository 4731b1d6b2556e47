"""What a desktop session tells of its user: a real bus, a real X server, and what is told of it to the engine."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from depin_desktop.api.controls import Presence
from depin_desktop.core.errors import UserFacingError
from depin_desktop.presence import linux, macos, windows
from depin_desktop.presence.seen import Seen
from depin_desktop.presence.teller import Teller, changed

# --- GNOME's window manager, on a bus of the test's own


@pytest.fixture(scope="module")
def bus() -> Iterator[str]:
    program = shutil.which("dbus-daemon")
    if program is None:
        pytest.skip("needs dbus-daemon")
    command = [program, "--session", "--print-address=1", "--nofork", "--nopidfile"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class MutterService:
    """Answers `GetIdletime` on the bus as Mutter does, in a thread."""

    def __init__(self, address: str, idle_ms: int) -> None:
        from jeepney import message_bus
        from jeepney.io.blocking import Proxy, open_dbus_connection

        self.idle_ms = idle_ms
        self._connection = open_dbus_connection(address)
        Proxy(message_bus, self._connection).RequestName("org.gnome.Mutter.IdleMonitor")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        from jeepney import HeaderFields, MessageType, new_method_return

        while True:
            try:
                message = self._connection.receive()
            except (OSError, EOFError, ValueError):
                return
            if message.header.message_type is not MessageType.method_call:
                continue
            if message.header.fields.get(HeaderFields.member) == "Stop":
                self._connection.close()
                return
            self._connection.send(new_method_return(message, "t", (self.idle_ms,)))

    def stop(self, address: str) -> None:
        from jeepney import DBusAddress, new_method_call
        from jeepney.io.blocking import open_dbus_connection

        name = "org.gnome.Mutter.IdleMonitor"
        with open_dbus_connection(address) as connection:
            connection.send(new_method_call(DBusAddress("/", bus_name=name, interface=name), "Stop"))
        self._thread.join(5)


def test_gnome_tells_how_long_its_user_has_been_idle(bus: str) -> None:
    service = MutterService(bus, 92_500)
    mutter = linux.Mutter({"DBUS_SESSION_BUS_ADDRESS": bus})
    try:
        assert mutter.idle_s() == 92.5
        service.idle_ms = 10
        assert mutter.idle_s() == 0.01
    finally:
        mutter.close()
        service.stop(bus)


def test_a_bus_without_gnome_and_no_bus_at_all_are_unknown(bus: str, tmp_path: Path) -> None:
    for address in (bus, f"unix:path={tmp_path}/nothing", ""):
        mutter = linux.Mutter({"DBUS_SESSION_BUS_ADDRESS": address})
        assert mutter.idle_s() is None
        assert mutter.idle_s() is None
        mutter.close()


# --- the X server


@pytest.fixture
def screen() -> Iterator[str]:
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("needs Xvfb")
    reader, writer = os.pipe()
    command = [program, "-displayfd", str(writer), "-screen", "0", "640x480x24", "-nolisten", "tcp", "-ac"]
    process = subprocess.Popen(command, pass_fds=(writer,), stderr=subprocess.DEVNULL)
    os.close(writer)
    try:
        with os.fdopen(reader) as numbers:
            yield f":{numbers.readline().strip()}"
    finally:
        process.terminate()
        process.wait()


def _window(display: Any, *, full_screen: bool) -> Any:
    """A window in front, as a window manager would mark it."""
    from Xlib import X, Xatom

    root = display.screen().root
    window = root.create_window(0, 0, 640, 480, 0, X.CopyFromParent)
    window.set_wm_class("player", "Player")
    states = [display.get_atom("_NET_WM_STATE_FULLSCREEN")] if full_screen else []
    window.change_property(display.get_atom("_NET_WM_STATE"), Xatom.ATOM, 32, states)
    window.change_property(display.get_atom("_NET_WM_PID"), Xatom.CARDINAL, 32, [4242])
    window.map()
    root.change_property(display.get_atom("_NET_ACTIVE_WINDOW"), Xatom.WINDOW, 32, [window.id])
    display.sync()
    return window


def test_the_x_server_tells_of_input_and_of_windows_that_fill_the_screen(screen: str) -> None:
    from Xlib.display import Display
    from Xlib.ext import xtest

    session = linux.Session({"DISPLAY": screen})
    display = Display(screen)
    xtest.fake_input(display, 6, x=100, y=100)  # the pointer moves
    display.sync()
    seen = session.look()
    assert seen.idle_s is not None
    assert seen.idle_s < 5
    assert seen.full_screen is None, "without a window manager nobody says what is in front"
    _window(display, full_screen=False)
    assert session.look().full_screen is False
    film = _window(display, full_screen=True)
    seen = session.look()
    assert (seen.full_screen, seen.app, seen.pid, seen.source) == (True, "Player", 4242, "the X server")
    film.destroy()
    display.sync()
    assert session.look().full_screen in (None, False), "a window that is gone is no error"
    wayland = linux.XServer({"DISPLAY": screen, "WAYLAND_DISPLAY": "wayland-0"})
    assert wayland.look().idle_s is None, "Xwayland hears only of X programs' input"
    wayland.close()
    display.close()
    session.close()


def test_an_x_server_that_goes_away_is_unknown_and_no_harm() -> None:
    assert linux.Session({"DISPLAY": ":4093"}).look() == Seen()
    assert linux.Session({}).look() == Seen()


def test_macos_reports_nanoseconds() -> None:
    assert macos.from_report(b'  | "HIDIdleTime" = 2500000000\n').idle_s == 2.5
    assert not macos.from_report(b"nothing").anything


def test_other_systems_modules_can_be_loaded_everywhere() -> None:
    assert windows.Session().look() == Seen() or windows.Session().look().source == "Windows"


# --- what is told


class Scripted:
    """A session that shows what the test sets."""

    def __init__(self) -> None:
        self.seen = Seen(idle_s=100, source="test")
        self.closed = threading.Event()
        self.gate: threading.Event | None = None

    def look(self) -> Seen:
        if self.gate is not None:
            self.gate.wait()
        return self.seen

    def close(self) -> None:
        self.closed.set()


async def test_what_changes_is_told_at_once_and_what_stays_only_now_and_then() -> None:
    session, told = Scripted(), []

    async def tell(presence: Presence) -> None:
        told.append(presence)

    teller = Teller(tell, session)
    running = asyncio.create_task(teller.run())
    await asyncio.sleep(0)
    for seen in (Seen(100), Seen(101), Seen(102), Seen(0.1), Seen(1, True, "game", 5), Seen(2, False), Seen(3, False)):
        session.seen = seen
        await teller.cycle.trigger_and_wait()
    assert [presence.idle_s for presence in told] == [100, 0.1, 1, 2]
    assert (told[2].full_screen, told[2].app, told[2].pid) == (True, "game", 5)
    session.seen = Seen()
    await teller.cycle.trigger_and_wait()
    assert len(told) == 4, "a session that shows nothing says nothing"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await asyncio.to_thread(session.closed.wait, 5)


async def test_an_engine_that_went_away_ends_the_telling() -> None:
    async def tell(_: Presence) -> None:
        raise UserFacingError("gone")

    with pytest.raises(UserFacingError, match="gone"):
        async with asyncio.timeout(5):
            await Teller(tell, Scripted()).run()


async def test_a_desktop_that_hangs_holds_only_its_own_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depin_desktop.presence.teller.LOOK_TIMEOUT_S", 0.01)
    session, told = Scripted(), []
    session.gate = threading.Event()

    async def tell(presence: Presence) -> None:
        told.append(presence)

    teller = Teller(tell, session)
    running = asyncio.create_task(teller.run())
    await asyncio.sleep(0)
    before = threading.active_count()
    for _ in range(3):
        await teller.cycle.trigger_and_wait()
    assert threading.active_count() <= before + 1
    assert told == []
    session.gate.set()
    while not told:
        await teller.cycle.trigger_and_wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(
    ("told", "seen", "at_once"),
    [
        (Seen(10), Seen(11), False),
        (Seen(10), Seen(9), False),
        (Seen(10), Seen(1), True),
        (Seen(10), Seen(None, True), True),
        (Seen(10, False), Seen(11, True), True),
        (Seen(10, True, "a", 1), Seen(11, True, "b", 2), True),
    ],
)
def test_only_what_matters_now_is_told_out_of_turn(told: Seen, seen: Seen, at_once: bool) -> None:
    assert changed(told, seen) is at_once

"""Qt without a screen, asyncio on Qt's loop, and a real API server with a small engine behind it.

`qtbot.waitSignal` must not be used inside an async test: it runs a loop within the loop and hangs. Await a future from
the signal instead (`depin_desktop.app.loop.future_of`).
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ.setdefault("QT_API", "pyside6")

import pytest
import pytest_asyncio
import pytestqt.plugin
import qasync
from PySide6.QtCore import QEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from depin_desktop.app.collector import collecting_here
from depin_desktop.app.engine_link import EngineLink
from depin_desktop.app.known import Known
from depin_desktop.app.preferences import Preferences
from depin_desktop.app.theme import Appearance, Theme
from depin_desktop.app.window import MainWindow
from depin_desktop.core.home import Home

from . import samples
from .small_engine import SmallEngine

# pytest-qt turns Qt's loop over between the phases of each test. asyncio's callbacks would then run while no loop is
# "running", and fail; tests here process events themselves where they want to.
pytestqt.plugin._process_events = lambda: None


@pytest.fixture(scope="session")
def qapp_args() -> list[str]:
    return ["depin-desktop"]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"qt": _loop}


def _loop() -> asyncio.AbstractEventLoop:
    application = QApplication.instance() or QApplication([])
    assert isinstance(application, QApplication)
    application.setQuitOnLastWindowClosed(False)  # as `loop.run` has it: a closed dialog must not end the loop
    return qasync.QEventLoop(application)


@pytest.fixture(scope="package", autouse=True)
def _only_this_thread_collects(qapp: QApplication) -> Iterator[None]:
    """As the app has it: what other tests left running must not free Qt's objects from their threads."""
    with collecting_here():
        gc.freeze()  # what a thousand other tests have made is not looked through after each of these
        yield
        gc.unfreeze()


@pytest.fixture(autouse=True)
def _collect_afterwards() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="session")
def theme(qapp: QApplication) -> Theme:
    made = Theme(qapp, Appearance.LIGHT)
    made.reduce_motion(True)
    return made


@pytest.fixture
def home(tmp_path: Path) -> Home:
    root = tmp_path / "home"
    root.mkdir()
    return Home(root)


@pytest.fixture
def show(
    qapp: QApplication, theme: Theme, home: Home, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., MainWindow]]:
    """Opens a window on snapshots at the samples' time: show(known, page="home", size=(1280, 820))."""
    windows: list[MainWindow] = []
    monkeypatch.setattr("depin_desktop.app.window.time.time", lambda: samples.NOW)

    def opened(known: Known, page: str = "home", size: tuple[int, int] = (1280, 820)) -> MainWindow:
        link = EngineLink(home, start_engine=False)
        link.known = known
        window = MainWindow(link, theme, Preferences(home))
        windows.append(window)
        window.resize(*size)
        window.show()
        window.activateWindow()
        QTest.qWaitForWindowActive(window)
        window.open_page(page)
        qapp.processEvents()
        window.refresh()
        qapp.processEvents()
        return window

    yield opened
    for window in windows:
        window.hide()
        window.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)  # without a running loop they would pile up


@pytest_asyncio.fixture
async def engine(home: Home) -> AsyncIterator[SmallEngine]:
    """The real API server on the home, with an engine in this process behind it that remembers what it was asked."""
    made = SmallEngine(home)
    await made.start()
    yield made
    await made.stop()

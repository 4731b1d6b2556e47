"""The link to the engine, over the real API server, on Qt's loop; and what a click does at its far end."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from depin_desktop.api.models import Activity, ShareStorage, UnshareStorage
from depin_desktop.app import engine_link
from depin_desktop.app.dialogs import ConfirmDialog, ShareDialog
from depin_desktop.app.engine_link import EngineLink
from depin_desktop.app.known import Known, Phase
from depin_desktop.app.loop import future_of
from depin_desktop.app.pages.home import HomePage
from depin_desktop.app.pages.storage import StoragePage
from depin_desktop.app.preferences import Preferences
from depin_desktop.app.theme import Theme
from depin_desktop.app.widgets.banner import Toast
from depin_desktop.app.window import MainWindow
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.core.tasks import Tasks

from . import samples
from .small_engine import SmallEngine

GB = 10**9
CLICK = Qt.MouseButton.LeftButton


async def until(link: EngineLink, reached: Callable[[Known], bool], timeout_s: float = 10) -> None:
    """Waits for the link to announce a state."""
    done = asyncio.Event()

    def look(_: object = None) -> None:
        if reached(link.known):
            done.set()

    link.changed.connect(look)
    look()
    try:
        async with asyncio.timeout(timeout_s):
            await done.wait()
    finally:
        link.changed.disconnect(look)


async def asked(engine: SmallEngine, count: int = 1, timeout_s: float = 10) -> None:
    async with asyncio.timeout(timeout_s), engine.request:
        await engine.request.wait_for(lambda: len(engine.asked) >= count)


async def toast(window: MainWindow, timeout_s: float = 10) -> Toast:
    """The first toast, once there is one."""
    if not window.toasts.shown:
        await asyncio.wait_for(future_of(window.toasts.said), timeout_s)
    return window.toasts.shown[0]


def whole(known: Known) -> bool:
    return None not in (known.status, known.storage, known.wallet, known.inventory, known.history)


@pytest_asyncio.fixture
async def link(home: Home, qapp: QApplication, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EngineLink]:
    monkeypatch.setattr(engine_link, "HISTORY_EVERY_S", 0.02)
    made, tasks = EngineLink(home, start_engine=False), Tasks("test")
    tasks.spawn("link", made.run())
    yield made
    await tasks.close()


@pytest_asyncio.fixture
async def window(engine: SmallEngine, link: EngineLink, home: Home, theme: Theme) -> AsyncIterator[MainWindow]:
    """A window on a live link."""
    made = MainWindow(link, theme, Preferences(home))
    made.show()
    await until(link, whole)
    yield made
    made.hide()
    await made.controller.jobs.close()
    made.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def storage(window: MainWindow) -> StoragePage:
    window.open_page("storage")
    page = window.page("storage")
    assert isinstance(page, StoragePage)
    return page


async def test_it_attaches_and_knows_everything(engine: SmallEngine, link: EngineLink) -> None:
    await until(link, whole)
    assert link.known.link.phase is Phase.LIVE
    assert link.known.wallet == engine.owning
    assert len(link.known.history or ()) == 100
    assert not link.known.history_complete


async def test_events_arrive(engine: SmallEngine, link: EngineLink) -> None:
    await until(link, whole)
    engine.publish("storage", samples.storage(pieces=4711))
    await until(link, lambda known: known.storage is not None and known.storage.pieces == 4711)
    entry = Activity(at=samples.NOW, kind="paid", title="Read by a neighbour", amount=5)
    engine.publish("activity", entry)
    await until(link, lambda known: known.status is not None and known.status.activity[0] == entry)


async def test_an_unknown_topic_of_a_newer_engine_is_passed_over(engine: SmallEngine, link: EngineLink) -> None:
    await until(link, whole)
    engine.publish("rides", samples.status())
    engine.publish("storage", samples.storage(pieces=1))
    await until(link, lambda known: known.storage is not None and known.storage.pieces == 1)
    assert link.known.link.live


async def test_a_flood_of_events_repaints_at_most_four_times_a_second(engine: SmallEngine, link: EngineLink) -> None:
    await until(link, whole)
    announced: list[float] = []
    link.changed.connect(lambda _: announced.append(time.monotonic()))
    for number in range(200):
        engine.publish("storage", samples.storage(pieces=number))
        if number % 10 == 0:
            await asyncio.sleep(0.005)
    await until(link, lambda known: known.storage is not None and known.storage.pieces == 199)
    # Qt's coarse timers may fire up to 5 % early.
    pauses = [later - earlier for earlier, later in itertools.pairwise(announced)]
    assert len(announced) < 200
    assert all(pause >= 0.9 * engine_link.COALESCE_MS / 1000 for pause in pauses[1:])


async def test_a_lost_engine_is_told_and_the_link_heals(engine: SmallEngine, window: MainWindow) -> None:
    link = window._link
    await engine.stop()
    await until(link, lambda known: known.link.phase is Phase.LOST)
    assert window.banner.isVisible()
    assert link.known.storage is not None, "the last figures stay readable"
    engine.storing = samples.storage(pieces=99)
    await engine.start()
    link.retry()
    await until(link, lambda known: known.link.live and known.storage is not None and known.storage.pieces == 99)
    assert not window.banner.isVisible()


async def test_the_link_heals_by_itself(engine: SmallEngine, link: EngineLink) -> None:
    await until(link, whole)
    await engine.stop()
    await until(link, lambda known: known.link.phase is Phase.LOST)
    await engine.start()
    await until(link, lambda known: known.link.live)


async def test_an_engine_that_hangs_is_noticed(
    engine: SmallEngine, link: EngineLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    await until(link, whole)
    monkeypatch.setattr(engine_link, "HEARTBEAT_S", 0.02)
    monkeypatch.setattr(engine_link, "HEARTBEAT_TIMEOUT_S", 0.05)
    assert link._client is not None
    hung = asyncio.Event()

    async def never() -> None:
        await hung.wait()

    monkeypatch.setattr(link._client, "status", never)
    await engine.stop()
    await engine.start()  # a fresh session begins, whose first question is never answered
    link.retry()
    await until(link, lambda known: known.link.phase is Phase.LOST)


async def test_an_engine_that_ran_before_is_not_stopped(engine: SmallEngine, link: EngineLink) -> None:
    await until(link, whole)
    await link.stop_engine()
    assert not engine.shutdown_wanted
    assert link.known.link.live


async def test_the_switch_asks_the_engine_and_shows_its_answer(
    engine: SmallEngine, window: MainWindow, qtbot: QtBot
) -> None:
    page = window.page("home")
    assert isinstance(page, HomePage)
    assert page.switch.isChecked()
    qtbot.mouseClick(page.switch, CLICK, pos=QPoint(20, 14))
    assert not page.switch.isEnabled(), "it waits for the answer"
    await asked(engine)
    assert engine.asked == [False]
    await until(window._link, lambda known: known.status is not None and not known.status.sharing)
    window.refresh()
    assert not page.switch.isChecked()
    assert page.switch.isEnabled()
    assert window.status.parts[0].text() == "Not sharing"


async def test_a_refused_switch_goes_back_and_says_why(engine: SmallEngine, window: MainWindow, qtbot: QtBot) -> None:
    page = window.page("home")
    assert isinstance(page, HomePage)
    engine.refusal = UserFacingError("The disk is busy.", "Try again in a minute.", code="busy", status=409)
    qtbot.mouseClick(page.switch, CLICK, pos=QPoint(20, 14))
    await asked(engine)
    assert (await toast(window)).message == "The disk is busy."
    assert page.switch.isChecked()
    assert page.switch.isEnabled()


async def test_a_shrink_is_applied_on_release_and_can_be_undone(
    engine: SmallEngine, window: MainWindow, qtbot: QtBot
) -> None:
    card = storage(window).folder_cards[0]
    card.sizes.slider.setSliderDown(True)
    card.sizes.slider.setSliderPosition(100)
    assert engine.asked == []
    card.sizes.slider.setSliderDown(False)
    await asked(engine)
    first = engine.asked[0]
    assert isinstance(first, ShareStorage)
    assert (first.path, first.keep_free_bytes) == ("/mnt/data/depin", 100 * GB)
    assert first.size_bytes < 1040 * GB
    told = await toast(window)
    assert "customers leave" in told.accessibleName()
    qtbot.mouseClick(told.action, CLICK)
    await asked(engine, 2)
    assert engine.asked[1].size_bytes == 1500 * GB


async def test_a_folder_is_shared_through_the_dialog(engine: SmallEngine, window: MainWindow, qtbot: QtBot) -> None:
    page = storage(window)
    qtbot.mouseClick(page.add, CLICK)
    dialog = window.controller.dialog
    assert isinstance(dialog, ShareDialog)
    assert not dialog.accept_button.isEnabled()
    qtbot.keyClicks(dialog.path, "/mnt/data/more")
    assert "720 GB free" in dialog.disk.text()
    assert dialog.sizes.value == 350 * GB
    qtbot.mouseClick(dialog.accept_button, CLICK)
    await asked(engine)
    assert engine.asked[0] == ShareStorage(path="/mnt/data/more", size_bytes=350 * GB)
    await until(window._link, lambda known: known.storage is not None and len(known.storage.folders) == 3)
    window.refresh()
    assert [card.head.title.text() for card in page.folder_cards] == ["depin", "shared", "more"]


async def test_stopping_asks_first_and_the_safe_answer_is_the_default(
    engine: SmallEngine, window: MainWindow, qtbot: QtBot
) -> None:
    card = storage(window).folder_cards[0]
    qtbot.mouseClick(card.stop, CLICK)
    dialog = window.controller.dialog
    assert isinstance(dialog, ConfirmDialog)
    qtbot.keyClick(dialog, Qt.Key.Key_Return)
    assert engine.asked == []
    qtbot.mouseClick(card.stop, CLICK)
    dialog = window.controller.dialog
    assert isinstance(dialog, ConfirmDialog)
    qtbot.mouseClick(dialog.yes, CLICK)
    await asked(engine)
    assert engine.asked == [UnshareStorage(path="/mnt/data/depin")]
    await until(window._link, lambda known: known.storage is not None and known.storage.folders[0].state == "leaving")
    window.refresh()
    assert card.head.pill.text == "Leaving"
    assert not card.stop.isEnabled()


async def test_the_whole_history_is_exported(engine: SmallEngine, window: MainWindow, tmp_path: Path) -> None:
    await window.controller.write_history(tmp_path / "history.csv")
    lines = (tmp_path / "history.csv").read_text("utf-8").splitlines()
    assert len(lines) == 1 + 250
    assert window._link.known.history_complete
    with pytest.raises(UserFacingError, match="could not be written"):
        await window.controller.write_history(tmp_path / "no such folder" / "history.csv")


async def test_new_entries_join_those_already_loaded(engine: SmallEngine, link: EngineLink) -> None:
    await until(link, whole)
    await link.whole_history()
    fresh = samples.history(1)[0].model_copy(update={"at": samples.NOW, "detail": "fresh"})
    engine.entries = (fresh, *engine.entries)
    engine.publish("wallet", samples.wallet(balance=1))
    await until(link, lambda known: bool(known.history) and known.history[0] == fresh)
    assert len(link.known.history or ()) == 251
    assert link.known.history_complete


async def test_requests_without_an_engine_are_refused_in_words(home: Home, link: EngineLink) -> None:
    await until(link, lambda known: known.link.phase is Phase.LOST)
    with pytest.raises(UserFacingError, match="No engine is running"):
        await link.set_sharing(True)


BLOCKING = ("open", "os.listdir", "os.scandir", "subprocess.Popen", "socket.getaddrinfo", "time.sleep", "os.fsync")
QUICK = ("engine.json", ".py")  # one line for each new connection; our own modules, when a page is first opened
_audited: list[str] | None = None


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _audited is None or event not in BLOCKING or threading.current_thread() is not threading.main_thread():
        return
    files = []
    frame = sys._getframe(1)
    while frame is not None:
        files.append(frame.f_code.co_filename.replace("\\", "/"))
        frame = frame.f_back  # type: ignore[assignment]
    ours = any("/depin_desktop/app/" in file for file in files) and not any("importlib" in file for file in files)
    if ours and not str(arguments[0] if arguments else "").endswith(QUICK):
        _audited.append(f"{event} {arguments!r}")


sys.addaudithook(_audit)


async def test_nothing_blocks_the_windows_thread(
    engine: SmallEngine, link: EngineLink, home: Home, theme: Theme, qtbot: QtBot
) -> None:
    """From the start of the link through pages and requests, no file, folder, process or name is waited for."""
    global _audited
    window = MainWindow(link, theme, Preferences(home))
    _audited = []
    try:
        window.show()
        await until(link, whole)
        for name in ("home", "storage", "wallet"):
            window.open_page(name)
        await window.controller.write_history(home.root / "history.csv")
        window.controller.add_folder()
        assert isinstance(window.controller.dialog, ShareDialog)
        qtbot.keyClicks(window.controller.dialog.path, "/mnt/data/more")
        window.controller.dialog.reject()
        window.controller.set_sharing(False)
        await asked(engine)
        assert _audited == []
    finally:
        _audited = None
        window.hide()
        await window.controller.jobs.close()
        window.deleteLater()


async def test_no_step_of_the_window_computes_for_long(
    engine: SmallEngine, link: EngineLink, home: Home, theme: Theme
) -> None:
    """The thread's own time between two turns of the loop, while news pour in; a busy machine does not change it."""
    window = MainWindow(link, theme, Preferences(home))
    window.show()
    window.open_page("storage")
    await until(link, whole)
    await asyncio.sleep(0)
    longest, last = 0.0, time.thread_time()
    for number in range(60):
        engine.publish("storage", samples.storage(pieces=number))
        engine.publish("status", samples.status(earned_today=number))
        await asyncio.sleep(0.005)
        now = time.thread_time()
        longest, last = max(longest, now - last), now
    window.hide()
    window.deleteLater()
    assert longest < 0.15

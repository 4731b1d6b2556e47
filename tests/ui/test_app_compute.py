"""The Compute page: what it says of each state, and what a click does at the engine's end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
import pytest_asyncio
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from depin_desktop.api.compute import ImportModel, JobOutcome, ShareCompute
from depin_desktop.api.controls import Wishes
from depin_desktop.app.compute_dialogs import ImportDialog, JobDialog
from depin_desktop.app.dialogs import ConfirmDialog
from depin_desktop.app.engine_link import EngineLink
from depin_desktop.app.known import KEPT_LOADS, with_load
from depin_desktop.app.pages.compute import RULES, ComputePage
from depin_desktop.app.pages.home import HomePage
from depin_desktop.app.preferences import Preferences
from depin_desktop.app.theme import Theme
from depin_desktop.app.widgets.week import Week
from depin_desktop.app.window import MainWindow
from depin_desktop.core.home import Home
from depin_desktop.core.tasks import Tasks
from depin_desktop.presence import teller
from depin_desktop.presence.seen import Seen

from . import compute_samples as computing
from . import samples
from .small_engine import SmallEngine
from .test_app_link import asked, toast, until

Show = Callable[..., MainWindow]
CLICK = Qt.MouseButton.LeftButton


def page_of(window: MainWindow) -> ComputePage:
    window.open_page("compute")
    page = window.page("compute")
    assert isinstance(page, ComputePage)
    return page


# --- what is shown


def test_it_says_what_each_device_does_and_earns(show: Show) -> None:
    page = page_of(show(samples.live(), "compute"))
    processor, card = page.device_cards
    assert [label.figure.text for label in card.readings] == ["64 %", "1.4 of 12 GB", "61 °C", "148 W"]
    assert card.earned.text().startswith("8.26 DPN today · 0.0629 per Wh")
    assert card.head.pill.text == "1\u00a0job"
    assert (card.switch.isVisible(), processor.switch.isVisible()) == (True, False)
    assert "NVIDIA GeForce RTX 4070" in card.accessibleName()
    assert len(card.plot.points) == 181
    assert page.earned.today.text == "9.36 DPN"
    assert not page.notice.isVisible()


def test_a_machine_without_cards_is_a_normal_one(show: Show) -> None:
    page = page_of(show(samples.live(controls=computing.controls(gpus=())), "compute"))
    assert len(page.device_cards) == 1
    assert "which is fine" in page.device_cards[0].note.text()


def test_cards_come_and_go(show: Show) -> None:
    page = page_of(show(samples.live(), "compute"))
    two = computing.controls(gpus=(computing.gpu(), computing.gpu(uuid="GPU-2", name="AMD Radeon RX 7900")))
    page.present(samples.live(controls=two), samples.NOW)
    assert [card.head.title.text() for card in page.device_cards] == ["Ryzen 7 7840U", "RTX 4070", "RX 7900"]
    page.present(samples.live(controls=computing.controls(gpus=())), samples.NOW)
    assert [card.head.title.text() for card in page.device_cards] == ["Ryzen 7 7840U"]


def test_never_shared_it_invites_and_hides_what_is_empty(show: Show) -> None:
    page = page_of(show(samples.empty(), "compute"))
    assert page.invite.button.isVisible()
    assert not page.jobs.isVisible()
    assert page.models.isVisible()
    assert not page.pause.isVisible()


def test_a_pause_says_its_reason_its_end_and_how_to_end_it(show: Show) -> None:
    page = page_of(show(samples.paused(), "compute"))
    assert "in 30 min" in page.notice.words
    assert "You have paused work until" in page.notice.words
    assert page.notice.button.text() == "Resume now"
    assert not page.pause.isVisible()


def test_an_away_engine_leaves_nothing_to_press(show: Show) -> None:
    page = page_of(show(samples.offline(), "compute"))
    page.views.choose(RULES)
    controls = [control for card in page.rules.cards for row in card.rows.values() for control in row.controls]
    assert controls
    assert not any(control.isEnabled() for control in [page.switch, page.pause, page.models.bring, *controls])


def test_imports_show_how_far_they_are_and_why_they_failed(show: Show) -> None:
    page = page_of(show(samples.live(compute=computing.compute(imports=computing.importing())), "compute"))
    going, failed = page.models._imports.values()
    assert going.detail.text() == "212 MB of 640 MB"
    assert going.progress.accessibleName() == "33 %"
    assert not failed.progress.isVisible()
    assert "not a GGUF" in failed.detail.text()
    assert failed.stop.text() == "Dismiss"
    page.present(samples.live(), samples.NOW)
    assert not page.models._imports


def test_jobs_are_filtered(show: Show) -> None:
    jobs = page_of(show(samples.live(), "compute")).jobs
    counts = {}
    for key in ("all", "now", "done", "broken"):
        jobs.filter.setCurrentIndex(jobs.filter.findData(key))
        counts[key] = jobs.table.order.rowCount()
    assert counts == {"all": 14, "now": 2, "done": 8, "broken": 4}


@pytest.mark.parametrize("how", ["click", "enter"])
def test_a_job_tells_all_of_itself(show: Show, qtbot: QtBot, how: str) -> None:
    window = show(samples.live(), "compute")
    table = page_of(window).jobs.table
    if how == "click":
        place = table.visualRect(table.model().index(0, 0)).center()
        qtbot.mouseClick(table.viewport(), CLICK, pos=place)
    else:
        table.setCurrentIndex(table.model().index(0, 0))
        qtbot.keyClick(table, Qt.Key.Key_Return)
    dialog = window.controller.dialog
    assert isinstance(dialog, JobDialog)
    assert dialog.pill.text == "Running"
    assert "paid with voucher 7" in dialog.log.toPlainText()
    dialog.reject()


def test_copied_models_carry_their_hash(show: Show, qtbot: QtBot) -> None:
    table = page_of(show(samples.live(), "compute")).models.table
    table.selectRow(0)
    qtbot.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert "cd" * 32 in QGuiApplication.clipboard().text()


def test_only_what_has_a_file_can_be_removed(show: Show) -> None:
    models = page_of(show(samples.live(), "compute")).models
    assert not models.remove.isEnabled()
    kinds = {}
    for row in range(models.rows.rowCount()):
        models.table.clearSelection()
        models.table.selectRow(row)
        assert models.chosen is not None
        kinds[models.chosen.kind] = models.remove.isEnabled()
    assert kinds == {"chat": True, "embedding": True, "wasm": False}


def test_the_rules_say_what_they_do_here(show: Show) -> None:
    page = page_of(show(samples.live(), "compute"))
    page.views.choose(RULES)
    rows = {key: row for card in page.rules.cards for key, row in card.rows.items()}
    assert rows["cpu_percent"].effect.text() == "Work uses at most 8 of 16 threads."
    assert "now 52 °C" in rows["max_temperature_c"].effect.text()
    assert rows["power:GPU-1"].title.text() == "Power limit"
    assert page.rules.unknown_words.text() == "No battery is seen here."
    cool = computing.controls(Wishes(max_temperature_c=None), gpus=())
    page.present(samples.live(controls=cool), samples.NOW)
    assert {"vram_percent", "resume_temperature_c", "power:GPU-1"}.isdisjoint(
        key for card in page.rules.cards for key in card.rows
    )


def test_the_rules_are_reached_by_tab_in_reading_order(show: Show, qapp: QApplication) -> None:
    window = show(samples.live(), "compute")
    page = page_of(window)
    page.views.choose(RULES)
    window.activateWindow()
    qapp.processEvents()  # rows that were made just now are shown
    page.views.buttons[RULES].setFocus(Qt.FocusReason.TabFocusReason)
    wanted = [control for card in page.rules.cards for row in card.rows.values() for control in row.controls]
    seen: list[QWidget] = []
    for _ in range(len(wanted) + 10):
        window.focusNextChild()
        widget = QApplication.focusWidget()
        assert widget is not None
        seen.append(widget)
    places = [seen.index(control) for control in wanted if control.isEnabled()]
    assert places == sorted(places)


def test_the_week_tells_each_hour(show: Show) -> None:
    week = Week()
    week.resize(400, 120)
    hours = [["allowed"] * 24 for _ in range(7)]
    hours[1][14] = "quiet"
    week.show_hours(hours, "most of it")
    assert week.told(week._cell(1, 14).center()) == "Tue 14:00 – 15:00: quiet hours"
    assert week.told(QPointF(1, 1)) == ""
    assert not week.grab().isNull()


def test_home_shows_compute_beside_storage(show: Show, qtbot: QtBot) -> None:
    window = show(samples.live())
    page = window.page("home")
    assert isinstance(page, HomePage)
    assert page.compute.today.text == "9.36 DPN today"
    assert page.compute.lines[0].text() == "RTX 4070 · 64 % busy · 61 °C · 148 W"
    assert page.compute.bars_caption.text() == "Jobs: 10 of 12"
    assert window.sidebar.items[2].accessibleDescription() == "9.36"
    qtbot.mouseClick(page.compute.open, CLICK)
    assert window.current == "compute"


def test_the_menu_of_pauses_names_when_each_ends(show: Show) -> None:
    page = page_of(show(samples.live(), "compute"))
    texts = [action.text() for action in page.made_menu(samples.NOW).actions() if action.text()]
    assert texts[-2:] == ["Until I resume", "Let running jobs finish first"]


def test_loads_are_kept_for_some_minutes_and_leave_with_their_card() -> None:
    loads: dict[str, tuple[tuple[float, float], ...]] = {}
    for number in range(KEPT_LOADS + 5):
        loads = with_load(loads, computing.controls(), float(number))
    assert {device: len(points) for device, points in loads.items()} == {"cpu": KEPT_LOADS, "GPU-1": KEPT_LOADS}
    assert loads["cpu"][-1] == (KEPT_LOADS + 4.0, 34.0)
    assert set(with_load(loads, computing.controls(gpus=()), 0.0)) == {"cpu"}


# --- what a click does


@pytest_asyncio.fixture
async def window(engine: SmallEngine, home: Home, theme: Theme) -> AsyncIterator[MainWindow]:
    """A window on a live link to the real API server."""
    link, tasks = EngineLink(home, start_engine=False), Tasks("test")
    tasks.spawn("link", link.run())
    made = MainWindow(link, theme, Preferences(home))
    made.show()
    await until(link, lambda known: known.compute is not None and known.controls is not None)
    yield made
    made.hide()
    await made.controller.jobs.close()
    await tasks.close()
    made.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


async def test_the_switch_shares_and_unshares(engine: SmallEngine, window: MainWindow, qtbot: QtBot) -> None:
    page = page_of(window)
    qtbot.mouseClick(page.switch, CLICK, pos=QPoint(20, 14))
    assert not page.switch.isEnabled(), "it waits for the answer"
    await asked(engine)
    await until(window._link, lambda known: known.compute is not None and not known.compute.shared)
    window.refresh()
    assert not page.switch.isChecked()
    page._actions.share(True)
    await asked(engine, 2)
    assert engine.asked == ["unshare", ShareCompute()]


async def test_two_changes_in_a_row_are_both_kept(engine: SmallEngine, window: MainWindow) -> None:
    page = page_of(window)
    page.views.choose(RULES)
    rows = {key: row for card in page.rules.cards for key, row in card.rows.items()}
    amount = rows["cpu_percent"].amount
    assert amount is not None
    amount.chosen.emit(25)
    rows["on_battery"]._switched(True)
    await until(
        window._link,
        lambda known: known.controls is not None and known.controls.wishes == Wishes(cpu_percent=25, on_battery=True),
    )
    assert engine.controls.status().wishes == Wishes(cpu_percent=25, on_battery=True)


async def test_hours_are_written_and_nonsense_is_told_at_its_place(
    engine: SmallEngine, window: MainWindow, qtbot: QtBot
) -> None:
    page = page_of(window)
    page.views.choose(RULES)
    row = page.rules.cards[-1].rows["quiet_hours"]
    assert row.field is not None
    qtbot.keyClicks(row.field, "whenever")
    qtbot.keyClick(row.field, Qt.Key.Key_Return)
    assert "is not a time of the week" in row.effect.text()
    assert row.field.property("invalid") is True
    row.field.clear()
    qtbot.keyClicks(row.field, "22:00-06:30")
    qtbot.keyClick(row.field, Qt.Key.Key_Return)
    await until(window._link, lambda known: known.controls is not None and bool(known.controls.wishes.quiet_hours))
    window.refresh()
    assert row.effect.text().replace("\u2010", "-") == "Work never runs 22:00-06:30."
    assert "of 168 hours" in page.rules.week_words.text()


async def test_a_pause_shows_its_end_and_is_taken_back(engine: SmallEngine, window: MainWindow, qtbot: QtBot) -> None:
    page = page_of(window)
    page.made_menu(samples.NOW).actions()[0].trigger()
    await until(window._link, lambda known: known.controls is not None and known.controls.pause is not None)
    window.refresh()
    assert page.notice.button.text() == "Resume now"
    pause = engine.controls.status().pause
    assert pause is not None
    assert pause.finish_current
    qtbot.mouseClick(page.notice.button, CLICK)
    await until(window._link, lambda known: known.controls is not None and known.controls.pause is None)


async def test_a_card_is_left_alone(engine: SmallEngine, window: MainWindow) -> None:
    await until(window._link, lambda known: known.controls is not None and bool(known.controls.cards))
    page = page_of(window)
    page.device_cards[1].switch.click()
    await until(
        window._link,
        lambda known: known.controls is not None and bool(known.controls.cards) and not known.controls.cards[0].allowed,
    )
    window.refresh()
    assert page.device_cards[1].note.text() == "You have switched this card off."


async def test_a_model_comes_in_by_a_file_and_is_cancelled(
    engine: SmallEngine, window: MainWindow, qtbot: QtBot
) -> None:
    page = page_of(window)
    qtbot.mouseClick(page.models.bring, CLICK)
    dialog = window.controller.dialog
    assert isinstance(dialog, ImportDialog)
    assert not dialog.accept_button.isEnabled()
    dialog.path.setText("/models/evil.pkl")
    assert "pickle" in dialog.problem.text()
    dialog.path.setText("/models/small.gguf")
    dialog.licence.setText("MIT")
    qtbot.mouseClick(dialog.accept_button, CLICK)
    await asked(engine)
    assert engine.asked == [ImportModel(path="/models/small.gguf", licence="MIT")]
    await until(window._link, lambda known: known.compute is not None and bool(known.compute.imports))
    window.refresh()
    (row,) = page.models._imports.values()
    assert row.progress.accessibleName() == "25 %"
    qtbot.mouseClick(row.stop, CLICK)
    await asked(engine, 2)
    assert engine.asked[1] == ("cancel", "i1")


async def test_removing_a_model_asks_first(engine: SmallEngine, window: MainWindow, qtbot: QtBot) -> None:
    page = page_of(window)
    page.models.table.selectRow(0)
    qtbot.keyClick(page.models.table, Qt.Key.Key_Delete)
    dialog = window.controller.dialog
    assert isinstance(dialog, ConfirmDialog)
    qtbot.mouseClick(dialog.yes, CLICK)
    await asked(engine)
    assert engine.asked == [("remove", "cd" * 32)]
    assert "was removed" in (await toast(window)).message


async def test_news_of_jobs_arrive(engine: SmallEngine, window: MainWindow) -> None:
    fresh = computing.job(99, outcome=JobOutcome.RUNNING, queued_at=samples.NOW + 1)
    engine.publish("compute", computing.compute(jobs=(fresh, *computing.jobs())))
    await until(window._link, lambda known: known.compute is not None and known.compute.jobs[0] == fresh)


class Desk:
    """A desktop session in which somebody watches a film."""

    def look(self) -> Seen:
        return Seen(700.0, True, "player", 4711, "the test")

    def close(self) -> None:
        pass


async def test_the_window_tells_the_engine_of_its_session(
    engine: SmallEngine, home: Home, monkeypatch: pytest.MonkeyPatch, qapp: QApplication
) -> None:
    monkeypatch.setattr(teller, "this_session", Desk)
    link, tasks = EngineLink(home, start_engine=False), Tasks("test")
    tasks.spawn("link", link.run())
    await until(link, lambda known: known.controls is not None and known.controls.idle_s == 700)
    assert link.known.controls is not None
    assert link.known.controls.reason == "player fills the screen."
    await tasks.close()


def test_an_engine_without_the_service_is_loading_for_ever_but_well(show: Show) -> None:
    page = page_of(show(replace(samples.live(), compute=None), "compute"))
    assert page.head.pill.text == "Loading…"
    assert not page.switch.isEnabled()

"""The building blocks, one by one."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QEnterEvent, QGuiApplication
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from depin_desktop.app.presenters import wallet as say_wallet
from depin_desktop.app.theme import Theme
from depin_desktop.app.widgets.allocation import AllocationBar, Part
from depin_desktop.app.widgets.amount import SizeSlider
from depin_desktop.app.widgets.banner import MAX_TOASTS, Toasts
from depin_desktop.app.widgets.card import Pill
from depin_desktop.app.widgets.figure import Figure
from depin_desktop.app.widgets.plot import Plot
from depin_desktop.app.widgets.qr import QrCode
from depin_desktop.app.widgets.switch import Switch
from depin_desktop.app.widgets.table import Rows, Table
from depin_desktop.app.widgets.text import Text

from . import samples

GB = 10**9


@pytest.fixture(autouse=True)
def _themed(theme: Theme) -> None:
    """All widgets want the fonts."""


def shown(qtbot: QtBot, widget: Any, width: int = 400, height: int = 60) -> Any:
    qtbot.addWidget(widget)
    widget.resize(width, height)
    widget.show()
    QApplication.processEvents()
    return widget


@pytest.mark.parametrize("key", [Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter])
def test_a_switch_moves_by_key(qtbot: QtBot, key: Qt.Key) -> None:
    switch = shown(qtbot, Switch("Sharing"))
    moves: list[bool] = []
    switch.clicked.connect(lambda on: moves.append(on))
    qtbot.keyClick(switch, key)
    assert moves == [True]
    assert switch.isChecked()


def test_a_switch_that_code_moves_asks_for_nothing(qtbot: QtBot) -> None:
    switch = shown(qtbot, Switch("Sharing"))
    moves: list[bool] = []
    switch.clicked.connect(lambda on: moves.append(on))
    switch.show_state(True, enabled=True, tip="why")
    switch.show_state(False, enabled=False, tip="why not")
    assert moves == []
    assert switch.accessibleName() == "Sharing"
    assert switch.accessibleDescription() == "why not"


def test_a_disabled_switch_does_not_move(qtbot: QtBot) -> None:
    switch = shown(qtbot, Switch("Sharing"))
    switch.show_state(False, enabled=False)
    qtbot.mouseClick(switch, Qt.MouseButton.LeftButton)
    assert not switch.isChecked()


def test_an_elided_text_tells_its_whole_on_hover(qtbot: QtBot) -> None:
    text = shown(qtbot, Text("a very long name " * 10, elide=Qt.TextElideMode.ElideRight), width=120)
    assert text.is_elided()
    text.resize(4000, 30)
    assert not text.is_elided()


def test_a_text_from_outside_is_never_rendered_rich(qtbot: QtBot) -> None:
    text = shown(qtbot, Text("<img src=x><b>bold</b>"))
    assert text.textFormat() is Qt.TextFormat.PlainText


def test_a_figure_is_read_out_with_its_unit(qtbot: QtBot) -> None:
    figure = shown(qtbot, Figure("number"))
    figure.say("1 204.77", "DPN", tip="1204.77 DPN")
    assert figure.accessibleName() == "1 204.77 DPN"
    figure.resize(40, 44)
    assert not figure.grab().isNull()


def test_a_pill_always_has_its_word(qtbot: QtBot) -> None:
    pill = shown(qtbot, Pill())
    pill.say("Fault", "fault", "The disk is gone.")
    assert (pill.accessibleName(), pill.tone, pill.toolTip()) == ("Fault", "fault", "The disk is gone.")


def test_the_slider_settles_once_when_it_is_released(qtbot: QtBot) -> None:
    size = shown(qtbot, SizeSlider("Size"), height=40)
    size.offer(GB, 500 * GB, GB, 100 * GB)
    chosen: list[int] = []
    size.chosen.connect(chosen.append)
    size.slider.setSliderDown(True)
    for position in (150, 200, 250):
        size.slider.setSliderPosition(position)
    assert chosen == []
    size.slider.setSliderDown(False)
    assert chosen == [251 * GB]
    assert size.field.text() == "251 GB"


def test_news_do_not_move_the_slider_under_a_hand(qtbot: QtBot) -> None:
    size = shown(qtbot, SizeSlider("Size"), height=40)
    size.offer(GB, 500 * GB, GB, 100 * GB)
    size.slider.setSliderDown(True)
    size.slider.setSliderPosition(300)
    size.offer(GB, 500 * GB, GB, 100 * GB)
    size.offer(GB, 400 * GB, GB, 90 * GB)
    assert size.value == 301 * GB
    size.slider.setSliderDown(False)
    size.offer(GB, 400 * GB, GB, 90 * GB)
    assert size.value == 90 * GB


@pytest.mark.parametrize(
    ("typed", "value"),
    [("250 GB", 250 * GB), ("0.2TB", 200 * GB), ("9 TB", 500 * GB), ("1", GB)],
)
def test_a_typed_size_is_taken_within_bounds(qtbot: QtBot, typed: str, value: int) -> None:
    size = shown(qtbot, SizeSlider("Size"), height=40)
    size.offer(GB, 500 * GB, GB, 100 * GB)
    chosen: list[int] = []
    size.chosen.connect(chosen.append)
    size.field.selectAll()
    qtbot.keyClicks(size.field, typed)
    qtbot.keyClick(size.field, Qt.Key.Key_Return)
    assert chosen == [value]


def test_nonsense_in_the_size_field_is_marked_and_not_taken(qtbot: QtBot) -> None:
    size = shown(qtbot, SizeSlider("Size"), height=40)
    size.offer(GB, 500 * GB, GB, 100 * GB)
    chosen: list[int] = []
    size.chosen.connect(chosen.append)
    size.field.selectAll()
    qtbot.keyClicks(size.field, "much")
    qtbot.keyClick(size.field, Qt.Key.Key_Return)
    assert chosen == []
    assert size.field.property("invalid") is True
    assert "not a size" in size.field.toolTip()


def test_the_allocation_bar_says_its_parts(qtbot: QtBot) -> None:
    bar = shown(qtbot, AllocationBar())
    bar.show_parts([Part(1, kind, f"1 {kind}", "") for kind in ("stored", "rentable", "yours", "free")])
    assert bar.accessibleName() == "1 stored, 1 rentable, 1 yours, 1 free"


def test_a_plot_tells_value_and_time_on_hover(qtbot: QtBot) -> None:
    plot = shown(qtbot, Plot(tell=lambda at, value: f"{value:g} at {at:g}", empty="nothing"), width=101, height=60)
    plot.show_points([(0.0, 1.0), (50.0, 7.0), (100.0, 3.0)])
    qtbot.mouseMove(plot, QPoint(52, 20))
    plot.hover_at(52)
    assert plot.hovered == "7 at 50"
    plot.hover_at(0)
    assert plot.hovered == "1 at 0"
    plot.hover_at(500)
    assert plot.hovered == "3 at 100"


@pytest.mark.parametrize("points", [[], [(0.0, 1.0)], [(0.0, 0.0), (1.0, 0.0)], [(5.0, 2.0), (5.0, 3.0)]])
def test_a_plot_paints_any_series(qtbot: QtBot, points: list[tuple[float, float]]) -> None:
    plot = shown(qtbot, Plot(tick=str, tell=lambda at, value: "x", empty="nothing yet"))
    plot.show_points(points)
    plot.hover_at(10)
    assert not plot.grab().isNull()


def test_a_qr_code_reads_dark_on_white_in_any_appearance(qtbot: QtBot) -> None:
    code = shown(qtbot, QrCode(), 140, 140)
    code.show_text(samples.OWNER, "address")
    assert len(code.modules) == 29
    image = code.grab().toImage()
    assert image.pixelColor(3, 70).lightness() > 250
    assert min(image.pixelColor(x, 14).lightness() for x in range(10, 130)) < 40


def _table(qtbot: QtBot) -> tuple[Table, Rows[Any]]:
    rows: Rows[Any] = Rows(
        say_wallet.HISTORY_COLUMNS,
        lambda entry, column, now: say_wallet.history_cell(entry, column, now, "DPN"),
        say_wallet.history_sort_key,
        right=say_wallet.HISTORY_RIGHT,
        ticking=(0,),
    )
    table = Table(
        "History", rows, give_way=(3,), newest_first=0, copy_row=lambda entry: say_wallet.copied_row(entry, "DPN")
    )
    shown(qtbot, table, 900, 400)
    rows.show_entries(samples.history(), samples.NOW)
    QApplication.processEvents()
    return table, rows


def test_a_table_orders_by_value_not_by_text(qtbot: QtBot) -> None:
    table, rows = _table(qtbot)
    table.sortByColumn(2, Qt.SortOrder.AscendingOrder)
    amounts = [rows.entry(table.order.mapToSource(table.order.index(row, 2)).row()).amount for row in range(24)]
    assert amounts == sorted(amounts)
    assert "↑" in str(table.order.headerData(2, Qt.Orientation.Horizontal))


def test_a_table_filters(qtbot: QtBot) -> None:
    table, _ = _table(qtbot)
    table.order.filter_by(lambda entry: entry.kind == "faucet")
    assert table.order.rowCount() == 3
    table.order.filter_by(None)
    assert table.order.rowCount() == 24


def test_copying_rows_gives_whole_values(qtbot: QtBot) -> None:
    table, rows = _table(qtbot)
    table.selectRow(0)
    qtbot.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    copied = QGuiApplication.clipboard().text()
    assert rows.entry(0).counterparty in copied
    assert rows.entry(0).transaction in copied


def test_a_narrow_table_hides_the_least_needed_column_and_cuts_nothing(qtbot: QtBot) -> None:
    table, _ = _table(qtbot)
    assert not table.isColumnHidden(3)
    table.resize(430, 400)
    QApplication.processEvents()
    assert table.isColumnHidden(3)


def test_toasts_stack_are_bounded_and_faults_stay(qtbot: QtBot) -> None:
    window = shown(qtbot, QWidget(), 900, 600)
    toasts = Toasts(window)
    acted: list[int] = []
    undo = toasts.say("Shrunk.", label="Undo", act=lambda: acted.append(1))
    qtbot.mouseClick(undo.action, Qt.MouseButton.LeftButton)
    assert acted == [1]
    assert toasts.shown == []
    for number in range(5):
        toasts.say(f"message {number}", tone="fault")
    toasts.say("message 4", tone="fault")
    assert [toast.message for toast in toasts.shown] == ["message 2", "message 3", "message 4"]
    assert len(toasts.shown) == MAX_TOASTS
    assert not any(toast._timer.isActive() for toast in toasts.shown)
    toasts.dismiss_all()
    assert toasts.shown == []


def test_a_toast_waits_only_for_a_pointer_that_is_really_on_it(qtbot: QtBot) -> None:
    window = shown(qtbot, QWidget(), 900, 600)
    qtbot.mouseMove(window, QPoint(200, 20))  # where a toast would be that nobody has placed yet
    toast = Toasts(window).say("Done.")
    QApplication.processEvents()
    assert toast._timer.isActive()
    QApplication.sendEvent(toast, QEnterEvent(QPointF(5, 5), QPointF(5, 5), QPointF(5, 5)))
    assert not toast._timer.isActive(), "somebody reads it"
    QApplication.sendEvent(toast, QEvent(QEvent.Type.Leave))
    assert toast._timer.isActive()

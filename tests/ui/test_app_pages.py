"""The pages on screen, in every state, in both appearances, wide and narrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QApplication, QLineEdit, QSlider, QWidget
from pytestqt.qtbot import QtBot

from depin_desktop.app.pages.home import HomePage
from depin_desktop.app.pages.storage import StoragePage
from depin_desktop.app.pages.wallet import WalletPage
from depin_desktop.app.theme import Appearance, Theme
from depin_desktop.app.widgets.buttons import Button
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.window import MainWindow

from . import samples

Show = Callable[..., MainWindow]
PAGES = ("home", "storage", "compute", "wallet")


@pytest.fixture(params=["light", "dark"])
def appearance(request: pytest.FixtureRequest, theme: Theme) -> Iterator[str]:
    theme.choose(Appearance(request.param))
    yield request.param
    theme.choose(Appearance.LIGHT)


def home(window: MainWindow) -> HomePage:
    page = window.page("home")
    assert isinstance(page, HomePage)
    return page


def storage(window: MainWindow) -> StoragePage:
    page = window.page("storage")
    assert isinstance(page, StoragePage)
    return page


def wallet(window: MainWindow) -> WalletPage:
    page = window.page("wallet")
    assert isinstance(page, WalletPage)
    return page


@pytest.mark.parametrize("scene", list(samples.SCENES))
def test_every_page_fits_wide_and_narrow_in_every_state(show: Show, qapp: QApplication, scene: str) -> None:
    window = show(samples.SCENES[scene]())
    for name in PAGES:
        window.open_page(name)
        for width, height in ((1280, 820), (1000, 640), (900, 600)):
            window.resize(width, height)
            qapp.processEvents()
            page = window.pages[name]
            content = page.widget()
            assert content.minimumSizeHint().width() <= page.viewport().width(), f"{name} is cut at {width}"
            cut = [label.text() for label in content.findChildren(Text) if label.isVisible() and _is_cut(label)]
            assert cut == [], f"{name} at {width}"


def _is_cut(label: Text) -> bool:
    """Whether a text is cut without an ellipsis that would say so."""
    if label.elides or label.wordWrap():
        return False
    return label.fontMetrics().horizontalAdvance(label.text()) > label.width() + 1


@pytest.mark.parametrize("scene", list(samples.SCENES))
def test_a_page_has_at_most_one_filled_button(show: Show, scene: str) -> None:
    window = show(samples.SCENES[scene]())
    for name in PAGES:
        window.open_page(name)
        buttons = window.pages[name].findChildren(Button)
        filled = [button.text() for button in buttons if button.isVisible() and button.property("kind") == "filled"]
        assert len(filled) <= 1, filled


@pytest.mark.parametrize("page", PAGES)
def test_both_appearances_paint(show: Show, appearance: str, page: str) -> None:
    image = show(samples.live(), page).grab().toImage()
    assert (image.pixelColor(QPoint(1270, 770)).lightness() > 200) == (appearance == "light")


@pytest.mark.parametrize("page", PAGES)
def test_everything_that_can_be_used_has_a_name(show: Show, page: str) -> None:
    window = show(samples.live(), page)
    for kind in (QAbstractButton, QLineEdit, QSlider):
        for control in window.findChildren(kind):
            if control.isVisible() and control.objectName() != "qt_toolbar_ext_button":
                inside_field = isinstance(control.parent(), QLineEdit)  # Qt's own clear button
                assert control.accessibleName() or inside_field, control


def test_building_pages_flashes_no_stray_windows(show: Show, qapp: QApplication) -> None:
    strays: list[QWidget] = []

    class Watch(QObject):
        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if event.type() is QEvent.Type.Show and isinstance(watched, QWidget) and watched.isWindow():
                strays.append(watched)
            return False

    watch = Watch()
    qapp.installEventFilter(watch)
    try:
        window = show(samples.live())
        for name in PAGES:
            window.open_page(name)
        window.toasts.say("hello", label="Undo")
    finally:
        qapp.removeEventFilter(watch)
    assert strays == [window]


def test_home_says_what_was_earned_and_what_happens(show: Show) -> None:
    page = home(show(samples.live()))
    assert page.earnings.today.text == "13.88 DPN"
    assert page.earnings.total.figure.text == "1\u2009204.77"
    assert page.storage.head.pill.text == "Proven 4 min ago"
    assert page.activity.list._rows[0].title.text() == "Proof accepted"
    assert page.activity.list._rows[0].amount.text() == "+0.310"
    assert page.switch.isChecked()


def test_an_empty_home_explains_and_offers_the_first_step(show: Show) -> None:
    page = home(show(samples.empty()))
    assert page.storage.empty.button.isVisible()
    assert page.storage.empty.button.text() == "Share a folder…"
    assert not page.switch.isChecked()
    assert not page.switch.isEnabled()


def test_an_away_engine_greys_the_page_and_its_controls(show: Show) -> None:
    window = show(samples.offline(), "storage")
    page = storage(window)
    assert window.banner.isVisible()
    assert "does not answer" in window.banner.words
    assert page._veil.isVisible()
    assert not page.add.isEnabled()
    assert not page.switch.isEnabled()
    assert not any(card.sizes.slider.isEnabled() for card in page.folder_cards)
    assert page.folder_cards[0].head.title.text() == "depin"


def test_ages_tick(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    window = show(samples.live(), "storage")
    monkeypatch.setattr("depin_desktop.app.window.time.time", lambda: samples.NOW + 300)
    window._tick.timeout.emit()
    assert storage(window).head.pill.text == "Proven 9 min ago"
    assert storage(window).folder_cards[0].foot.text().endswith("checked 5 min ago")


def test_a_hidden_window_repaints_nothing(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    window = show(samples.live())
    painted: list[float] = []
    monkeypatch.setattr(HomePage, "present", lambda self, known, now: painted.append(now))
    window.hide()
    assert not window._tick.isActive()
    window._link.changed.emit(frozenset({"status"}))
    assert painted == []
    window.show()
    assert painted
    assert window._tick.isActive()


def test_folders_come_and_go(show: Show) -> None:
    window = show(samples.live(), "storage")
    page = storage(window)
    assert [card.head.title.text() for card in page.folder_cards] == ["depin", "shared"]
    one = samples.storage(folders=(samples.second_folder(),))
    page.present(samples.live(storage=one), samples.NOW)
    assert [card.head.title.text() for card in page.folder_cards] == ["shared"]
    page.present(samples.empty(), samples.NOW)
    assert page.folder_cards == []
    assert page.empty.button.isVisible()


def test_a_missing_folder_says_what_to_do_and_cannot_be_resized(show: Show) -> None:
    card = storage(show(samples.fault(), "storage")).folder_cards[1]
    assert card.head.pill.text == "Missing"
    assert "Plug its disk back in" in card.detail.text()
    assert not card.bar.isVisible()
    assert not card.sizes.slider.isEnabled()


def test_the_wallet_shows_the_address_in_groups_and_copies_it_whole(show: Show, qtbot: QtBot) -> None:
    window = show(samples.live(), "wallet")
    page = wallet(window)
    assert "0x" + "".join(group.text() for group in page.receive.groups) == samples.OWNER
    qtbot.mouseClick(page.receive.copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == samples.OWNER
    qtbot.waitUntil(lambda: bool(window.toasts.shown))
    assert window.toasts.shown[0].message == "Address copied."


def test_a_clipboard_that_was_swapped_is_noticed(show: Show, qtbot: QtBot) -> None:
    window = show(samples.live(), "wallet")
    qtbot.mouseClick(wallet(window).receive.copy, Qt.MouseButton.LeftButton)
    QGuiApplication.clipboard().setText("0xbad")
    qtbot.waitUntil(lambda: bool(window.toasts.shown))
    assert "something else" in window.toasts.shown[0].message


def test_the_history_filters_and_says_when_nothing_matches(show: Show) -> None:
    history = wallet(show(samples.live(), "wallet")).history
    assert history.table.order.rowCount() == 24
    history.filter.setText("sent")
    assert history.table.order.rowCount() == 3
    history.filter.setText("no such thing")
    assert history.empty.isVisible()
    history.filter.clear()
    history.kind.setCurrentIndex(history.kind.findData("faucet"))
    assert history.table.order.rowCount() == 3


@pytest.mark.parametrize(
    ("key", "page"),
    [
        (Qt.Key.Key_1, "home"),
        (Qt.Key.Key_2, "storage"),
        (Qt.Key.Key_3, "compute"),
        (Qt.Key.Key_4, "wallet"),
    ],
)
def test_pages_open_by_key(show: Show, qtbot: QtBot, key: Qt.Key, page: str) -> None:
    window = show(samples.live(), "wallet" if page == "home" else "home")
    qtbot.keyClick(window, key, Qt.KeyboardModifier.ControlModifier)
    assert window.current == page
    assert window.sidebar.items[PAGES.index(page)].isChecked()


def test_another_page_does_not_begin_with_a_ring_around_a_button(show: Show, qtbot: QtBot) -> None:
    window = show(samples.live(), "storage")
    window.activateWindow()
    storage(window).add.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.keyClick(window, Qt.Key.Key_4, Qt.KeyboardModifier.ControlModifier)
    assert window.focusWidget() is window.sidebar.items[PAGES.index("wallet")]


def test_ctrl_f_goes_to_the_filter_and_ctrl_n_asks_for_a_folder(show: Show, qtbot: QtBot) -> None:
    window = show(samples.live())
    window.activateWindow()
    qtbot.keyClick(window, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert window.current == "wallet"
    assert window.focusWidget() is wallet(window).history.filter
    qtbot.keyClick(window, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
    assert window.controller.dialog is not None
    qtbot.keyClick(window.controller.dialog, Qt.Key.Key_Escape)
    assert window.controller.dialog is None


def test_tab_reaches_every_control_in_reading_order(show: Show, qtbot: QtBot) -> None:
    window = show(samples.live(), "storage")
    window.activateWindow()
    window.sidebar.items[1].setFocus(Qt.FocusReason.TabFocusReason)
    seen: list[QWidget] = []
    for _ in range(60):
        window.focusNextChild()
        widget = QApplication.focusWidget()
        if widget is None or widget in seen:
            break
        seen.append(widget)
    page = storage(window)
    wanted: list[QWidget] = [page.add, page.switch]
    for card in page.folder_cards:
        wanted += [card.sizes.slider, card.sizes.field, card.stop]
    wanted.append(page.sets.table)
    places = [seen.index(widget) for widget in wanted]
    assert places == sorted(places)


def test_closing_the_window_hides_it_and_says_so(show: Show, qtbot: QtBot) -> None:
    window = show(samples.live())
    with qtbot.waitSignal(window.closing, timeout=1000):
        window.close()
    assert not window.isVisible()


def test_the_appearance_is_chosen_and_remembered(show: Show, theme: Theme) -> None:
    window = show(samples.live())
    try:
        window._choose(Appearance.DARK)
        assert window._preferences.appearance is Appearance.DARK
        assert window.grab().toImage().pixelColor(QPoint(600, 775)).lightness() < 60
    finally:
        window._choose(Appearance.LIGHT)


def test_the_page_in_front_does_not_flicker_on_equal_news(show: Show) -> None:
    window = show(samples.live())
    before = home(window).machine._rows[0]
    window._link.known = replace(window._link.known)
    window.refresh()
    assert home(window).machine._rows[0] is before

"""The Wallet page's steps: forms by keyboard and mouse, the engine's look, the review; what the page shows of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from depin_desktop.api.wallet import LookAt, StepKind
from depin_desktop.app.backup import BackupDialog
from depin_desktop.app.engine_link import EngineLink
from depin_desktop.app.errand import Errand
from depin_desktop.app.loop import future_of
from depin_desktop.app.orders import Done, Order, Stage
from depin_desktop.app.pages.wallet import WalletPage
from depin_desktop.app.preferences import Preferences
from depin_desktop.app.presenters import step_reviews as say
from depin_desktop.app.step_dialog import Sheet, StepDialog
from depin_desktop.app.theme import Appearance, Theme
from depin_desktop.app.wallet_dialogs import (
    BudgetDialog,
    PayoutDialog,
    ReleaseDialog,
    SendDialog,
    StakeDialog,
    WithdrawDialog,
)
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.window import MainWindow
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.core.tasks import Tasks

from . import samples
from .small_engine import SmallEngine
from .test_app_link import asked, toast, until, whole
from .test_app_wallet_words import FRIEND, OTHER

Show = Callable[..., MainWindow]
CLICK = Qt.MouseButton.LeftButton
TOKEN = samples.TOKEN
TRANSACTION = "0x" + "ab12" * 16


def page_of(window: MainWindow) -> WalletPage:
    window.open_page("wallet")
    page = window.page("wallet")
    assert isinstance(page, WalletPage)
    return page


def dialog_of(window: MainWindow, kind: type[StepDialog]) -> StepDialog:
    dialog = window.controller.dialog
    assert isinstance(dialog, kind)
    return dialog


@pytest_asyncio.fixture
async def window(engine: SmallEngine, home: Home, theme: Theme) -> AsyncIterator[MainWindow]:
    """A window on a live link to an engine whose wallet has something of everything."""
    engine.owning = samples.wallet(owner=OTHER, payout=OTHER, thawing=samples.thawing(10, 25), backed_up=True)
    link, tasks = EngineLink(home, start_engine=False), Tasks("test")
    tasks.spawn("link", link.run())
    made = MainWindow(link, theme, Preferences(home))
    made.show()
    made.activateWindow()
    await until(link, whole)
    yield made
    made.hide()
    await made.controller.jobs.close()
    await tasks.close()
    made.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


async def turned(dialog: StepDialog, sheet: Sheet) -> None:
    """Returns when the dialog shows that sheet, or a problem."""
    while dialog.at is not sheet and not dialog.problem.isVisible():
        await future_of(dialog.turned)


# --- the page -----------------------------------------------------------------------------------------------------


def test_the_page_offers_what_can_be_done_now(show: Show) -> None:
    known = samples.live(wallet=samples.wallet(thawing=samples.thawing(10, 25), payout=FRIEND, backed_up=True))
    page = page_of(show(known, "wallet"))
    assert page.send.property("kind") == "filled"
    assert all(
        link.isEnabled() for link in (page.money.stake, page.money.release, page.money.budget, page.money.top_up)
    )
    assert page.money.withdraw.isVisible()
    assert page.money.thawing.text() == "10.00 DPN of released stake can be taken out."
    assert page.receive.payout.text() == "Earnings go to 0x5aAe…eAed."
    assert page.receive.payout.tip == FRIEND
    assert not page.errand.isVisible()


def test_without_anything_to_release_or_with_the_engine_away_nothing_is_offered(show: Show) -> None:
    page = page_of(show(samples.live(wallet=samples.wallet(stake=0)), "wallet"))
    assert page.money.stake.isEnabled()
    assert not page.money.release.isEnabled()
    assert not page.money.withdraw.isVisible()
    assert not page.money.thawing.isVisible()
    away = page_of(show(samples.offline(), "wallet"))
    links = (away.send, away.money.stake, away.money.budget, away.money.top_up, away.receive.change)
    assert not any(link.isEnabled() for link in links)
    assert away.send.toolTip() == "The engine is away."


def test_tab_reaches_every_step_in_reading_order(show: Show, qtbot: QtBot) -> None:
    known = samples.live(wallet=samples.wallet(thawing=samples.thawing(10)))
    window = show(known, "wallet")
    page = page_of(window)
    window.sidebar.items[3].setFocus(Qt.FocusReason.TabFocusReason)
    seen: list[QWidget] = []
    for _ in range(40):
        window.focusNextChild()
        widget = QApplication.focusWidget()
        if widget is None or widget in seen:
            break
        seen.append(widget)
    money, receive = page.money, page.receive
    wanted = [page.send, page.backup.button, money.stake, money.release, money.budget, money.top_up, money.withdraw]
    wanted += [receive.copy, receive.change, page.history.filter]
    places = [seen.index(widget) for widget in wanted]
    assert places == sorted(places)


def test_the_page_tells_of_a_step_that_is_under_way(show: Show, home: Home) -> None:
    window = show(samples.live(wallet=samples.wallet(backed_up=True)), "wallet")
    page = page_of(window)
    errand = Errand(home, Order(StepKind.SEND, FRIEND, 5 * TOKEN))
    window.controller.wallet.errand = errand
    errand.stage, errand.transaction = Stage.SENT, TRANSACTION
    window.refresh()
    assert page.errand.words == "Sending 5.00 DPN to 0x5aAe…eAed: sent, waiting for its block."
    assert page.errand.toolTip() == TRANSACTION
    assert not page.send.isEnabled()
    assert "on its way" in page.send.toolTip()
    window.controller.wallet.errand = None
    window.refresh()
    assert not page.errand.isVisible()
    assert page.send.isEnabled()


# --- forms --------------------------------------------------------------------------------------------------------


async def test_sending_goes_from_a_pasted_address_over_the_engines_look_to_the_review(
    engine: SmallEngine, window: MainWindow, qtbot: QtBot
) -> None:
    qtbot.mouseClick(page_of(window).send, CLICK)
    dialog = dialog_of(window, SendDialog)
    assert isinstance(dialog, SendDialog)
    assert dialog.focusWidget() is dialog.to
    QGuiApplication.clipboard().setText(f" {FRIEND[:10]}\n{FRIEND[10:]}\u200b ")
    qtbot.keyClick(dialog.to, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    assert dialog.to.text() == FRIEND
    qtbot.keyClicks(dialog.amount.field, "2.5")
    qtbot.keyClick(dialog.amount.field, Qt.Key.Key_Return)
    assert not dialog.go.isEnabled()
    assert dialog.go.text() == "Checking…"
    await turned(dialog, Sheet.REVIEW)
    assert engine.asked == [LookAt(kind=StepKind.SEND, to=FRIEND, amount=5 * TOKEN // 2)]
    assert dialog.review.groups.text().replace(" ", "").replace("\n", "") == FRIEND
    assert dialog.focusWidget() is dialog.review.password
    assert dialog.go.text() == "Send now"
    assert not dialog.go.isEnabled(), "a password is missing"
    qtbot.keyClicks(dialog.review.password, "secret")
    assert dialog.go.isEnabled()

    qtbot.mouseClick(dialog.back, CLICK)  # back to the form, as it was, without the password
    assert dialog.at is Sheet.FORM
    assert (dialog.to.text(), dialog.amount.field.text()) == (FRIEND, "2.5")
    assert dialog.review.password.text() == ""
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert window.controller.dialog is None


async def test_all_fills_in_what_there_is_and_leaves_the_fee_of_a_coin_to_the_engine(
    engine: SmallEngine, window: MainWindow, qtbot: QtBot
) -> None:
    window.controller.wallet.send()
    dialog = dialog_of(window, SendDialog)
    assert isinstance(dialog, SendDialog)
    dialog.to.setText(FRIEND)
    qtbot.mouseClick(dialog.amount.all, CLICK)
    assert dialog.amount.field.text() == "1310.42"
    qtbot.mouseClick(dialog.what.buttons[1], CLICK)
    assert dialog.amount.field.text() == "", "an amount of one is not meant for the other"
    qtbot.mouseClick(dialog.amount.all, CLICK)
    assert dialog.left.text() == "Everything but the fee."
    qtbot.mouseClick(dialog.go, CLICK)
    await turned(dialog, Sheet.REVIEW)
    assert engine.asked == [LookAt(kind=StepKind.SEND_COIN, to=FRIEND)]


async def test_what_the_engine_refuses_is_said_on_the_form_and_stays_while_figures_change(
    engine: SmallEngine, window: MainWindow, qtbot: QtBot
) -> None:
    window.controller.wallet.set_payout()
    dialog = dialog_of(window, PayoutDialog)
    assert isinstance(dialog, PayoutDialog)
    dialog.to.setText(FRIEND)
    engine.refusal = UserFacingError("The chain does not answer.", "Try again later.", code="chain-away", status=503)
    qtbot.mouseClick(dialog.go, CLICK)
    await turned(dialog, Sheet.REVIEW)
    assert dialog.at is Sheet.FORM
    assert dialog.problem.text() == "The chain does not answer. Try again later."
    assert dialog.go.isEnabled(), "it may be tried again"
    engine.owning = engine.owning.model_copy(update={"balance": 1})
    engine.publish("wallet", engine.owning)
    await until(window._link, lambda known: known.wallet == engine.owning)
    assert dialog.problem.isVisible()
    dialog.to.clear()
    assert not dialog.problem.isVisible(), "another address is another matter"


async def test_a_balance_that_changes_is_judged_in_the_open_form(
    engine: SmallEngine, window: MainWindow, qtbot: QtBot
) -> None:
    window.controller.wallet.stake()
    dialog = dialog_of(window, StakeDialog)
    assert isinstance(dialog, StakeDialog)
    qtbot.keyClicks(dialog.amount.field, "1000")
    assert dialog.go.isEnabled()
    engine.owning = engine.owning.model_copy(update={"balance": 999 * TOKEN})
    engine.publish("wallet", engine.owning)
    await until(window._link, lambda known: known.wallet == engine.owning)
    assert not dialog.go.isEnabled()
    assert "has only 999.00 DPN" in dialog.left.text()


async def test_what_is_changed_while_the_engine_looks_is_not_reviewed(
    engine: SmallEngine, window: MainWindow, qtbot: QtBot
) -> None:
    window.controller.wallet.stake()
    dialog = dialog_of(window, StakeDialog)
    assert isinstance(dialog, StakeDialog)
    dialog.amount.field.setText("5")
    qtbot.mouseClick(dialog.go, CLICK)
    dialog.amount.field.setText("6")
    await asked(engine)
    while dialog._checking:
        await future_of(dialog.turned)
    assert dialog.at is Sheet.FORM
    qtbot.mouseClick(dialog.go, CLICK)
    await turned(dialog, Sheet.REVIEW)
    assert engine.asked[-1].amount == 6 * TOKEN


async def test_a_form_that_is_closed_while_the_engine_looks_harms_nobody(
    engine: SmallEngine, window: MainWindow, qtbot: QtBot
) -> None:
    window.controller.wallet.stake()
    dialog = dialog_of(window, StakeDialog)
    assert isinstance(dialog, StakeDialog)
    dialog.amount.field.setText("5")
    qtbot.mouseClick(dialog.go, CLICK)
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    await asked(engine)
    await window._link.refresh()  # the answer has come by then
    assert window.controller.dialog is None
    assert window.toasts.shown == []


@pytest.mark.parametrize(
    ("begin", "kind", "expected"),
    [
        ("release", ReleaseDialog, StepKind.UNSTAKE),
        ("withdraw", WithdrawDialog, StepKind.WITHDRAW),
        ("set_budget", BudgetDialog, StepKind.BUDGET),
        ("top_up", SendDialog, StepKind.SEND_COIN),
    ],
)
async def test_every_other_step_is_looked_at_as_what_it_is(
    engine: SmallEngine, window: MainWindow, qtbot: QtBot, begin: str, kind: type[StepDialog], expected: StepKind
) -> None:
    engine.owning = engine.owning.model_copy(update={"operator": FRIEND})
    engine.publish("wallet", engine.owning)
    await until(window._link, lambda known: known.wallet == engine.owning)
    getattr(window.controller.wallet, begin)()
    dialog = dialog_of(window, kind)
    match dialog:
        case ReleaseDialog():
            assert "already" in " ".join(label.text().lower() for label in dialog.findChildren(Text))
            qtbot.mouseClick(dialog.amount.all, CLICK)
            assert dialog.amount.field.text() == "65"
        case BudgetDialog():
            assert dialog.amount.text() == "25"
            qtbot.keyClicks(dialog.amount, "30")  # what it held is selected
            assert dialog.amount.text() == "30"
        case SendDialog():
            assert dialog.coin
            assert dialog.to.text() == FRIEND
            assert "operator" in dialog.about.text()
            qtbot.keyClicks(dialog.amount.field, "0.1")
    qtbot.keyClick(dialog, Qt.Key.Key_Return)
    await turned(dialog, Sheet.REVIEW)
    assert engine.asked[-1].kind is expected


# --- review, progress, receipt ------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def reviewed(engine: SmallEngine, window: MainWindow) -> SendDialog:
    """A sending that waits for the password."""
    window.controller.wallet.send()
    dialog = dialog_of(window, SendDialog)
    assert isinstance(dialog, SendDialog)
    dialog.to.setText(FRIEND)
    dialog.amount.field.setText("5")
    dialog.go.click()
    await turned(dialog, Sheet.REVIEW)
    return dialog


def errand_of(window: MainWindow, home: Home) -> Errand:
    """An errand that nobody carries out: the test says how far it is."""
    errand = Errand(home, Order(StepKind.SEND, FRIEND, 5 * TOKEN))
    window.controller.wallet.errand = errand
    return errand


async def test_progress_goes_step_by_step_to_a_receipt_that_enter_closes(
    window: MainWindow, reviewed: SendDialog, home: Home, qtbot: QtBot
) -> None:
    errand = errand_of(window, home)
    reviewed.follow(errand)
    assert reviewed.at is Sheet.PROGRESS
    assert not reviewed.go.isVisible()
    assert not reviewed.progress.transaction.isVisible()
    errand._progress({"progress": "unlocked"})
    errand._progress({"progress": "sent", "transaction": TRANSACTION})
    assert reviewed.progress.transaction.text() == TRANSACTION
    qtbot.mouseClick(reviewed.progress.copy, CLICK)
    assert QGuiApplication.clipboard().text() == TRANSACTION
    assert not reviewed.progress.headline.isVisible()
    errand.done = Done(transaction=TRANSACTION, block=7, amount=5 * TOKEN, fee=10**12, fee_worth=0)
    errand._move(Stage.DONE)
    assert reviewed.progress.headline.text() == "5.00 DPN sent to 0x5aAe…eAed."
    assert reviewed.focusWidget() is reviewed.back
    qtbot.keyClick(reviewed, Qt.Key.Key_Return)
    assert window.controller.dialog is None


async def test_a_wrong_password_leaves_the_review_open_for_another(
    window: MainWindow, reviewed: SendDialog, home: Home
) -> None:
    errand = errand_of(window, home)
    reviewed.follow(errand)
    errand.problem = UserFacingError("The password is wrong.", "Try again.", code="wrong-password")
    errand._move(Stage.REFUSED)
    assert reviewed.at is Sheet.REVIEW
    assert reviewed.problem.text() == "The password is wrong. Try again."
    assert reviewed.focusWidget() is reviewed.review.password
    assert not reviewed.go.isEnabled()


async def test_a_fee_that_rose_is_looked_at_again(
    engine: SmallEngine, window: MainWindow, reviewed: SendDialog, home: Home
) -> None:
    errand = errand_of(window, home)
    reviewed.follow(errand)
    errand.problem = UserFacingError("The fee has risen.", "Look again.", code="fee-rose")
    errand._move(Stage.REFUSED)
    await asked(engine, 2)
    while reviewed._checking:
        await future_of(reviewed.turned)
    await turned(reviewed, Sheet.PROGRESS)
    assert reviewed.at is Sheet.REVIEW
    assert reviewed.problem.text() == "The fee has risen. Look again."


async def test_what_was_sent_and_failed_cannot_be_sent_once_more_by_accident(
    window: MainWindow, reviewed: SendDialog, home: Home
) -> None:
    errand = errand_of(window, home)
    reviewed.follow(errand)
    errand._progress({"progress": "sent", "transaction": TRANSACTION})
    errand.problem = errand._explained(UserFacingError("The command did not end in time.", "", code="command-timeout"))
    errand._move(Stage.REFUSED)
    assert reviewed.at is Sheet.PROGRESS
    assert not reviewed.go.isVisible()
    assert "not known yet whether it counts" in reviewed.problem.text()
    assert TRANSACTION in reviewed.problem.text()


# --- errands ------------------------------------------------------------------------------------------------------


async def test_an_errand_that_nobody_watches_any_more_ends_with_a_toast(
    window: MainWindow, reviewed: SendDialog, qtbot: QtBot
) -> None:
    """In a home without network and wallet the real command refuses, in its own words."""
    qtbot.keyClicks(reviewed.review.password, "secret")
    qtbot.keyClick(reviewed.review.password, Qt.Key.Key_Return)
    assert reviewed.at is Sheet.PROGRESS
    assert reviewed.review.password.text() == "", "it is not kept"
    assert window.controller.wallet.under_way is not None
    qtbot.keyClick(reviewed, Qt.Key.Key_Escape)
    window.controller.wallet.send()
    assert window.controller.dialog is None, "one step at a time"
    assert "network.json" in (await toast(window, 60)).message
    assert window.controller.wallet.under_way is None


async def test_the_command_refuses_in_the_dialog_and_the_step_can_be_tried_again(
    window: MainWindow, reviewed: SendDialog, qtbot: QtBot
) -> None:
    qtbot.keyClicks(reviewed.review.password, "secret")
    qtbot.mouseClick(reviewed.go, CLICK)
    await turned(reviewed, Sheet.REVIEW)
    assert "network.json" in reviewed.problem.text()
    assert window.toasts.shown == []
    qtbot.keyClicks(reviewed.review.password, "secret")
    assert reviewed.go.isEnabled()


# --- how it looks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("appearance", ["light", "dark"])
def test_no_text_of_a_dialog_is_cut_in_either_appearance(
    show: Show, theme: Theme, qapp: QApplication, appearance: str
) -> None:
    theme.choose(Appearance(appearance))
    try:
        window = show(samples.long_names(), "wallet")
        actions = window.controller.wallet
        for begin in (actions.send, actions.stake, actions.release, actions.withdraw, actions.set_payout):
            begin()
            dialog = window.controller.dialog
            assert isinstance(dialog, StepDialog)
            _fits(dialog, qapp)
            look = samples.look(
                LookAt(kind=StepKind.SEND, to=FRIEND, amount=98_765_432 * TOKEN + 1),
                notes=("A sentence that goes on and on. " * 6,) * 2,
            )
            ask = LookAt(kind=StepKind.SEND, to=FRIEND, amount=look.amount)
            facts = say.review_facts(ask, look, samples.wallet(), "DPN", samples.NOW)
            dialog.review.show_look(look, facts, say.warnings(look))
            dialog._ask = ask
            dialog._turn_to(Sheet.REVIEW)
            dialog._show_problem(UserFacingError("A reason that is long as well. " * 5, "And a remedy."))
            _fits(dialog, qapp)
            dialog.reject()
    finally:
        theme.choose(Appearance.LIGHT)


def _fits(dialog: StepDialog, qapp: QApplication) -> None:
    for _ in range(3):
        qapp.processEvents()
    for label in dialog.findChildren(Text):
        if not label.isVisible():
            continue
        wanted = label.heightForWidth(label.width()) if label.wordWrap() else label.sizeHint().height()
        assert label.height() >= wanted - 1, f"“{label.text()}” has {label.height()} of {wanted} pixels"
        if not label.wordWrap() and not label.elides:
            widest = max(label.fontMetrics().horizontalAdvance(line) for line in label.text().split("\n"))
            assert widest <= label.width() + 1, label.text()
    last = dialog.go if dialog.go.isVisible() else dialog.back
    assert last.geometry().bottom() <= dialog.height() - 16


async def test_the_backup_dialog_takes_its_height_from_its_words(window: MainWindow, qapp: QApplication) -> None:
    window.controller.wallet.back_up()
    dialog = window.controller.dialog
    assert isinstance(dialog, BackupDialog)
    dialog._show([f"word{n}" for n in range(12)])
    for _ in range(3):
        qapp.processEvents()
    assert dialog.card.height() >= dialog.card.sizeHint().height()
    dialog.reject()

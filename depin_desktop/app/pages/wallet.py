"""Wallet: what is owned, where to receive, and how everything came and went."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QBoxLayout,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from depin_desktop.api.wallet import HistoryEntry
from depin_desktop.app.fonts import font
from depin_desktop.app.known import Known
from depin_desktop.app.pages.base import GAP, Actions, Page, PageHead
from depin_desktop.app.presenters import home as say_home
from depin_desktop.app.presenters import thaws
from depin_desktop.app.presenters import wallet as say
from depin_desktop.app.widgets.banner import Banner, EmptyState
from depin_desktop.app.widgets.buttons import Button
from depin_desktop.app.widgets.card import Card, CardHead, Rule
from depin_desktop.app.widgets.figure import Figure, Labelled
from depin_desktop.app.widgets.qr import QrCode
from depin_desktop.app.widgets.table import Rows, Table
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import Words, grouped_address, tr

WIDE_PX = 760
MOST_ROWS = 4


class WalletPage(Page):
    """The owner's money."""

    def __init__(self, actions: Actions) -> None:
        super().__init__(tr("Wallet"), actions)
        actions.wallet.warm_up()
        self.head = PageHead(tr("Wallet"), facts_below=False)
        self.send = Button(tr("Send…"), "filled")
        self.send.clicked.connect(actions.wallet.send)
        self.head.right.addWidget(self.send)
        self.backup = Banner(wide=True)
        self.backup.pressed.connect(lambda _: actions.wallet.back_up())
        self.errand = Banner()
        self.money = MoneyCard(actions)
        self.receive = ReceiveCard(actions)
        self.history = HistoryCard(actions)
        self._top = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._top.setSpacing(GAP)
        self._top.addWidget(self.money, 1)
        self._top.addWidget(self.receive)
        self.column.addWidget(self.head)
        self.column.addWidget(self.backup)
        self.column.addWidget(self.errand)
        self.column.addLayout(self._top)
        self.column.addWidget(self.history, 1)

    def arrange(self, width: int) -> None:
        wide = width >= WIDE_PX
        self._top.setDirection(QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom)
        self.receive.setMinimumWidth(340 if wide else 0)
        self.receive.setMaximumWidth(340 if wide else 16_777_215)

    def present(self, known: Known, now: float) -> None:
        view = say.money(known, now)
        self.head.facts.say(view.as_of.text, view.as_of.tone, view.as_of.tip)
        backup = say_home.backup(known, always=True)
        self.backup.setVisible(backup is not None)
        if backup is not None:
            self.backup.say(
                backup.headline, backup.sentence, backup.tone, backup.action, backup.action_label, kind="filled"
            )
        self.send.set_kind("plain" if backup is not None else "filled")  # one filled button a view
        errand = self.controller.wallet.under_way
        self.errand.setVisible(errand is not None)
        if errand is not None:
            self.errand.say("", errand.text, "info")
            self.errand.setToolTip(errand.tip)
        wishes = say.wishes(known, now, busy=errand is not None)
        self.send.setEnabled(wishes.send)
        self.send.setToolTip("" if wishes.send else wishes.tip)
        self.money.show_money(view)
        self.money.show_thawing(thaws.thawing_words(known.wallet, known.symbol, now))
        self.money.show_wishes(wishes)
        self.receive.show_address(known.wallet.owner if known.wallet else "")
        self.receive.show_payout(say.payout(known), wishes)
        self.history.show_history(known, now)
        self.show_away(known.wallet is not None and not known.link.live)


class MoneyCard(Card):
    """Balance large; what is on its way; what the keys of this machine hold, and what can be done about that."""

    def __init__(self, actions: Actions) -> None:
        super().__init__(spacing=12)
        wallet = actions.wallet
        self.stake = _link(tr("Add…"), tr("Add to the stake"), wallet.stake)
        self.release = _link(tr("Release…"), tr("Release stake"), wallet.release)
        self.budget = _link(tr("Change…"), tr("Change the spending budget"), wallet.set_budget)
        self.top_up = _link(tr("Top up…"), tr("Send gas to the operator"), wallet.top_up)
        self.withdraw = _link(tr("Take out…"), tr("Take out released stake"), wallet.withdraw)
        self.balance = Figure("number", "body")
        top = QVBoxLayout()
        top.setSpacing(0)
        top.addWidget(Text(tr("Balance"), "secondary", "muted"))
        top.addWidget(self.balance)
        self.row = [Labelled(name) for name in (tr("Pending"), tr("Paid out"), tr("Earned in total"))]
        names = (tr("Stake"), tr("Spending budget"), tr("Gas, operator"), tr("Gas, yours"))
        self.keys = [Labelled(name, role="heading") for name in names]
        self.body.addLayout(top)
        self.body.addLayout(_figures(self.row))
        self.body.addStretch(1)
        self.body.addWidget(Rule())
        keys = _figures(self.keys)
        for index, links in enumerate(((self.stake, self.release), (self.budget,), (self.top_up,))):
            row = QHBoxLayout()
            row.setSpacing(14)
            for link in links:
                row.addWidget(link)
            row.addStretch(1)
            keys.addLayout(row, 1, index)
        self.body.addLayout(keys)
        self.thawing = Text("", "secondary", "muted", elide=Qt.TextElideMode.ElideRight)
        self._thaws = QWidget()
        thaws = QHBoxLayout(self._thaws)
        thaws.setContentsMargins(0, 0, 0, 0)
        thaws.setSpacing(14)
        thaws.addWidget(self.thawing)
        thaws.addWidget(self.withdraw)
        thaws.addStretch(1)
        self._thaws.hide()
        self.body.addWidget(self._thaws)

    def show_money(self, view: say.Money) -> None:
        self.balance.say(view.balance.value, view.balance.unit, tip=view.balance.tip)
        for labels, amounts in ((self.row, view.row), (self.keys, view.keys)):
            for index, label in enumerate(labels):
                if index < len(amounts):
                    amount = amounts[index]
                    label.figure.say(amount.value, amount.unit, tone=amount.tone, tip=amount.tip)
                    label.name.say(amount.name, tip=amount.tip)
                else:
                    label.figure.say("–")

    def show_thawing(self, words: Words) -> None:
        """What of the stake is being released; nothing where nothing is."""
        self._thaws.setVisible(bool(words.text))
        self.thawing.say(words.text, words.tone, words.tip)

    def show_wishes(self, wishes: say.Wishes) -> None:
        """Which links may be followed."""
        for link, may in (
            (self.stake, wishes.stake),
            (self.release, wishes.release),
            (self.budget, wishes.send),
            (self.top_up, wishes.send),
            (self.withdraw, wishes.withdraw),
        ):
            link.setEnabled(may)
            link.setToolTip("" if may else wishes.tip)
        self.withdraw.setVisible(wishes.withdraw)


def _link(text: str, name: str, act: Callable[[], None]) -> Button:
    link = Button(text, "link", name=name)
    link.clicked.connect(act)
    return link


def _figures(labels: Sequence[Labelled]) -> QGridLayout:
    """Figures in columns of equal width."""
    grid = QGridLayout()
    grid.setHorizontalSpacing(GAP)
    grid.setVerticalSpacing(2)
    for index, label in enumerate(labels):
        grid.addWidget(label, 0, index)
        grid.setColumnStretch(index, 1)
    return grid


class ReceiveCard(Card):
    """The owner's address: as a picture to scan, in groups to compare, and on the clipboard."""

    def __init__(self, actions: Actions) -> None:
        super().__init__(spacing=10)
        self._actions, self._address = actions, ""
        self.qr = QrCode()
        self.groups = [Text("", "code") for _ in range(10)]
        self.copy = Button(tr("Copy"), icon="copy", name=tr("Copy the address"))
        self.copy.clicked.connect(lambda: self._actions.copy(self._address, tr("Address")))
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(1)
        for index, group in enumerate(self.groups):
            grid.addWidget(group, index // 2, index % 2)
        grid.setColumnStretch(2, 1)
        right = QVBoxLayout()
        right.setSpacing(6)
        self.hint = Text(tr("Address, after its 0x:"), "caption", "muted", wrap=True)
        right.addWidget(self.hint)
        right.addLayout(grid)
        right.addStretch(1)
        right.addWidget(self.copy, 0, Qt.AlignmentFlag.AlignLeft)
        row = QHBoxLayout()
        row.setSpacing(16)
        row.addWidget(self.qr, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(right, 1)
        self.payout = Text("", "secondary", "muted", elide=Qt.TextElideMode.ElideRight)
        self.change = _link(tr("Change…"), tr("Change where earnings go"), actions.wallet.set_payout)
        below = QHBoxLayout()
        below.setSpacing(14)
        below.addWidget(self.payout, 1)
        below.addWidget(self.change)
        self.body.addWidget(CardHead(tr("Receive")))
        self.body.addLayout(row)
        self.body.addStretch(1)
        self.body.addLayout(below)

    def show_payout(self, words: Words, wishes: say.Wishes) -> None:
        """Where earnings go, and whether that may be changed now."""
        self.payout.say(words.text, words.tone, words.tip)
        self.change.setEnabled(wishes.payout)
        self.change.setToolTip("" if wishes.payout else wishes.tip)

    def show_address(self, address: str) -> None:
        if address == self._address and self.groups[0].text():
            return
        self._address = address
        self.copy.setEnabled(bool(address))
        self.qr.show_text(address, tr("Your address as a QR code"))
        groups = grouped_address(address) or ["····"] * 10
        for label, group in zip(self.groups, groups, strict=False):
            label.say(group, "text" if address else "faint")
        self.setAccessibleDescription(address)
        self.hint.say(self.hint.text(), tip=address)


class HistoryCard(Card):
    """Everything that came and went; filtered, ordered, copied, exported."""

    def __init__(self, actions: Actions) -> None:
        super().__init__()
        self._actions = actions
        self._symbol, self._loading = "", True
        self.head = CardHead(tr("History"))
        self.filter = QLineEdit()
        self.filter.setPlaceholderText(tr("Filter"))
        self.filter.setAccessibleName(tr("Filter the history"))
        self.filter.setToolTip(tr("Words, addresses or transactions (Ctrl+F)"))
        self.kind = QComboBox()
        self.kind.setAccessibleName(tr("Kind of entry"))
        self.kind.addItem(tr("All kinds"), "")
        for key in say.KINDS:
            self.kind.addItem(say.kind_name(key), key)
        for control in (self.filter, self.kind):
            control.setProperty("compact", True)
            control.setFont(font("secondary"))
        self.filter.setFixedWidth(170)
        self.filter.setClearButtonEnabled(True)
        self.export = Button(tr("Export…"), "small", icon="export", tip=tr("Write the whole history to a CSV file"))
        self.export.clicked.connect(actions.export_history)
        for widget in (self.filter, self.kind, self.export):
            self.head.add_right(widget)
        self.rows: Rows[HistoryEntry] = Rows(
            say.HISTORY_COLUMNS,
            lambda entry, column, now: say.history_cell(entry, column, now, self._symbol),
            say.history_sort_key,
            right=say.HISTORY_RIGHT,
            ticking=(0,),
        )
        self.table = Table(
            tr("History"),
            self.rows,
            give_way=(3,),
            newest_first=0,
            copy_row=lambda entry: say.copied_row(entry, self._symbol),
        )
        self.empty = EmptyState("wallet", "", "")
        self.more = Button(tr("Load older entries"), "link")
        self.more.clicked.connect(actions.more_history)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.table)
        self.body.addWidget(self.head)
        self.body.addWidget(self._stack, 1)
        self.body.addWidget(self.more, 0, Qt.AlignmentFlag.AlignHCenter)
        self.filter.textChanged.connect(self._filter)
        self.kind.currentIndexChanged.connect(self._filter)

    def _filter(self) -> None:
        text, kind = self.filter.text(), str(self.kind.currentData())
        self.table.order.filter_by((lambda entry: say.history_matches(entry, text, kind)) if text or kind else None)
        self._show_empty()

    def show_history(self, known: Known, now: float) -> None:
        self._symbol = known.symbol
        self._loading = known.history is None
        self.rows.show_entries(known.history or (), now)
        self.export.setEnabled(bool(known.history))
        self.more.setVisible(bool(known.history) and not known.history_complete)
        self.more.setEnabled(known.link.live)
        self._show_empty()
        self.table.setMinimumHeight(self.table.wanted_height(MOST_ROWS))

    def _show_empty(self) -> None:
        shown = self.table.order.rowCount()
        self._stack.setCurrentIndex(1 if shown else 0)
        if shown:
            return
        if self._loading:
            self.empty.say(tr("Reading…"), tr("The engine has not told yet."))
        elif self.rows.rowCount():
            self.empty.say(tr("Nothing matches"), tr("Clear the filter to see everything."))
        else:
            self.empty.say(
                tr("Nothing yet"), tr("Earnings, transfers and stake appear here, each with its transaction.")
            )

"""The forms of what only the owner can do: sending, staking, where earnings go, and the spending budget."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from depin_desktop.api.wallet import StepKind
from depin_desktop.app.known import Known
from depin_desktop.app.loop import Jobs
from depin_desktop.app.presenters import step_forms as forms
from depin_desktop.app.presenters import thaws
from depin_desktop.app.presenters.wallet import COIN, plain_tokens
from depin_desktop.app.step_dialog import Asking, StepDialog
from depin_desktop.app.widgets.buttons import Button
from depin_desktop.app.widgets.fields import Beside, Field
from depin_desktop.app.widgets.segments import Segments
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import tr
from depin_desktop.core.addresses import clean_address

TOKENS, COINS = 0, 1


class AmountRow(Beside):
    """An amount, and a button that asks for all there is."""

    def __init__(self) -> None:
        self.field = Field(tr("Amount"), "0.00")
        self.all = Button(tr("All"), name=tr("All there is"))
        super().__init__(self.field, self.all)


class SendDialog(StepDialog):
    """Tokens, or the chain's own coin, to an address."""

    def __init__(
        self, parent: QWidget, known: Known, asking: Asking, jobs: Jobs, *, coin: bool = False, to: str = ""
    ) -> None:
        super().__init__(parent, StepKind.SEND, known, asking, jobs)
        self.what = Segments(tr("What to send"), (known.symbol, COIN))
        self.to = Field(tr("Recipient’s address"), "0x…", cleaned=clean_address)
        self.amount = AmountRow()
        self.fields.addWidget(self.what)
        self.add_row(tr("To"), self.to, self.about)
        self.add_row(tr("Amount"), self.amount, self.left)
        self.what.choose(COINS if coin else TOKENS)
        self.to.setText(to)
        self.what.chosen.connect(lambda _: self._change_what())
        self.amount.all.clicked.connect(self._ask_all)
        for field in (self.to, self.amount.field):
            field.textChanged.connect(self.edited)
        self.judge()
        (self.amount.field if to else self.to).setFocus()

    @property
    def coin(self) -> bool:
        return self.what.buttons[COINS].isChecked()

    def _change_what(self) -> None:
        self.amount.field.clear()  # an amount of one is hardly ever meant for the other
        self.edited()

    def _ask_all(self) -> None:
        self.amount.field.setText(tr(forms.ALL) if self.coin else plain_tokens(self._wallet.balance))

    def judged(self) -> forms.Form:
        return forms.send_form(
            self.to.text(),
            self.amount.field.text(),
            self.coin,
            self._wallet,
            self._known.history or (),
            self._known.symbol,
            time.time(),
        )


class StakeDialog(StepDialog):
    """More stake."""

    def __init__(self, parent: QWidget, known: Known, asking: Asking, jobs: Jobs) -> None:
        super().__init__(parent, StepKind.STAKE, known, asking, jobs)
        self.amount = AmountRow()
        self.introduce(
            tr(
                "The stake is your promise to keep what customers store. More of it lets them trust this node with "
                "more; a missed proof costs a part of it."
            )
        )
        self.add_row(tr("Amount in {symbol}", symbol=known.symbol), self.amount, self.left)
        self.amount.all.clicked.connect(lambda: self.amount.field.setText(plain_tokens(self._wallet.balance)))
        self.amount.field.textChanged.connect(self.edited)
        self.judge()
        self.amount.field.setFocus()

    def judged(self) -> forms.Form:
        return forms.stake_form(self.amount.field.text(), self._wallet, self._known.symbol)


class ReleaseDialog(StepDialog):
    """Stake asked back; with what is on its way already."""

    def __init__(self, parent: QWidget, known: Known, asking: Asking, jobs: Jobs) -> None:
        super().__init__(parent, StepKind.UNSTAKE, known, asking, jobs)
        wallet, now = self._wallet, time.time()
        self.amount = AmountRow()
        at = thaws.moment_words(now + wallet.thaw_s, now)
        self.when = Text(tr("It could be taken out from {time}.", time=at), "secondary", "muted", wrap=True)
        self.fields.addWidget(self.when)
        self.add_row(tr("Amount in {symbol}", symbol=known.symbol), self.amount, self.left)
        for thaw in wallet.thawing:
            words = thaws.thaw_words(thaw, wallet, known.symbol, now)
            line = Text("", "secondary", "muted", wrap=True)
            line.say(tr("Already being released: {what}", what=words.text), tip=words.tip)
            self.fields.addWidget(line)
        self.amount.all.clicked.connect(lambda: self.amount.field.setText(plain_tokens(self._wallet.free_stake)))
        self.amount.field.textChanged.connect(self.edited)
        self.judge()
        self.amount.field.setFocus()

    def judged(self) -> forms.Form:
        return forms.release_form(self.amount.field.text(), self._wallet, self._known.symbol)


class WithdrawDialog(StepDialog):
    """Released stake whose time has come."""

    def __init__(self, parent: QWidget, known: Known, asking: Asking, jobs: Jobs) -> None:
        super().__init__(parent, StepKind.WITHDRAW, known, asking, jobs)
        self.fields.addWidget(self.left)
        now = time.time()
        for thaw in self._wallet.thawing:
            words = thaws.thaw_words(thaw, self._wallet, known.symbol, now)
            if thaws.local_end(thaw.ends, self._wallet) > now:
                line = Text("", "secondary", "muted", wrap=True)
                line.say(tr("Still being released: {what}", what=words.text), tip=words.tip)
                self.fields.addWidget(line)
        self.judge()

    def judged(self) -> forms.Form:
        return forms.withdraw_form(self._wallet, self._known.symbol, time.time())


class PayoutDialog(StepDialog):
    """Where earnings go from now on."""

    def __init__(self, parent: QWidget, known: Known, asking: Asking, jobs: Jobs) -> None:
        super().__init__(parent, StepKind.PAYOUT, known, asking, jobs)
        wallet = self._wallet
        self.introduce(
            tr(
                "What this machine earns from now on is paid to this address. It needs nothing from you there: a "
                "wallet on paper or in a drawer will do."
            )
        )
        self.now = Text(wallet.payout, "code", elide=Qt.TextElideMode.ElideMiddle)
        self.to = Field(tr("Payout address"), "0x…", cleaned=clean_address)
        self.mine = Button(tr("This wallet"), name=tr("Pay earnings to this wallet again"))
        self.mine.setEnabled(wallet.payout != wallet.owner)
        self.add_row(tr("Now"), self.now)
        self.add_row(tr("From now on"), Beside(self.to, self.mine), self.about)
        self.mine.clicked.connect(lambda: self.to.setText(self._wallet.owner))
        self.to.textChanged.connect(self.edited)
        self.judge()
        self.to.setFocus()

    def judged(self) -> forms.Form:
        return forms.payout_form(self.to.text(), self._wallet, self._known.history or (), time.time())


class BudgetDialog(StepDialog):
    """What this machine may spend without the password."""

    def __init__(self, parent: QWidget, known: Known, asking: Asking, jobs: Jobs) -> None:
        super().__init__(parent, StepKind.BUDGET, known, asking, jobs)
        self.introduce(
            tr(
                "What this machine may spend on storage and computing of others, without asking for your password. "
                "It is all that somebody could spend who steals the computer while it runs."
            )
        )
        self.amount = Field(tr("Budget in {symbol}", symbol=known.symbol), "0.00")
        self.amount.setText(plain_tokens(self._wallet.spending_balance))
        self.add_row(tr("Budget in {symbol}", symbol=known.symbol), self.amount, self.left)
        self.amount.textChanged.connect(self.edited)
        self.judge()
        self.amount.setFocus()
        self.amount.selectAll()

    def judged(self) -> forms.Form:
        return forms.budget_form(self.amount.text(), self._wallet, self._known.symbol)

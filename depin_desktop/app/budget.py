"""Sets how much this machine may spend as a customer: shown with what it means before the password signs it."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QWidget

from depin_desktop.api.wallet import WalletStatus
from depin_desktop.app.cli_process import depin
from depin_desktop.app.dialogs import Dialog
from depin_desktop.app.fonts import font
from depin_desktop.app.loop import Jobs
from depin_desktop.app.presenters import wallet as say
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import tr
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home


class BudgetDialog(Dialog):
    """Signals: `was_set(amount)` with the text of the amount that was set; `refused(why)`."""

    was_set = Signal(str)
    refused = Signal(str)

    def __init__(self, parent: QWidget, home: Home, jobs: Jobs, wallet: WalletStatus, symbol: str) -> None:
        super().__init__(parent, tr("Spending budget"))
        self._home, self._jobs, self._wallet, self._symbol = home, jobs, wallet, symbol
        self.column.addWidget(
            Text(
                tr(
                    "What this machine may spend on storage and computing of others, without asking for your password. "
                    "It is all that somebody could spend who steals the computer while it runs."
                ),
                "secondary",
                "muted",
                wrap=True,
            )
        )
        self.amount = self._field(tr("Budget in {symbol}", symbol=symbol))
        self.amount.setText(say.plain_tokens(wallet.spending_balance))
        self.move_words = Text("", "body", wrap=True)
        self.password = self._field(tr("Wallet password"))
        self.password.setEchoMode(QLineEdit.EchoMode.Password)
        self.problem = Text("", "secondary", "fault", wrap=True)
        self.problem.hide()
        label = Text(tr("Budget in {symbol}", symbol=symbol), "secondary", "muted")
        for widget in (label, self.amount, self.move_words, self.password, self.problem):
            self.column.addWidget(widget)
        self.add_close(tr("Cancel"))
        self.accept_button = self.add_button(tr("Set the budget"), "filled")
        self.accept_button.setDefault(True)
        self.accept_button.clicked.connect(self._set)
        for field in (self.amount, self.password):
            field.textChanged.connect(self._judge)
        self._judge()
        self.amount.setFocus()
        self.amount.selectAll()

    def _field(self, name: str) -> QLineEdit:
        field = QLineEdit()
        field.setFont(font("body"))
        field.setAccessibleName(name)
        field.setPlaceholderText(name)
        return field

    def _judge(self) -> None:
        view = say.budget_move(self.amount.text(), self._wallet, self._symbol)
        self.move_words.say(view.text, view.tone)
        self.accept_button.setEnabled(view.tone == "text" and bool(self.password.text()))

    def _set(self) -> None:
        self.accept_button.setEnabled(False)
        self.accept_button.setText(tr("Signing…"))
        self._jobs.spawn("set the budget", self._ask(self.amount.text().strip(), self.password.text()))
        self.password.clear()
        self.accept_button.setEnabled(False)

    async def _ask(self, amount: str, password: str) -> None:
        try:
            await depin(self._home, "wallet", "budget", amount, "--yes", "--password-stdin", password=password)
        except UserFacingError as problem:
            self.problem.say(str(problem))
            self.problem.show()
            self.accept_button.setText(tr("Set the budget"))
            self.password.setFocus()
            self.refused.emit(str(problem))
            return
        self.was_set.emit(amount)
        self.accept()

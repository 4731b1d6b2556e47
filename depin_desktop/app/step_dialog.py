"""A step of the owner's from its form over its review, where the password is asked, to its receipt."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from enum import Enum

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QBoxLayout, QVBoxLayout, QWidget

from depin_desktop.api.wallet import Look, LookAt, StepKind, WalletStatus
from depin_desktop.app.dialogs import Dialog
from depin_desktop.app.errand import Errand
from depin_desktop.app.known import Known
from depin_desktop.app.loop import Jobs
from depin_desktop.app.orders import Stage
from depin_desktop.app.presenters import step_reviews as say
from depin_desktop.app.presenters.step_forms import Form
from depin_desktop.app.step_sheets import ProgressSheet, ReviewSheet
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import tr
from depin_desktop.core.errors import UserFacingError

Asking = Callable[[LookAt], Awaitable[Look]]


class Sheet(Enum):
    """Which part of the dialog is in front."""

    FORM = 0
    REVIEW = 1
    PROGRESS = 2


class StepDialog(Dialog):
    """What all steps share; a subclass lays out its fields in `fields` and says in `judged` what they mean.

    What there is to say of an address and of an amount stands in `about` and `left`, wherever the subclass puts them.

    Signals: `agreed(Order, password)`, after which `follow` is to be called; `copy_wanted(text)`; `turned()` when
    another sheet or a problem has come to the front, or a look is not needed any more.

    Args:
        asking: has the engine look at a step.
        jobs: runs that.
    """

    agreed = Signal(object, str)
    copy_wanted = Signal(str)
    turned = Signal()

    def __init__(self, parent: QWidget, kind: StepKind, known: Known, asking: Asking, jobs: Jobs) -> None:
        super().__init__(parent, tr(say.TITLES[kind]))
        assert known.wallet is not None, "steps are offered once the wallet is known"
        self._wallet: WalletStatus = known.wallet
        self._known, self._asking, self._jobs = known, asking, jobs
        self._form = Form(None)
        self._ask: LookAt | None = None
        self._look: Look | None = None
        self._errand: Errand | None = None
        self._checking = self._gone = False
        self.at = Sheet.FORM
        self._first = QWidget()
        self.fields = QVBoxLayout(self._first)
        self.fields.setContentsMargins(0, 0, 0, 0)
        self.fields.setSpacing(6)
        self.about, self.left = (Text("", "secondary", "muted", wrap=True) for _ in range(2))
        self.review = ReviewSheet()
        self.progress = ProgressSheet()
        self.problem = Text("", "secondary", "fault", wrap=True)
        self.problem.hide()
        for widget in (self._first, self.review, self.progress, self.problem):
            self.column.addWidget(widget)
        self.back = self.add_button(tr("Cancel"))
        self.go = self.add_button(tr("Continue"), "filled")
        self.go.setDefault(True)
        self.back.clicked.connect(self._go_back)
        self.go.clicked.connect(self._go_on)
        self.review.password.textChanged.connect(self._enable)
        self.progress.copied.connect(self.copy_wanted)
        self.finished.connect(self._leave)
        self._turn_to(Sheet.FORM)

    # --- for subclasses

    def judged(self) -> Form:
        """What the fields mean now."""
        raise NotImplementedError

    def introduce(self, sentence: str) -> None:
        """Adds a paragraph above the fields."""
        self.fields.addWidget(Text(sentence, "secondary", "muted", wrap=True))

    def add_row(self, name: str, row: QWidget | QBoxLayout, *below: Text) -> None:
        """Adds a field, or a field with a button, under its name, and what is said about it below."""
        if self.fields.count():
            self.fields.addSpacing(6)
        self.fields.addWidget(Text(name, "secondary", "muted"))
        if isinstance(row, QWidget):
            self.fields.addWidget(row)
        else:
            self.fields.addLayout(row)
        for text in below:
            self.fields.addWidget(text)

    def edited(self) -> None:
        """To be called whenever a field has changed; what was wrong before may be right now."""
        self.problem.hide()
        self.judge()

    def judge(self) -> None:
        """Takes the fields as they are; to be called once they are laid out."""
        self._form = form = self.judged()
        self.about.say(form.about.text, form.about.tone, form.about.tip)
        self.left.say(form.amount.text, form.amount.tone, form.amount.tip)
        self._enable()

    # --- what happens

    def know(self, known: Known) -> None:
        """Fresh snapshots arrived while the dialog is open."""
        if known.wallet is not None and (known.wallet, known.history) != (self._wallet, self._known.history):
            self._wallet, self._known = known.wallet, known
            if self.at is Sheet.FORM:
                self.judge()

    def _go_on(self) -> None:
        if not self.go.isEnabled():
            return
        self.problem.hide()
        if self.at is Sheet.FORM and self._form.ask is not None:
            self._ask = self._form.ask
            self._look_now()
        elif self.at is Sheet.REVIEW and self._ask is not None and self._look is not None:
            self.agreed.emit(say.order_of(self._ask, self._look), self.review.password.take())

    def _look_now(self, told: UserFacingError | None = None) -> None:
        """Asks the engine, and turns to the review; `told` is what went wrong before and is shown there."""
        assert self._ask is not None
        self._checking = True
        self._enable()
        self._jobs.spawn("look at a step", self._ask_engine(self._ask, told))

    async def _ask_engine(self, ask: LookAt, told: UserFacingError | None) -> None:
        try:
            look = await self._asking(ask)
        except UserFacingError as problem:
            if not self._gone:
                self._checking = False
                self._turn_to(Sheet.FORM)
                self._show_problem(problem)
            return
        if self._gone:
            return
        self._checking = False
        if self.at is Sheet.FORM and self._form.ask != ask:  # it was changed meanwhile
            self._enable()
            self.turned.emit()
            return
        self._look = look
        facts = say.review_facts(ask, look, self._wallet, self._known.symbol, time.time())
        self.review.show_look(look, facts, say.warnings(look))
        self._turn_to(Sheet.REVIEW)
        if told is not None:
            self._show_problem(told)

    def follow(self, errand: Errand) -> None:
        """Shows how far an errand is that carries this step out; closing the dialog does not end it."""
        self._errand = errand
        errand.moved.connect(self._moved)
        self._turn_to(Sheet.PROGRESS)
        self._moved()

    def _moved(self) -> None:
        errand = self._errand
        if errand is None or self._gone:
            return
        self.progress.show_stage(errand.stage, errand.transaction)
        if errand.stage is Stage.DONE and errand.done is not None:
            symbol = self._known.symbol
            self.progress.show_done(
                say.done_words(errand.order, errand.done.amount, symbol), say.receipt_facts(errand.done, symbol)
            )
            self._turn_to(Sheet.PROGRESS)
        elif errand.stage is Stage.REFUSED and errand.problem is not None:
            self._refused(errand, errand.problem)

    def _refused(self, errand: Errand, problem: UserFacingError) -> None:
        errand.moved.disconnect(self._moved)
        if errand.transaction:  # it is out there: nothing to say yes to once more
            self._turn_to(Sheet.PROGRESS)
            self._show_problem(problem)
            return
        self._errand = None
        self._turn_to(Sheet.REVIEW)
        if problem.code == "fee-rose":
            self._look_now(problem)
        else:
            self._show_problem(problem)

    def _go_back(self) -> None:
        if self.at is Sheet.REVIEW:
            self.review.password.clear()
            self._turn_to(Sheet.FORM)
        else:
            self.reject()

    def _leave(self) -> None:
        self._gone = True
        self.review.password.clear()

    # --- what is shown

    def _turn_to(self, sheet: Sheet) -> None:
        self.at = sheet
        self._first.setVisible(sheet is Sheet.FORM)
        self.review.setVisible(sheet is Sheet.REVIEW)
        self.progress.setVisible(sheet is Sheet.PROGRESS)
        self.problem.hide()
        ended = self._errand is not None and not self._errand.under_way
        self.back.setText({Sheet.FORM: tr("Cancel"), Sheet.REVIEW: tr("Back")}.get(sheet, tr("Close")))
        self.go.setVisible(sheet is not Sheet.PROGRESS)
        self.back.setDefault(sheet is Sheet.PROGRESS)
        self.go.setDefault(sheet is not Sheet.PROGRESS)
        if sheet is Sheet.REVIEW:
            self.review.password.setFocus()
        elif sheet is Sheet.PROGRESS and ended:
            self.back.setFocus()
        self._enable()
        self.turned.emit()

    def _enable(self) -> None:
        if self.at is Sheet.REVIEW and self._ask is not None:
            ready, verb = bool(self.review.password.text()), tr(say.VERBS[self._ask.kind])
        else:
            ready, verb = self._form.ask is not None, tr("Continue")
        self.go.setEnabled(ready and not self._checking)
        self.go.setText(tr("Checking…") if self._checking else verb)

    def _show_problem(self, problem: UserFacingError) -> None:
        self.problem.say(str(problem))
        self.problem.show()
        self.turned.emit()

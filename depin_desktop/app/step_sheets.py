"""What a step's dialog shows after its form: the review with the password, and the progress with the receipt."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from depin_desktop.api.wallet import Look
from depin_desktop.app.orders import Stage
from depin_desktop.app.presenters import step_reviews as say
from depin_desktop.app.widgets.banner import Banner
from depin_desktop.app.widgets.buttons import Button
from depin_desktop.app.widgets.card import Card, Icon, Rule
from depin_desktop.app.widgets.fields import PasswordField
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import grouped_address, tr


class FactGrid(QGridLayout):
    """Names at the left, values at the right of them."""

    def __init__(self) -> None:
        super().__init__()
        self.setHorizontalSpacing(16)
        self.setVerticalSpacing(6)
        self.setColumnStretch(1, 1)
        self._texts: list[Text] = []

    def show_facts(self, facts: Sequence[say.Fact]) -> None:
        for text in self._texts:
            self.removeWidget(text)
            text.hide()
            text.deleteLater()
        self._texts = []
        for row, fact in enumerate(facts):
            name = Text(fact.name, "secondary", "muted")
            value = Text(fact.value, "body", elide=Qt.TextElideMode.ElideMiddle)
            value.say(fact.value, tip=fact.tip)
            value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self.addWidget(name, row, 0)
            self.addWidget(value, row, 1)
            self._texts += [name, value]


class ReviewSheet(QWidget):
    """What will happen, what to know about it, and the password that signs it."""

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        self._card = Card(spacing=10)
        self._to = QWidget()
        to = QHBoxLayout(self._to)
        to.setContentsMargins(0, 0, 0, 0)
        to.setSpacing(16)
        to.addWidget(Text(tr("To"), "secondary", "muted"), 0, Qt.AlignmentFlag.AlignTop)
        self.groups = Text("", "code")
        self.groups.setAlignment(Qt.AlignmentFlag.AlignRight)
        to.addWidget(self.groups, 1)
        self.facts = FactGrid()
        self._card.body.addWidget(self._to)
        self._card.body.addLayout(self.facts)
        self.warning = Banner()
        self.password = PasswordField()
        self._hint = Text(tr("It unlocks the wallet for this one step."), "caption", "faint", wrap=True)
        below = QVBoxLayout()
        below.setSpacing(6)
        below.addWidget(self.password)
        below.addWidget(self._hint)
        column.addWidget(self._card)
        column.addWidget(self.warning)
        column.addLayout(below)

    def show_look(self, look: Look, facts: Sequence[say.Fact], warnings: Sequence[str]) -> None:
        groups = grouped_address(look.to)
        half = len(groups) // 2
        self.groups.say(f"0x  {'  '.join(groups[:half])}\n{'  '.join(groups[half:])}" if groups else "", tip=look.to)
        self._to.setVisible(bool(groups))
        self.facts.show_facts(facts)
        self.warning.say("", "\n".join(warnings))
        self.warning.setVisible(bool(warnings))


class ProgressSheet(QWidget):
    """How far it is, and in the end its receipt. Signals: `copied(text)`."""

    copied = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        self.headline = Text("", "reading", wrap=True)
        self.headline.hide()
        card = Card(spacing=10)
        self._icons: list[Icon] = []
        self.stages: list[Text] = []
        for stage in say.STAGES:
            row = QHBoxLayout()
            row.setSpacing(10)
            icon, text = Icon("clock", "faint"), Text(tr(stage), "body", "muted")
            row.addWidget(icon)
            row.addWidget(text, 1)
            card.body.addLayout(row)
            self._icons.append(icon)
            self.stages.append(text)
        self.facts = FactGrid()
        self._rule = Rule()
        self._rule.hide()
        card.body.addWidget(self._rule)
        card.body.addLayout(self.facts)
        self._sent = QWidget()
        sent = QHBoxLayout(self._sent)
        sent.setContentsMargins(0, 0, 0, 0)
        sent.setSpacing(16)
        sent.addWidget(Text(tr("Transaction"), "secondary", "muted"))
        self.transaction = Text("", "code", elide=Qt.TextElideMode.ElideMiddle)
        self.transaction.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        sent.addWidget(self.transaction, 1)
        self.copy = Button(tr("Copy"), "small", icon="copy", name=tr("Copy the transaction’s hash"))
        self.copy.clicked.connect(lambda: self.copied.emit(self.transaction.text()))
        sent.addWidget(self.copy)
        self._sent.hide()
        card.body.addWidget(self._sent)
        column.addWidget(self.headline)
        column.addWidget(card)

    def show_stage(self, stage: Stage, transaction: str) -> None:
        """`stage` is the one under way; those before it are done."""
        reached = {Stage.DONE: len(self.stages), Stage.REFUSED: 2 if transaction else 0}.get(stage, int(stage))
        for index, (icon, text) in enumerate(zip(self._icons, self.stages, strict=True)):
            if index < reached:
                icon.show_icon("check", "accent")
                text.say(text.text(), "text")
            elif stage is Stage.REFUSED and index == reached:
                icon.show_icon("fault", "fault")
                text.say(text.text(), "text")
            else:
                icon.show_icon("clock", "text" if index == reached else "faint")
                text.say(text.text(), "text" if index == reached else "muted")
        self.transaction.say(transaction)
        self._sent.setVisible(bool(transaction))
        self._rule.setVisible(bool(transaction))

    def show_done(self, headline: str, facts: Sequence[say.Fact]) -> None:
        self.headline.say(headline)
        self.headline.show()
        self.facts.show_facts(facts)

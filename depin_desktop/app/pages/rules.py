"""The owner's controls: groups of rules, each with its effect on this machine under it, and the week they leave."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from depin_desktop.app.fonts import font
from depin_desktop.app.known import Known
from depin_desktop.app.pages.base import GAP, ComputeActions
from depin_desktop.app.presenters import hours
from depin_desktop.app.presenters import rules as say
from depin_desktop.app.widgets.amount import AmountSlider
from depin_desktop.app.widgets.banner import EmptyState
from depin_desktop.app.widgets.card import Card, CardHead, Icon
from depin_desktop.app.widgets.switch import Switch
from depin_desktop.app.widgets.text import Text, plain_tip
from depin_desktop.app.widgets.week import Week
from depin_desktop.app.words import tr
from depin_desktop.core.errors import UserFacingError

TWO_COLUMNS_PX = 860
TITLE_PX = 156
GROUPS = 4


class RuleRow(QWidget):
    """One rule: its name, its control, and what it does. The control's shape is that of the rule it was made for."""

    def __init__(self, rule: say.Rule, actions: ComputeActions) -> None:
        super().__init__()
        self._rule, self._actions = rule, actions
        self.title = Text(rule.title, "body")
        self.title.setFixedWidth(TITLE_PX)
        self.effect = Text("", "caption", "muted", wrap=True)
        self.switch = Switch(rule.title) if rule.on is not None else None
        self.amount: AmountSlider | None = None
        self.field: QLineEdit | None = None
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self.title)
        if rule.amount is not None:
            unit = rule.amount.unit
            self.amount = AmountSlider(
                rule.title, partial(say.say_amount, unit=unit), partial(say.read_amount, unit=unit), field_px=84
            )
            self.amount.chosen.connect(self._measured)
            row.addWidget(self.amount, 1)
        elif rule.text is not None:
            self.field = self._made_field(rule)
            row.addWidget(self.field, 1)
        else:
            row.addStretch(1)
        if self.switch is not None:
            self.switch.clicked.connect(self._switched)
            row.addWidget(self.switch)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self.effect)

    def _made_field(self, rule: say.Rule) -> QLineEdit:
        field = QLineEdit()
        field.setProperty("compact", True)
        field.setFont(font("secondary"))
        field.setAccessibleName(rule.title)
        field.setPlaceholderText(rule.hint)
        field.editingFinished.connect(self._written)
        return field

    @property
    def controls(self) -> list[QWidget]:
        """What can have the focus, in order."""
        amount: list[QWidget] = [self.amount.slider, self.amount.field] if self.amount else []
        return [*amount, *([self.field] if self.field else []), *([self.switch] if self.switch else [])]

    def show_rule(self, rule: say.Rule, live: bool) -> None:
        self._rule = rule
        self.title.say(rule.title)
        if self.switch is not None:
            self.switch.show_state(bool(rule.on), enabled=live, tip=rule.effect.text)
        if self.amount is not None and rule.amount is not None:
            choice = rule.amount
            self.amount.offer(
                choice.smallest, choice.largest, choice.step, choice.value, enabled=live and rule.on is not False
            )
        if self.field is not None:
            self.field.setEnabled(live)
            if self.field.isModified():
                return  # somebody is writing, or what was written is not understood and stays to be mended
            if self.field.text() != (rule.text or ""):
                self.field.setText(rule.text or "")
        self.effect.say(rule.effect.text, rule.effect.tone, rule.effect.tip)

    def _switched(self, on: bool) -> None:
        self._actions.change_rules(lambda wishes: say.switched(wishes, self._rule, on))

    def _measured(self, value: int) -> None:
        if self._rule.amount is not None and value != self._rule.amount.value:
            self._actions.change_rules(lambda wishes: say.measured(wishes, self._rule, value))

    def _written(self) -> None:
        assert self.field is not None
        if not self.field.isModified():
            return
        text = self.field.text()
        try:
            self._actions.change_rules(lambda wishes: say.written(wishes, self._rule, text))
        except UserFacingError as problem:
            self._mark(str(problem))
            self.effect.say(str(problem), "fault")
            return
        self.field.setModified(False)
        self._mark("")

    def _mark(self, problem: str) -> None:
        assert self.field is not None
        self.field.setToolTip(plain_tip(problem))
        self.field.setProperty("invalid", bool(problem))
        self.field.style().unpolish(self.field)
        self.field.style().polish(self.field)


class GroupCard(Card):
    """The rules that answer one question."""

    def __init__(self, actions: ComputeActions) -> None:
        super().__init__(spacing=14)
        self._actions = actions
        self.icon = Icon("info", "text")
        self.title = Text("", "heading")
        head = QHBoxLayout()
        head.setSpacing(10)
        head.addWidget(self.icon)
        head.addWidget(self.title, 1)
        self.rows: dict[str, RuleRow] = {}
        self._column = QVBoxLayout()
        self._column.setSpacing(12)
        self.body.addLayout(head)
        self.body.addLayout(self._column)
        self.body.addStretch(1)

    def show_group(self, group: say.Group, live: bool) -> bool:
        """Whether rows have come or gone."""
        self.icon.show_icon(group.icon, "text")
        self.title.say(group.title)
        self.setAccessibleName(group.title)
        changed = [rule.key for rule in group.rules] != list(self.rows)
        if changed:
            self._rebuild(group.rules)
        for rule in group.rules:
            self.rows[rule.key].show_rule(rule, live)
        return changed

    def _rebuild(self, rules: Sequence[say.Rule]) -> None:
        """Rules come and go with cards and with other rules; those that stay keep their widgets."""
        before, self.rows = self.rows, {}
        for row in before.values():
            self._column.removeWidget(row)
        for rule in rules:
            row = before.pop(rule.key) if rule.key in before else RuleRow(rule, self._actions)
            self.rows[rule.key] = row
            self._column.addWidget(row)
        for row in before.values():
            row.hide()
            row.deleteLater()


class RulesView(QWidget):
    """All groups, in two columns where there is room, and what this computer cannot tell."""

    def __init__(self, actions: ComputeActions) -> None:
        super().__init__()
        self._columns = 0
        self.waiting = Card()
        self.waiting.body.addWidget(EmptyState("settings", tr("Reading…"), tr("The engine has not told yet.")))
        self.cards = [GroupCard(actions) for _ in range(GROUPS)]
        self.week, self.week_words = Week(), Text("", "caption", "muted", wrap=True)
        self.cards[-1].body.insertWidget(2, self.week)
        self.cards[-1].body.insertWidget(3, self.week_words)
        self.unknown = Card(spacing=4)
        self.unknown_words = Text("", "secondary", "muted", wrap=True)
        self.unknown.body.addWidget(CardHead(tr("What this computer does not tell"), "info"))
        self.unknown.body.addWidget(self.unknown_words)
        self._grid_host = QWidget()
        self._grid = QGridLayout(self._grid_host)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(GAP)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addWidget(self.waiting)
        column.addWidget(self._grid_host)
        column.addWidget(self.unknown)
        column.addStretch(1)
        self.arrange(TWO_COLUMNS_PX)

    def minimumSizeHint(self) -> QSize:
        return QSize(400, super().minimumSizeHint().height())

    def arrange(self, width: int) -> None:
        columns = 2 if width >= TWO_COLUMNS_PX else 1
        if columns == self._columns:
            return
        self._columns = columns
        for index, card in enumerate(self.cards):
            self._grid.removeWidget(card)
            self._grid.addWidget(card, index // columns, index % columns)
        self._grid.setColumnStretch(0, 1)
        self._grid.setColumnStretch(1, 1 if columns == 2 else 0)

    @property
    def controls(self) -> list[QWidget]:
        """What can have the focus, in reading order."""
        return [control for card in self.cards for row in card.rows.values() for control in row.controls]

    def show_rules(self, known: Known, after: QWidget) -> None:
        """Shows the rules; Tab reaches them from the control `after`."""
        controls = known.controls
        self.waiting.setVisible(controls is None)
        self._grid_host.setVisible(controls is not None)
        self.unknown.setVisible(controls is not None and bool(controls.unknown))
        if controls is None:
            return
        groups = say.groups(controls, known.inventory)
        changes = [card.show_group(group, known.link.live) for card, group in zip(self.cards, groups, strict=True)]
        if any(changes):
            # Rows that were made later must not be reached after what stands below them.
            for first, second in pairwise([after, *self.controls]):
                QWidget.setTabOrder(first, second)
        cells = hours.week(controls.wishes)
        summary = hours.week_summary(cells)
        self.week.show_hours(cells, summary)
        self.week_words.say(summary)
        self.unknown_words.say("\n".join(controls.unknown))

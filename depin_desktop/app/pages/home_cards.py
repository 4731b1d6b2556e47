"""The cards of Home."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from depin_desktop.api.models import Inventory
from depin_desktop.app.presenters import home as say
from depin_desktop.app.presenters.machine import Row
from depin_desktop.app.widgets.banner import EmptyState
from depin_desktop.app.widgets.card import Card, CardHead, Icon, Rule
from depin_desktop.app.widgets.figure import Figure, Labelled
from depin_desktop.app.widgets.plot import Plot
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import age, full_time, tr
from depin_desktop.core.units import format_tokens

ELIDE = Qt.TextElideMode.ElideRight


class EarningsCard(Card):
    """The one big number, its history below."""

    def __init__(self) -> None:
        super().__init__(spacing=4)
        self.setMinimumHeight(236)
        self.today = Figure("number", "body")
        self.total = Labelled(tr("In total"), right=True)
        self.pending = Labelled(tr("Pending"), right=True)
        left = QVBoxLayout()
        left.setSpacing(0)
        left.addWidget(Text(tr("Earned today"), "secondary", "muted"))
        left.addWidget(self.today)
        row = QHBoxLayout()
        row.setSpacing(28)
        row.addLayout(left, 1)
        row.addWidget(self.pending, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.total, 0, Qt.AlignmentFlag.AlignTop)
        self.note = Text("", "caption", "muted", elide=ELIDE)
        self._points: list[tuple[float, float]] = []
        self._symbol = ""
        self.plot = Plot(
            0,
            tick=lambda at: say.span_label(self._points, at),
            tell=self._tell,
            empty=tr("Earnings appear here once the first proof is paid."),
            height=96,
        )
        self.body.addLayout(row)
        self.body.addWidget(self.note)
        self.body.addSpacing(6)
        self.body.addWidget(self.plot, 1)

    def _tell(self, at: float, tokens: float) -> str:
        return f"{format_tokens(round(tokens * 1e18))} {self._symbol} · {full_time(at)}"

    def show_view(self, view: say.Earnings, points: list[tuple[float, float]], symbol: str) -> None:
        self.today.say(view.today or "–", view.unit, tip=view.today_tip)
        self.total.figure.say(view.total or "–", tip=view.total_tip)
        self.pending.figure.say(view.pending or "–", tip=view.pending_tip)
        self.note.say(view.note.text, view.note.tone)
        self._points, self._symbol = points, symbol
        self.plot.show_points(points, self.note.text())


class MachineCard(Card):
    """What this machine has; rows come and go with the hardware."""

    def __init__(self) -> None:
        super().__init__(spacing=6)
        self.head = CardHead(tr("This machine"), "machine")
        self.taken = Text("", "caption", "faint")
        self.head.add_right(self.taken)
        self.body.addWidget(self.head)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(7)
        self._grid.setColumnStretch(1, 1)
        self.body.addLayout(self._grid)
        self._rows: list[tuple[Icon, Text, Text]] = []
        self.waiting = EmptyState(
            "chip", tr("Looking around…"), tr("Disks, graphics, sensors and network appear here.")
        )
        self.body.addWidget(self.waiting, 1)
        self.body.addStretch(0)

    def show_rows(self, rows: list[Row], inventory: Inventory | None, now: float) -> None:
        self.waiting.setVisible(not rows)
        if inventory is not None:
            self.taken.say(
                age(now, inventory.taken_at),
                tip=f"{inventory.hostname}, {inventory.system}\n{full_time(inventory.taken_at)}",
            )
        while len(self._rows) < len(rows):
            self._add_row()
        for index, (icon, title, detail) in enumerate(self._rows):
            used = index < len(rows)
            for widget in (icon, title, detail):
                widget.setVisible(used)
            if used:
                row = rows[index]
                icon.show_icon(row.icon, row.tone)
                title.say(row.title, tip=row.tip)
                detail.say(row.detail, row.tone, row.tip)

    def _add_row(self) -> None:
        at = len(self._rows)
        icon, title = Icon("chip"), Text("", "secondary", elide=ELIDE)
        detail = Text("", "caption", "muted", elide=ELIDE)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(title)
        words.addWidget(detail)
        self._grid.addWidget(icon, at, 0, Qt.AlignmentFlag.AlignVCenter)
        self._grid.addLayout(words, at, 1)
        self._rows.append((icon, title, detail))


class _ActivityRow(QWidget):
    """Time, title, detail and amount; the amount is beside the title, or below it where the title needs the room."""

    HEIGHT = 57

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.time = Text("", "caption", "muted")
        self.time.setFixedWidth(52)
        self.title = Text("", "body", elide=ELIDE)
        self.detail = Text("", "caption", "muted", elide=ELIDE)
        self.amount = Text("", "strong")
        self._below: bool | None = None
        self._words = QGridLayout()
        self._words.setHorizontalSpacing(8)
        self._words.setVerticalSpacing(1)
        self._words.setColumnStretch(0, 1)
        self._words.setRowStretch(2, 1)
        row = QHBoxLayout()
        row.setSpacing(0)
        row.addWidget(self.time, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(self._words, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(0)
        column.addLayout(row, 1)
        self.rule = Rule()
        column.addWidget(self.rule)

    def arrange(self) -> None:
        """Finds the amount's place for the present width and texts."""
        needed = self.title.sizeHint().width() + self.amount.sizeHint().width() + 8
        below = bool(self.amount.text()) and needed > self.width() - self.time.width()
        if below == self._below:
            return
        self._below = below
        for widget in (self.title, self.detail, self.amount):
            self._words.removeWidget(widget)
        self._words.addWidget(self.title, 0, 0, 1, 2 if below else 1)
        self._words.addWidget(self.detail, 1, 0, 1, 1 if below else 2)
        self._words.addWidget(self.amount, 1 if below else 0, 1)


class ActivityList(QWidget):
    """Shows as many rows, the newest first, as there is room for."""

    LEAST = 3

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[_ActivityRow] = []
        self._used = 0
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def minimumSizeHint(self) -> QSize:
        return QSize(180, _ActivityRow.HEIGHT * min(self.LEAST, max(1, self._used)))

    def sizeHint(self) -> QSize:
        return QSize(240, self.minimumSizeHint().height())

    def show_rows(self, rows: list[say.ActivityRow]) -> None:
        while len(self._rows) < len(rows):
            self._rows.append(_ActivityRow(self))
        for row, entry in zip(self._rows, rows, strict=False):
            row.time.say(entry.time, tip=entry.time_tip)
            row.title.say(entry.title, entry.tone)
            row.detail.say(entry.detail)
            row.amount.say(entry.amount)
            row.setAccessibleName(" ".join((entry.time, entry.title, entry.detail, entry.amount)))
        if len(rows) != self._used:
            self._used = len(rows)
            self.updateGeometry()
        self._place()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._place()

    def _place(self) -> None:
        fits = max(1, self.height() // _ActivityRow.HEIGHT)
        shown = min(fits, self._used)
        for index, row in enumerate(self._rows):
            row.setVisible(index < shown)
            row.rule.setVisible(index < shown - 1)
            row.setGeometry(0, index * _ActivityRow.HEIGHT, self.width(), _ActivityRow.HEIGHT)
            row.arrange()


class ActivityCard(Card):
    """What is happening now."""

    def __init__(self) -> None:
        super().__init__(spacing=2)
        self.head = CardHead(tr("Just now"))
        self.list = ActivityList()
        self.empty = EmptyState(
            "info", tr("Quiet so far"), tr("Pieces, proofs and payments appear here as they happen.")
        )
        self.body.addWidget(self.head)
        self.body.addWidget(self.list, 1)
        self.body.addWidget(self.empty, 1)
        self.list.hide()

    def show_rows(self, rows: list[say.ActivityRow], *, loading: bool) -> None:
        self.list.setVisible(bool(rows))
        self.empty.setVisible(not rows)
        if loading:
            self.empty.say(tr("Reading…"), tr("The engine has not told yet."))
        else:
            self.empty.say(tr("Quiet so far"), tr("Pieces, proofs and payments appear here as they happen."))
        self.list.show_rows(rows)

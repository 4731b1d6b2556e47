"""The cards of Home for what earns, each in short, or how to begin."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from depin_desktop.api.models import RatePoint
from depin_desktop.app.presenters import home as say
from depin_desktop.app.presenters.storage import Proofs
from depin_desktop.app.widgets.banner import EmptyState
from depin_desktop.app.widgets.buttons import Button
from depin_desktop.app.widgets.card import Card, CardHead, Rule
from depin_desktop.app.widgets.figure import Figure
from depin_desktop.app.widgets.plot import Plot, ProofBars
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import Words, clock, tr
from depin_desktop.core.units import format_rate

ELIDE = Qt.TextElideMode.ElideRight
KINDS = ("loading", "empty", "filled")


class ServiceCard(Card):
    """Today's earnings, two lines, a plot, a row of bars, and a last line. Signals: `begin()`, `manage()`."""

    begin = Signal()
    manage = Signal()

    def __init__(self, name: str, icon: str, plot: Plot, empty: EmptyState) -> None:
        super().__init__()
        self.head = CardHead(name, icon)
        self.open = Button(tr("Manage"), "link", name=tr("Open the {name} page", name=name))
        self.open.clicked.connect(self.manage)
        self.head.add_right(self.open)
        self.today = Figure("figure", "body")
        self.lines = [Text("", "secondary", "muted", elide=ELIDE) for _ in range(2)]
        self.plot = plot
        self.plot.setMaximumHeight(170)
        self.caption = Text("", "caption", "muted", elide=ELIDE)
        self.bars = ProofBars()
        self.bars.setFixedHeight(42)
        self.bars_caption = Text("", "caption", "muted", elide=ELIDE)
        self.foot = Text("", "caption", "muted", elide=ELIDE)
        self.empty = empty
        self.empty.pressed.connect(self.begin)
        loading = EmptyState(icon, tr("Reading…"), tr("The engine has not told yet."))
        self._stack = QStackedWidget()
        for page in (loading, self.empty, self._filled()):
            self._stack.addWidget(page)
        self.body.addWidget(self.head)
        self.body.addWidget(self._stack, 1)

    def _filled(self) -> QWidget:
        filled = QWidget()
        column = QVBoxLayout(filled)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.today)
        for line in self.lines:
            column.addWidget(line)
        column.addSpacing(4)
        column.addWidget(self.plot, 1)
        column.addWidget(self.caption)
        column.addSpacing(8)
        column.addWidget(self.bars)
        column.addWidget(self.bars_caption)
        column.addSpacing(4)
        column.addWidget(Rule())
        column.addWidget(self.foot)
        return filled

    @property
    def invites(self) -> bool:
        """Whether the card shows how to begin, with its button."""
        return self._stack.currentIndex() == KINDS.index("empty")

    def _show(self, kind: str, pill: Words, live: bool) -> bool:
        """Chooses the face; whether it is the filled one."""
        self.head.pill.say(pill.text, pill.tone, pill.tip)
        self._stack.setCurrentIndex(KINDS.index(kind))
        self.open.setVisible(kind == "filled")
        self.empty.button.setEnabled(live)
        return kind == "filled"

    def _say(self, today: str, symbol: str, lines: Sequence[str], foot: Words) -> None:
        self.today.say(today, tr("{symbol} today", symbol=symbol))
        for label, text in zip(self.lines, lines, strict=True):
            label.say(text)
        self.foot.say(foot.text, foot.tone, foot.tip)


class StorageCard(ServiceCard):
    """Storage: its transfers and its proofs."""

    def __init__(self) -> None:
        super().__init__(
            tr("Storage"),
            "storage",
            Plot(0, tell=_rate_and_time, empty=tr("No transfers yet"), height=56),
            EmptyState(
                "folder",
                tr("Nothing is shared yet"),
                tr(
                    "Choose a folder and a size. Customers’ data fills it, encrypted, and every proof "
                    "that it is still there pays."
                ),
                tr("Share a folder…"),
            ),
        )

    def show_view(
        self, view: say.StorageCard, rates: Sequence[RatePoint], proofs: Proofs, symbol: str, live: bool
    ) -> None:
        if not self._show(view.kind, view.pill, live):
            return
        self._say(view.today, symbol, view.lines, view.foot)
        self.plot.show_points([(point.at, point.received + point.sent) for point in rates])
        self.caption.say(tr("In and out since {time}", time=clock(rates[0].at)) if len(rates) > 1 else "")
        self.bars.show_bars(proofs.bars, proofs.sentence)
        self.bars_caption.say(tr("Proofs: {good} {of}", good=proofs.proven, of=proofs.of) if proofs.bars else "")


class ComputeCard(ServiceCard):
    """Compute: its load and its jobs."""

    def __init__(self) -> None:
        super().__init__(
            tr("Compute"),
            "chip",
            Plot(1, tell=_load_and_time, empty=tr("Its load appears here."), height=56, top=100.0),
            EmptyState(
                "chip",
                tr("Compute is not shared"),
                tr("Let models and small programs of others run here, closed off and within your rules."),
                tr("Share compute"),
            ),
        )

    def show_view(self, view: say.ComputeCard, symbol: str, live: bool) -> None:
        if not self._show(view.kind, view.pill, live):
            return
        self._say(view.today, symbol, view.lines, view.foot)
        self.plot.show_points(view.loads)
        self.caption.say(tr("Load since {time}", time=clock(view.loads[0][0])) if len(view.loads) > 1 else "")
        self.bars.show_bars(view.bars, tr("No job has ended yet."))
        self.bars_caption.say(view.bars_caption)


def _rate_and_time(at: float, rate: float) -> str:
    return f"{format_rate(rate)} · {clock(at)}"


def _load_and_time(at: float, percent: float) -> str:
    return f"{round(percent)} % · {clock(at)}"

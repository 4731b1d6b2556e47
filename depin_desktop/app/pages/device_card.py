"""One processor or card: its readings, its load over the last minutes, what it earned; and the card of all earnings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout

from depin_desktop.app.presenters import compute as say
from depin_desktop.app.widgets.card import Card, CardHead, Rule
from depin_desktop.app.widgets.figure import Figure, Labelled
from depin_desktop.app.widgets.plot import Plot
from depin_desktop.app.widgets.switch import Switch
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import clock, tr

ELIDE = Qt.TextElideMode.ElideRight
PLOT_PX = 44


class DeviceCard(Card):
    """A card for what can compute; `use(on)` is called when its owner switches a graphics card."""

    def __init__(self, use: Callable[[bool], None], series: int) -> None:
        super().__init__(spacing=8)
        self.head = CardHead("", "chip" if series == 0 else "gpu")
        self.switch = Switch("")
        self.switch.clicked.connect(lambda on: use(on))
        self.switch.hide()
        self.head.add_right(self.switch)
        self.readings = [Labelled("", role="reading", small=True) for _ in range(4)]
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        for column, reading in enumerate(self.readings):
            grid.addWidget(reading, 0, column)
            grid.setColumnStretch(column, 3 if column == 1 else 2)  # memory has the longest unit
        self.plot = Plot(series, tell=self._tell, empty=tr("Its load appears here."), height=PLOT_PX, top=100.0)
        self.note = Text("", "caption", "muted", wrap=True)
        self.earned = Text("", "caption", "muted", elide=ELIDE)
        self.body.addWidget(self.head)
        self.body.addLayout(grid)
        self.body.addWidget(self.plot, 1)
        self.body.addWidget(self.note)
        self.body.addWidget(Rule())
        self.body.addWidget(self.earned)

    @staticmethod
    def _tell(at: float, percent: float) -> str:
        return f"{round(percent)} % · {clock(at)}"

    def show_device(self, view: say.DeviceView, loads: Sequence[tuple[float, float]]) -> None:
        self.head.title.say(view.name, tip=view.full_name)
        self.head.pill.say(view.pill.text, view.pill.tone, view.pill.tip)
        for label, reading in zip(self.readings, view.readings, strict=True):
            label.name.say(reading.name, tip=reading.tip)
            label.figure.say(reading.value, reading.unit, tip=reading.tip)
        self.plot.show_points(loads, f"{view.readings[0].value} {view.readings[0].unit}")
        self.note.setVisible(bool(view.note.text))
        self.note.say(view.note.text, view.note.tone, view.note.tip)
        self.earned.say(view.earned.text, view.earned.tone, view.earned.tip)
        self.switch.setVisible(view.use is not None)
        if view.use is not None:
            self.switch.setAccessibleName(view.use.label)
            self.switch.show_state(view.use.on, enabled=view.use.enabled, tip=view.use.tip)
        readings = ", ".join(f"{reading.name} {reading.value} {reading.unit}".strip() for reading in view.readings)
        self.setAccessibleName(f"{view.full_name}, {view.pill.text}, {readings}")


class EarnedCard(Card):
    """The one big number of the page."""

    def __init__(self) -> None:
        super().__init__(spacing=4)
        self.today = Figure("number", "body")
        self.total, self.jobs, self.now = (
            Labelled(name, role="reading", small=True) for name in (tr("In total"), tr("Jobs done"), tr("Jobs now"))
        )
        self.note = Text("", "caption", "muted", wrap=True)
        top = QVBoxLayout()
        top.setSpacing(0)
        top.addWidget(Text(tr("Earned today by computing"), "secondary", "muted"))
        top.addWidget(self.today)
        row = QHBoxLayout()
        row.setSpacing(16)
        for label in (self.total, self.jobs, self.now):
            row.addWidget(label, 1)
        self.body.addLayout(top)
        self.body.addStretch(1)
        self.body.addLayout(row)
        self.body.addStretch(1)
        self.body.addWidget(Rule())
        self.body.addSpacing(4)
        self.body.addWidget(self.note)

    def show_view(self, view: say.EarnedView) -> None:
        self.today.say(view.today, view.unit, tip=view.today_tip)
        self.total.figure.say(view.total, tip=view.total_tip)
        self.jobs.figure.say(view.jobs)
        self.now.figure.say(view.now, view.waiting)
        self.note.say(view.note.text, view.note.tone, view.note.tip)

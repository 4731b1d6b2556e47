"""The first run: makes the wallet and joins a network, in one form."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QCloseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from depin_desktop.app.cli_process import depin
from depin_desktop.app.loop import Jobs
from depin_desktop.app.presenters.first_run import judge
from depin_desktop.app.theme import colour
from depin_desktop.app.widgets.buttons import Button
from depin_desktop.app.widgets.card import Card
from depin_desktop.app.widgets.fields import Field, PasswordField, PathRow
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import tr
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home

LEVEL_TONES = ("track", "warning", "info", "accent")


class _Meter(QWidget):
    """Three steps; the words beside it say the same."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(4)
        self.level = 0

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        width = (self.width() - 8) / 3
        for step in range(3):
            painter.setBrush(colour(LEVEL_TONES[self.level] if step < self.level else "track"))
            painter.drawRoundedRect(QRectF(step * (width + 4), 0, width, 4), 2, 2)


class FirstRun(QWidget):
    """Signals: `done()` when the home is ready, `closing()` when its owner leaves."""

    done = Signal()
    closing = Signal()

    def __init__(self, home: Home, network_file: str = "") -> None:
        super().__init__()
        self._home = home
        self.jobs = Jobs(self._refused)
        self.setWindowTitle(tr("Welcome to DePIN Desktop"))
        self.resize(QSize(900, 700))
        self.setMinimumSize(QSize(620, 640))
        self.network = Field(tr("Network file"))
        self.network.setText(network_file)
        self.network_row = PathRow(
            self.network, tr("Choose a network file"), files=tr("Network files (*.json);;All files (*)")
        )
        self.password, self.again = PasswordField(tr("Password")), PasswordField(tr("Password, again"))
        for field in (self.network, self.password, self.again):
            field.setPlaceholderText("")  # their names stand above them
            field.textChanged.connect(self._judge)
        self.meter = _Meter()
        self.strength = Text("", "caption", "muted")
        self.match = Text("", "caption", "fault")
        self.problem = Text("", "secondary", "fault", wrap=True)
        self.problem.hide()
        self.go = Button(tr("Make my wallet"), "filled")
        self.go.setDefault(True)
        self.go.clicked.connect(self._go)
        self.again.returnPressed.connect(self._go)
        self._lay_out()
        self._judge()
        (self.password if network_file else self.network).setFocus()

    def _lay_out(self) -> None:
        card = Card(padding=28, spacing=8)
        card.setFixedWidth(480)
        card.body.addWidget(Text(tr("Welcome"), "title"))
        card.body.addWidget(
            Text(
                tr(
                    "Two things, and this machine can earn: the network to join, and a password for "
                    "the wallet that is made here."
                ),
                "secondary",
                "muted",
                wrap=True,
            )
        )
        card.body.addSpacing(8)
        card.body.addWidget(Text(tr("Network file"), "strong"))
        card.body.addLayout(self.network_row)
        card.body.addWidget(
            Text(tr("From whoever runs your network, or from `depin localnet up`."), "caption", "faint", wrap=True)
        )
        card.body.addSpacing(8)
        card.body.addWidget(Text(tr("Password"), "strong"))
        card.body.addWidget(self.password)
        card.body.addWidget(self.meter)
        card.body.addWidget(self.strength)
        card.body.addWidget(Text(tr("Password, again"), "strong"))
        card.body.addWidget(self.again)
        card.body.addWidget(self.match)
        card.body.addWidget(
            Text(
                tr(
                    "It encrypts the wallet on this disk, and nobody can reset it. It is asked for "
                    "when money or stake moves, not while this machine earns."
                ),
                "caption",
                "muted",
                wrap=True,
            )
        )
        card.body.addWidget(self.problem)
        card.body.addSpacing(8)
        card.body.addWidget(self.go)
        column = QVBoxLayout(self)
        column.addStretch(1)
        column.addWidget(card, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(1)

    def _judge(self) -> None:
        form = judge(self.network.text(), self.password.text(), self.again.text())
        self.strength.say(form.strength.text, form.strength.tone)
        self.match.say(form.match.text, form.match.tone)
        if form.level != self.meter.level:
            self.meter.level = form.level
            self.meter.update()
        self.go.setEnabled(form.can_go)

    def _go(self) -> None:
        if self.go.isEnabled():
            self._busy(True)
            self.jobs.spawn("make the wallet", self._make(self.network.text().strip(), self.password.text()))

    def _busy(self, busy: bool) -> None:
        for widget in (self.network, self.password, self.again, self.network_row.browse):
            widget.setEnabled(not busy)
        self.go.setText(tr("Making your wallet…") if busy else tr("Make my wallet"))
        self.problem.hide()
        if busy:
            self.go.setEnabled(False)
        else:
            self._judge()

    async def _make(self, network_file: str, password: str) -> None:
        await depin(self._home, "init", "--network", network_file, "--password-stdin", password=password)
        self.password.clear()
        self.again.clear()
        self.done.emit()

    def _refused(self, problem: UserFacingError) -> None:
        self._busy(False)
        self.problem.say(str(problem))
        self.problem.show()

    def paintEvent(self, event: QPaintEvent) -> None:
        QPainter(self).fillRect(self.rect(), colour("background"))

    def closeEvent(self, event: QCloseEvent) -> None:
        event.ignore()
        self.closing.emit()

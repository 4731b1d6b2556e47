"""The hours of a week at a glance: a row a day, a cell an hour, and what each of them is on hover."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetricsF, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from depin_desktop.app.fonts import font
from depin_desktop.app.theme import colour
from depin_desktop.app.words import tr

ROW, GAP, NAMES_PX, HEAD = 12, 2, 34, 16
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
KINDS = {
    "allowed": "work may run",
    "outside": "outside the hours for work",
    "quiet": "quiet hours",
    "expensive": "costly electricity",
}


class Week(QWidget):
    """Shown, not edited: the fields beside it are where hours are written."""

    def __init__(self) -> None:
        super().__init__()
        self._hours: Sequence[Sequence[str]] = ()
        self.setMouseTracking(True)
        self.setMinimumSize(QSize(240, HEAD + 7 * (ROW + GAP)))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_hours(self, hours: Sequence[Sequence[str]], summary: str) -> None:
        """Seven days of 24 kinds each, Monday first."""
        if hours != self._hours:
            self._hours = hours
            self.setAccessibleName(summary)
            self.update()

    def _cell(self, day: int, hour: int) -> QRectF:
        width = (self.width() - NAMES_PX) / 24
        return QRectF(NAMES_PX + hour * width, HEAD + day * (ROW + GAP), width - 1.5, ROW)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(font("caption"))
        metrics = QFontMetricsF(font("caption"))
        painter.setPen(colour("faint"))
        for hour in (0, 6, 12, 18):
            painter.drawText(QPointF(self._cell(0, hour).left(), metrics.ascent()), f"{hour:02}")
        for day, kinds in enumerate(self._hours):
            painter.setPen(colour("muted"))
            middle = self._cell(day, 0).center().y() + metrics.capHeight() / 2
            painter.drawText(QPointF(0, middle), tr(DAYS[day]))
            for hour, kind in enumerate(kinds):
                self._paint_hour(painter, self._cell(day, hour), kind)

    @staticmethod
    def _paint_hour(painter: QPainter, cell: QRectF, kind: str) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("accent", 0.75) if kind == "allowed" else colour("track"))
        painter.drawRoundedRect(cell, 2, 2)
        if kind in ("quiet", "expensive"):
            # A stroke as well as a colour: falling for quiet, rising for costly.
            painter.setPen(QPen(colour("info" if kind == "quiet" else "warning"), 1.4))
            ends = (cell.topLeft(), cell.bottomRight()) if kind == "quiet" else (cell.bottomLeft(), cell.topRight())
            painter.drawLine(*ends)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.setToolTip(self.told(event.position()))

    def told(self, at: QPointF) -> str:
        """What the hour under a point is."""
        for day, kinds in enumerate(self._hours):
            for hour, kind in enumerate(kinds):
                if self._cell(day, hour).contains(at):
                    return f"{tr(DAYS[day])} {hour:02}:00 – {hour + 1:02}:00: {tr(KINDS[kind])}"
        return ""

"""How far something is that takes its time."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from depin_desktop.app.theme import colour
from depin_desktop.app.words import tr


class Progress(QWidget):
    """A thin bar. Without a known end it is an empty track, as a moving one would promise more than is known."""

    def __init__(self) -> None:
        super().__init__()
        self._done: float | None = None
        self.setFixedHeight(6)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_done(self, done: float | None) -> None:
        """`done` is 0 to 1, or None."""
        if done != self._done:
            self._done = done
            self.setAccessibleName("" if done is None else tr("{n} %", n=round(100 * done)))
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("track"))
        painter.drawRoundedRect(QRectF(self.rect()), 3, 3)
        if self._done:
            painter.setBrush(colour("accent"))
            painter.drawRoundedRect(QRectF(0, 0, max(6.0, self.width() * min(1.0, self._done)), self.height()), 3, 3)

"""A number with its unit: the number large, the unit smaller and muted, both on one baseline."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from depin_desktop.app.fonts import font
from depin_desktop.app.theme import colour
from depin_desktop.app.widgets.text import Text, plain_tip

GAP_PX = 5


class Figure(QWidget):
    """Shrinks its number, to 60 % at most, before it would be cut."""

    def __init__(self, role: str = "figure", unit_role: str = "body", *, right: bool = False) -> None:
        super().__init__()
        self._role, self._unit_role, self._right = role, unit_role, right
        self._number, self._unit, self._tone, self._tip = "–", "", "text", ""
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def say(self, number: str, unit: str = "", *, tone: str = "text", tip: str = "") -> None:
        """Shows a formatted number; equal values cost nothing."""
        if tip != self._tip:
            self._tip = tip
            self.setToolTip(plain_tip(tip))
        if (number, unit, tone) == (self._number, self._unit, self._tone):
            return
        self._number, self._unit, self._tone = number, unit, tone
        self.setAccessibleName(f"{number} {unit}".strip())
        self.updateGeometry()
        self.update()

    @property
    def text(self) -> str:
        """What is shown, as one string."""
        return f"{self._number} {self._unit}".strip()

    @property
    def tip(self) -> str:
        return self._tip

    def _fonts(self) -> tuple[QFont, QFont]:
        return font(self._role), font(self._unit_role)

    def _width(self, number_font: QFont, unit_font: QFont) -> float:
        unit = QFontMetricsF(unit_font).horizontalAdvance(self._unit) + GAP_PX if self._unit else 0.0
        return QFontMetricsF(number_font).horizontalAdvance(self._number) + unit

    def sizeHint(self) -> QSize:
        number_font, unit_font = self._fonts()
        return QSize(round(self._width(number_font, unit_font) + 2), round(number_font.pixelSize() * 1.25))

    def minimumSizeHint(self) -> QSize:
        return QSize(round(self.sizeHint().width() * 0.6), self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        number_font, unit_font = self._fonts()
        full = number_font.pixelSize()
        while self._width(number_font, unit_font) > self.width() and number_font.pixelSize() > full * 0.6:
            number_font = QFont(number_font)
            number_font.setPixelSize(number_font.pixelSize() - 1)
        x = self.width() - self._width(number_font, unit_font) if self._right else 0.0
        baseline = (self.height() + QFontMetricsF(number_font).capHeight()) / 2
        painter.setFont(number_font)
        painter.setPen(colour(self._tone))
        painter.drawText(QPointF(x, baseline), self._number)
        x += QFontMetricsF(number_font).horizontalAdvance(self._number) + GAP_PX
        painter.setFont(unit_font)
        painter.setPen(colour("muted"))
        painter.drawText(QPointF(x, baseline), self._unit)


class Labelled(QWidget):
    """A small name over a figure."""

    def __init__(self, name: str, *, right: bool = False, role: str = "figure", small: bool = False) -> None:
        super().__init__()
        self.name = Text(name, "caption" if small else "secondary", "muted", elide=Qt.TextElideMode.ElideRight)
        self.figure = Figure(role, "caption" if small else "body", right=right)
        if right:
            self.name.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.name)
        layout.addWidget(self.figure)

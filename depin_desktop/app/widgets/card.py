"""Surfaces: the card, and small things that live on it."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from depin_desktop.app import icons
from depin_desktop.app.fonts import font
from depin_desktop.app.theme import colour
from depin_desktop.app.widgets.text import Text, plain_tip

RADIUS = 12
PADDING = 16
TITLE_LEAST_PX = 100
LEAST_PILL_PX = 90


class Card(QFrame):
    """A rounded surface with a one-pixel line and no shadow; `body` is its column."""

    def __init__(self, *, padding: int = PADDING, spacing: int = 8) -> None:
        super().__init__()
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(padding, padding, padding, padding)
        self.body.setSpacing(spacing)
        self._fill, self._edge = "surface", "line"

    def tint(self, fill: str, edge: str) -> None:
        """Other tokens for the surface and its line."""
        if (fill, edge) != (self._fill, self._edge):
            self._fill, self._edge = fill, edge
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(colour(self._edge), 1))
        painter.setBrush(colour(self._fill))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), RADIUS, RADIUS)


class Rule(QWidget):
    """A one-pixel line across."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(1)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def paintEvent(self, event: QPaintEvent) -> None:
        QPainter(self).fillRect(self.rect(), colour("line"))


class Icon(QWidget):
    """A line icon in a tone."""

    def __init__(self, name: str, tone: str = "muted", size: int = 18) -> None:
        super().__init__()
        self._name, self._tone = name, tone
        self.setFixedSize(size, size)

    def show_icon(self, name: str, tone: str) -> None:
        if (name, tone) != (self._name, self._tone):
            self._name, self._tone = name, tone
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        icons.paint(painter, self._name, QRectF(self.rect()), colour(self._tone))


class Pill(QWidget):
    """A state: always a word, tinted by its tone (accent, info, warning, fault; anything else is neutral)."""

    def __init__(self) -> None:
        super().__init__()
        self._text, self._tone = "", "muted"
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)

    def say(self, text: str, tone: str = "muted", tip: str = "") -> None:
        self.setToolTip(plain_tip(tip))
        if (text, tone) == (self._text, self._tone):
            return
        self._text, self._tone = text, tone
        self.setAccessibleName(text)
        self.setVisible(bool(text))
        self.updateGeometry()
        self.update()

    @property
    def text(self) -> str:
        return self._text

    @property
    def tone(self) -> str:
        return self._tone

    def sizeHint(self) -> QSize:
        return QSize(round(QFontMetricsF(font("pill")).horizontalAdvance(self._text)) + 20, 22)

    def minimumSizeHint(self) -> QSize:
        return QSize(min(LEAST_PILL_PX, self.sizeHint().width()), 22)

    def paintEvent(self, event: QPaintEvent) -> None:
        tinted = self._tone in ("accent", "info", "warning", "fault")
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour(f"{self._tone}_soft" if tinted else "track"))
        painter.drawRoundedRect(QRectF(self.rect()), 11, 11)
        painter.setFont(font("pill"))
        painter.setPen(colour(self._tone if tinted else "muted"))
        room = QRectF(self.rect()).adjusted(10, 0, -10, 0)
        text = QFontMetricsF(font("pill")).elidedText(self._text, Qt.TextElideMode.ElideRight, room.width() + 0.5)
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)


class CardHead(QWidget):
    """The first line of a card: icon, title, pill, and whatever is added at the right."""

    def __init__(self, title: str, icon: str = "") -> None:
        super().__init__()
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(0, 0, 0, 0)
        self.row.setSpacing(10)
        if icon:
            self.row.addWidget(Icon(icon, "text"))
        self.title = Text(title, "heading", elide=Qt.TextElideMode.ElideRight, least=TITLE_LEAST_PX)
        self.pill = Pill()
        self.pill.hide()
        self.row.addWidget(self.title)
        self.row.addWidget(self.pill)
        self.row.addStretch(1)
        self.setMinimumHeight(28)

    def add_right(self, widget: QWidget) -> None:
        self.row.addWidget(widget)

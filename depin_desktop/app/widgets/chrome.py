"""The frame around the pages: the sidebar at the left and the status line at the bottom."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from depin_desktop.app import icons
from depin_desktop.app.fonts import font
from depin_desktop.app.theme import colour
from depin_desktop.app.widgets.focus import PaintedButton
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import tr

SIDEBAR_PX = 216
STATUS_PX = 38


class _NavItem(PaintedButton):
    """One line of the sidebar: icon, name, and a small figure at the right."""

    def __init__(self, name: str, icon: str, shortcut: str) -> None:
        super().__init__()
        self._icon, self._hint = icon, ""
        self.setText(name)
        self.setAccessibleName(name)
        self.setToolTip(f"{name} ({shortcut})" if shortcut else name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def say(self, hint: str) -> None:
        if hint != self._hint:
            self._hint = hint
            self.setAccessibleDescription(hint)
            self.update()

    def sizeHint(self) -> QSize:
        return QSize(SIDEBAR_PX - 24, 36)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(0.8, 0.8, -0.8, -0.8)
        chosen, under = self.isChecked(), self.underMouse()
        if chosen or under:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour("accent_soft" if chosen else "raised"))
            painter.drawRoundedRect(box, 8, 8)
        if self.hasFocus() and self.by_keyboard:
            painter.setPen(QPen(colour("accent"), 1.6))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box, 8, 8)
        tone = "text" if chosen else "muted"
        icons.paint(painter, self._icon, QRectF(10, 9, 18, 18), colour(tone))
        painter.setFont(font("heading" if chosen else "body"))
        painter.setPen(colour(tone))
        room = QRectF(self.rect()).adjusted(38, 0, -10, 0)
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self.text())
        painter.setFont(font("caption"))
        painter.setPen(colour("muted"))
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, self._hint)


class _Mark(QWidget):
    """The app's mark: a letter on a rounded square."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(26, 26)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("accent"))
        painter.drawRoundedRect(QRectF(self.rect()), 7, 7)
        painter.setPen(colour("on_accent"))
        painter.setFont(font("heading"))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "D")


class Sidebar(QWidget):
    """Signals: `chosen(index)` for a page, `settings()`."""

    chosen = Signal(int)
    settings = Signal()

    def __init__(self, pages: list[tuple[str, str, str]]) -> None:
        super().__init__()
        self.setFixedWidth(SIDEBAR_PX)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 20, 13, 16)
        column.setSpacing(2)
        head = QHBoxLayout()
        head.setContentsMargins(10, 0, 0, 18)
        head.setSpacing(10)
        head.addWidget(_Mark())
        head.addWidget(Text(tr("DePIN Desktop"), "heading"), 1)
        column.addLayout(head)
        self._group = QButtonGroup(self)
        self.items: list[_NavItem] = []
        for index, (name, icon, shortcut) in enumerate(pages):
            item = _NavItem(name, icon, shortcut)
            item.setCheckable(True)
            self._group.addButton(item, index)
            self.items.append(item)
            column.addWidget(item)
        column.addStretch(1)
        self.settings_button = _NavItem(tr("Settings"), "settings", "")
        self.settings_button.clicked.connect(self.settings)
        column.addWidget(self.settings_button)
        self._group.idClicked.connect(self.chosen)

    def show_chosen(self, index: int) -> None:
        self.items[index].setChecked(True)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), colour("surface"))
        painter.fillRect(self.width() - 1, 0, 1, self.height(), colour("line"))


class _Dot(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(8, 8)
        self.tone = "muted"

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour(self.tone if self.tone != "muted" else "control_line"))
        painter.drawEllipse(QRectF(self.rect()))


class StatusBar(QWidget):
    """One line of facts, and at the right what the tokens are worth."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(STATUS_PX)
        self.setAccessibleName(tr("Status"))
        row = QHBoxLayout(self)
        row.setContentsMargins(28, 0, 28, 0)
        row.setSpacing(8)
        self._dot = _Dot()
        row.addWidget(self._dot)
        self.parts: list[Text] = []
        for index in range(4):
            # The network's name gives way first; whether it earns is always whole.
            part = Text("", "caption", "muted", elide=Qt.TextElideMode.ElideRight if index == 1 else None)
            self.parts.append(part)
            row.addWidget(part)
            row.addSpacing(14 if index < 3 else 0)
        row.addSpacing(14)
        row.addStretch(1)
        self.worth = Text("", "caption", "muted", elide=Qt.TextElideMode.ElideRight, least=260)
        row.addWidget(self.worth)

    def say(self, parts: list[tuple[str, str, str]], worth: tuple[str, str, str]) -> None:
        """All are (text, tone, tip); `parts`: state, network, hub, peers."""
        for label, (text, tone, tip) in zip(self.parts, parts, strict=True):
            label.say(text, tone, tip)
            label.setVisible(bool(text))
        if parts[0][1] != self._dot.tone:
            self._dot.tone = parts[0][1]
            self._dot.update()
        self.worth.say(*worth)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), colour("surface"))
        painter.fillRect(0, 0, self.width(), 1, colour("line"))

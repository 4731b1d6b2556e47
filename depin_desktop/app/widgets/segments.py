"""Two or three views of one page, side by side to choose from."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QWidget

from depin_desktop.app.fonts import font


class Segments(QWidget):
    """Exactly one is chosen; the arrow keys move between them. Signals: `chosen(index)`."""

    chosen = Signal(int)

    def __init__(self, name: str, labels: Sequence[str]) -> None:
        super().__init__()
        self.setAccessibleName(name)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        self._group = QButtonGroup(self)
        self.buttons: list[QPushButton] = []
        for index, label in enumerate(labels):
            button = QPushButton(label)
            button.setProperty("kind", "segment")
            button.setFont(font("strong"))
            button.setCheckable(True)
            button.setAutoDefault(False)
            button.setAccessibleName(label)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.setCursor(Qt.CursorShape.PointingHandCursor)
            self._group.addButton(button, index)
            self.buttons.append(button)
            row.addWidget(button)
        row.addStretch(1)
        self.buttons[0].setChecked(True)
        self._group.idToggled.connect(self._toggled)

    def choose(self, index: int) -> None:
        self.buttons[index].setChecked(True)

    def _toggled(self, index: int, on: bool) -> None:
        if on:
            self.chosen.emit(index)

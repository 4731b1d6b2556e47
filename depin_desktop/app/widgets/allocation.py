"""How a disk is divided, as a bar and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from depin_desktop.app.theme import colour
from depin_desktop.app.widgets.text import Text, plain_tip

TONES = {"stored": "accent", "rentable": "accent_soft", "yours": "yours", "free": "track"}


class Part(NamedTuple):
    """One stretch: its size, its kind (a key of TONES), its words and what hovering adds."""

    size: int
    kind: str
    label: str
    tip: str


class _Bar(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.parts: Sequence[Part] = ()
        self.setFixedHeight(10)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        whole = QPainterPath()
        whole.addRoundedRect(QRectF(self.rect()), 4, 4)
        painter.setClipPath(whole)
        painter.fillRect(self.rect(), colour("track"))
        total = sum(part.size for part in self.parts) or 1
        left = 0.0
        for part in self.parts:
            width = self.width() * part.size / total
            if 0 < width < 2:
                width = 2.0  # a little is not nothing
            painter.fillRect(QRectF(left, 0, width, self.height()), colour(TONES[part.kind]))
            if part.kind == "rentable" and width > 2:
                painter.fillRect(QRectF(left, 0, width, self.height()), colour("accent", 0.18))
            left += width


class _Key(QWidget):
    """A colour sample before a legend's words, so that the words are tied to the bar without guessing."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind
        self.setFixedSize(8, 8)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        for name, alpha in ((TONES[self._kind], 1.0), ("accent", 0.18 if self._kind == "rentable" else 0.0)):
            painter.setBrush(colour(name, alpha))
            painter.drawRoundedRect(QRectF(self.rect()), 2, 2)
        if self._kind in ("free", "rentable"):
            painter.setPen(colour("control_line"))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 2, 2)


class AllocationBar(QWidget):
    """A bar from stored to free, and the words under it."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = _Bar()
        self._labels: list[Text] = []
        legend = QHBoxLayout()
        legend.setSpacing(6)
        for index, kind in enumerate(TONES):
            label = Text("", "caption", "muted", elide=Qt.TextElideMode.ElideRight)
            self._labels.append(label)
            if index:
                legend.addStretch(1)
            legend.addWidget(_Key(kind))
            legend.addWidget(label, 0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.setSpacing(8)
        column.addWidget(self._bar)
        column.addLayout(legend)

    def show_parts(self, parts: Sequence[Part]) -> None:
        """Four parts, in the order of TONES."""
        if parts == self._bar.parts:
            return
        self._bar.parts = parts
        for label, part in zip(self._labels, parts, strict=True):
            label.say(part.label, tip=part.tip)
        self._bar.setToolTip(plain_tip("\n".join(part.label for part in parts)))
        self.setAccessibleName(", ".join(part.label for part in parts))
        self._bar.update()

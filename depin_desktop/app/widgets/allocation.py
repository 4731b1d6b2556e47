"""How a disk is divided, and the control that divides it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QSizePolicy, QSlider, QVBoxLayout, QWidget

from depin_desktop.app import fonts
from depin_desktop.app.theme import colour
from depin_desktop.app.widgets.text import Text, plain_tip
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_size, parse_size

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


class SizeSlider(QWidget):
    """A size by slider or by number with a unit; both always agree.

    Signals: `chosen(size)` when a person has settled on a size (released the slider, pressed Enter, left the field).
    """

    chosen = Signal(object)
    moved = Signal(object)

    def __init__(self, name: str) -> None:
        super().__init__()
        self._smallest, self._step, self._value, self._largest = 0, 1, 0, 1
        self._held = False
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(name)
        self.slider.setPageStep(10)
        self.field = QLineEdit()
        self.field.setAccessibleName(name)
        self.field.setProperty("compact", True)
        self.field.setFont(fonts.font("secondary"))
        self.field.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.field.setFixedWidth(96)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(12)
        row.addWidget(self.slider, 1)
        row.addWidget(self.field)
        self.setFocusProxy(self.slider)
        self.slider.valueChanged.connect(self._slid)
        self.slider.sliderPressed.connect(lambda: self._hold(True))
        self.slider.sliderReleased.connect(self._released)
        self.field.editingFinished.connect(self._typed)

    def minimumSizeHint(self) -> QSize:
        return QSize(180, 34)

    @property
    def value(self) -> int:
        """Bytes chosen now."""
        return self._value

    def offer(self, smallest: int, largest: int, step: int, value: int, *, enabled: bool = True) -> None:
        """Shows what may be chosen. While a person is choosing, nothing moves under their hand."""
        self.slider.setEnabled(enabled)
        self.field.setEnabled(enabled)
        if self._held or (self.field.hasFocus() and self.field.isModified()):
            return
        if (smallest, largest, step, value) == (self._smallest, self._largest, self._step, self._value):
            return
        self._smallest, self._largest, self._step = smallest, max(smallest, largest), step
        self.slider.blockSignals(True)
        self.slider.setRange(0, max(1, -(-(self._largest - smallest) // step)))
        self.slider.blockSignals(False)
        self._set(value)

    def _set(self, value: int) -> None:
        self._value = value
        self.slider.blockSignals(True)
        self.slider.setValue(round((value - self._smallest) / self._step))
        self.slider.blockSignals(False)
        self.field.setText(format_size(value))
        self.field.setModified(False)
        self._mark(valid=True)

    def _hold(self, held: bool) -> None:
        self._held = held

    def _slid(self, position: int) -> None:
        value = min(self._largest, self._smallest + position * self._step)
        if value % self._step and value != self._largest:
            value = value // self._step * self._step or self._smallest
        self._value = value
        self.field.setText(format_size(value))
        self._mark(valid=True)
        self.moved.emit(value)
        if not self.slider.isSliderDown():  # keys and clicks beside the handle settle at once
            self.chosen.emit(value)

    def _released(self) -> None:
        self._hold(False)
        self.chosen.emit(self._value)

    def _typed(self) -> None:
        if not self.field.isModified():
            return
        try:
            wanted = parse_size(self.field.text())
        except UserFacingError as problem:
            self._mark(valid=False, why=str(problem))
            return
        clamped = min(max(wanted, self._smallest), self._largest)
        self._set(clamped)
        if clamped != wanted:
            self._mark(valid=True, why=format_size(self._smallest) + " – " + format_size(self._largest))
        self.moved.emit(clamped)
        self.chosen.emit(clamped)

    def _mark(self, *, valid: bool, why: str = "") -> None:
        self.field.setToolTip(plain_tip(why))
        if self.field.property("invalid") is not (not valid):
            self.field.setProperty("invalid", not valid)
            self.field.style().unpolish(self.field)
            self.field.style().polish(self.field)

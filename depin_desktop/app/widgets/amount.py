"""Sliders with a field beside them, for amounts that can be shown and written."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QSlider, QWidget

from depin_desktop.app.fonts import font
from depin_desktop.app.widgets.text import plain_tip
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_size, parse_size

FIELD_PX = 96


class AmountSlider(QWidget):
    """An amount by slider or by number with a unit; both always agree.

    Signals: `chosen(amount)` when a person has settled on one (released the slider, pressed Enter, left the field);
    `moved(amount)` on the way there.

    Args:
        say: writes an amount into the field.
        read: takes what was written there; raises UserFacingError where it is none.
    """

    chosen = Signal(object)
    moved = Signal(object)

    def __init__(
        self, name: str, say: Callable[[int], str], read: Callable[[str], int], *, field_px: int = FIELD_PX
    ) -> None:
        super().__init__()
        self._say, self._read = say, read
        self._smallest, self._step, self._value, self._largest = 0, 1, 0, 1
        self._held = False
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(name)
        self.slider.setPageStep(10)
        self.field = QLineEdit()
        self.field.setAccessibleName(name)
        self.field.setProperty("compact", True)
        self.field.setFont(font("secondary"))
        self.field.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.field.setFixedWidth(field_px)
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
        """Chosen now."""
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
        self.field.setText(self._say(value))
        self.field.setModified(False)
        self._mark(valid=True)

    def _hold(self, held: bool) -> None:
        self._held = held

    def _slid(self, position: int) -> None:
        value = min(self._largest, self._smallest + position * self._step)
        if value % self._step and value != self._largest:
            value = value // self._step * self._step or self._smallest
        self._value = value
        self.field.setText(self._say(value))
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
            wanted = self._read(self.field.text())
        except UserFacingError as problem:
            self._mark(valid=False, why=str(problem))
            return
        clamped = min(max(wanted, self._smallest), self._largest)
        self._set(clamped)
        if clamped != wanted:
            self._mark(valid=True, why=self._say(self._smallest) + " – " + self._say(self._largest))
        self.moved.emit(clamped)
        self.chosen.emit(clamped)

    def _mark(self, *, valid: bool, why: str = "") -> None:
        self.field.setToolTip(plain_tip(why))
        if self.field.property("invalid") is not (not valid):
            self.field.setProperty("invalid", not valid)
            self.field.style().unpolish(self.field)
            self.field.style().polish(self.field)


class SizeSlider(AmountSlider):
    """Bytes."""

    def __init__(self, name: str) -> None:
        super().__init__(name, format_size, parse_size)

"""The switch for what earns."""

from __future__ import annotations

from PySide6.QtCore import QEasingCurve, QRectF, QSize, Qt, QVariantAnimation
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy

from depin_desktop.app.theme import colour, motion_ms, tokens
from depin_desktop.app.widgets.focus import PaintedButton

WIDTH, HEIGHT, MARGIN = 40, 22, 3
SLIDE_MS = 140


class Switch(PaintedButton):
    """On or off; Space and Enter move it. Signals: `clicked(bool)` when a person moved it, never when code did."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setCheckable(True)
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._at, self._told, self._still = 0.0, False, False
        self._slide = QVariantAnimation(self)
        self._slide.setEasingCurve(QEasingCurve.Type.OutCubic)
        self._slide.valueChanged.connect(self._moved)
        self.toggled.connect(self._start)

    def show_state(self, on: bool, *, enabled: bool, tip: str = "") -> None:
        """Shows what the engine says; the first word of it without a slide."""
        if self.isChecked() != on:
            self._still = not self._told
            self.setChecked(on)
            self._still = False
        self._told = True
        if self.isEnabled() != enabled:
            self.setEnabled(enabled)
            self.setCursor(Qt.CursorShape.PointingHandCursor if enabled else Qt.CursorShape.ArrowCursor)
        self.setToolTip(tip)
        self.setAccessibleDescription(tip)

    def _start(self, on: bool) -> None:
        target, length = (1.0 if on else 0.0), motion_ms(SLIDE_MS)
        self._slide.stop()
        if length == 0 or self._still or not self.isVisible():
            self._moved(target)
            return
        self._slide.setDuration(length)
        self._slide.setStartValue(self._at)
        self._slide.setEndValue(target)
        self._slide.start()

    def _moved(self, value: object) -> None:
        self._at = float(value)  # type: ignore[arg-type]
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
            return
        super().keyPressEvent(event)

    def sizeHint(self) -> QSize:
        return QSize(WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        track = QRectF(MARGIN, MARGIN, WIDTH, HEIGHT)
        off, on = colour("track" if not self.isEnabled() else "line"), colour("accent")
        if not self.isEnabled():
            on.setAlphaF(0.45)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_between(off, on, self._at))
        painter.drawRoundedRect(track, HEIGHT / 2, HEIGHT / 2)
        if self._at < 0.5 and self.isEnabled():
            # An off switch keeps an outline: its soft track alone would not meet 3:1.
            painter.setPen(QPen(colour("control_line"), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(track.adjusted(0.5, 0.5, -0.5, -0.5), HEIGHT / 2, HEIGHT / 2)
        knob = HEIGHT - 6.0
        left = MARGIN + 3 + self._at * (WIDTH - HEIGHT)
        painter.setPen(Qt.PenStyle.NoPen)
        white = QColor("#ffffff")
        painter.setBrush(_between(colour("control_line", 1.0 if self.isEnabled() else 0.6), white, self._at))
        painter.drawEllipse(QRectF(left, MARGIN + 3, knob, knob))
        if self.hasFocus() and self.by_keyboard:
            painter.setPen(QPen(colour("text" if tokens().dark else "accent"), 1.6))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(0.8, 0.8, WIDTH + 2 * MARGIN - 1.6, HEIGHT + 2 * MARGIN - 1.6), 14, 14)


def _between(first: QColor, second: QColor, at: float) -> QColor:
    def mix(a: float, b: float) -> float:
        return a + (b - a) * min(1.0, max(0.0, at))

    return QColor.fromRgbF(
        mix(first.redF(), second.redF()),
        mix(first.greenF(), second.greenF()),
        mix(first.blueF(), second.blueF()),
        mix(first.alphaF(), second.alphaF()),
    )

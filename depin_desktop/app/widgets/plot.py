"""Line plots, painted: a thin line over a soft fill, few ticks, value and time on hover, a sentence without data."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from depin_desktop.app.fonts import font
from depin_desktop.app.theme import colour, tokens

LINE_PX = 1.8
TICKS_HEIGHT = 20
FILL_ALPHA = 0.12

Point = tuple[float, float]


class Plot(QWidget):
    """One series over time, from zero upwards.

    Args:
        series: which plot colour.
        tick: a time in words for the axis; None draws no axis (a sparkline).
        tell: a point in words for hovering.
        empty: the sentence without data.
        top: the value at the upper edge; None is the largest one shown.
    """

    def __init__(
        self,
        series: int = 0,
        *,
        tick: Callable[[float], str] | None = None,
        tell: Callable[[float, float], str] | None = None,
        empty: str = "",
        height: int = 48,
        top: float | None = None,
    ) -> None:
        super().__init__()
        self._top = top
        self._series, self._tick, self._tell, self._empty = series, tick, tell, empty
        self._points: Sequence[Point] = ()
        self._hover: int | None = None
        self.setMinimumHeight(height)
        self.setMouseTracking(tell is not None)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(empty)

    def show_points(self, points: Sequence[Point], description: str = "") -> None:
        """Shows points in order of time; equal ones cost nothing."""
        if description:
            self.setAccessibleDescription(description)
        if points != self._points:
            self._points = points
            self._hover = None if self._hover is None or self._hover >= len(points) else self._hover
            self.update()

    @property
    def points(self) -> Sequence[Point]:
        return self._points

    def sizeHint(self) -> QSize:
        return QSize(160, self.minimumHeight())

    def _area(self) -> QRectF:
        return QRectF(self.rect()).adjusted(0, 3, 0, -TICKS_HEIGHT if self._tick else -1)

    def _place(self, point: Point) -> QPointF:
        area, first, last = self._area(), self._points[0][0], self._points[-1][0]
        top = self._top or max(value for _, value in self._points) or 1.0
        x = (point[0] - first) / (last - first) if last > first else 1.0
        return QPointF(area.left() + x * area.width(), area.bottom() - point[1] / top * (area.height() - 4))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if len(self._points) < 2:
            self._paint_empty(painter)
            return
        stroke = QColor(tokens().plots[self._series])
        line = QPainterPath(self._place(self._points[0]))
        for point in self._points[1:]:
            line.lineTo(self._place(point))
        area = self._area()
        fill = QPainterPath(line)
        fill.lineTo(self._place(self._points[-1]).x(), area.bottom())
        fill.lineTo(area.left(), area.bottom())
        soft = QColor(stroke)
        soft.setAlphaF(FILL_ALPHA)
        painter.fillPath(fill, soft)
        pen = QPen(stroke, LINE_PX)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.drawPath(line)
        if self._tick:
            self._paint_ticks(painter, area)
        if self._hover is not None:
            self._paint_hover(painter, area, stroke)

    def _paint_empty(self, painter: QPainter) -> None:
        area = self._area()
        painter.setPen(QPen(colour("line"), 1, Qt.PenStyle.DashLine))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        painter.setPen(colour("faint"))
        painter.setFont(font("caption"))
        painter.drawText(
            area.adjusted(0, 0, 0, -4), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self._empty
        )

    def _paint_ticks(self, painter: QPainter, area: QRectF) -> None:
        assert self._tick is not None
        painter.setFont(font("caption"))
        painter.setPen(colour("faint"))
        metrics = QFontMetricsF(font("caption"))
        first, last = self._points[0][0], self._points[-1][0]
        count = max(2, min(5, int(area.width() // 130)))
        taken = float("-inf")
        for index in range(count):
            at = first + (last - first) * index / (count - 1)
            text = self._tick(at)
            width = metrics.horizontalAdvance(text)
            x = area.left() + area.width() * index / (count - 1) - width * index / (count - 1)
            if x > taken + 12:
                painter.drawText(QPointF(x, area.bottom() + 16), text)
                taken = x + width

    def _paint_hover(self, painter: QPainter, area: QRectF, stroke: QColor) -> None:
        assert self._hover is not None
        assert self._tell is not None
        at = self._place(self._points[self._hover])
        painter.setPen(QPen(colour("control_line"), 1))
        painter.drawLine(QPointF(at.x(), area.top()), QPointF(at.x(), area.bottom()))
        painter.setPen(QPen(colour("surface"), 2))
        painter.setBrush(stroke)
        painter.drawEllipse(at, 4.5, 4.5)
        text = self._tell(*self._points[self._hover])
        metrics = QFontMetricsF(font("caption"))
        box = QRectF(0, 0, metrics.horizontalAdvance(text) + 16, 24)
        left = at.x() + 10 if at.x() + 10 + box.width() < self.width() else at.x() - 10 - box.width()
        box.moveTopLeft(QPointF(max(0.0, left), area.top()))
        painter.setPen(QPen(colour("line"), 1))
        painter.setBrush(colour("raised"))
        painter.drawRoundedRect(box, 6, 6)
        painter.setPen(colour("text"))
        painter.setFont(font("caption"))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.hover_at(event.position().x())

    def hover_at(self, x: float) -> None:
        """Tells the point nearest to `x` pixels from the left."""
        if len(self._points) < 2 or self._tell is None:
            return
        first, last = self._points[0][0], self._points[-1][0]
        at = first + (last - first) * x / max(1, self.width())
        after = min(len(self._points) - 1, bisect_left(self._points, (at, float("-inf"))))
        before = max(0, after - 1)
        nearest = before if at - self._points[before][0] < self._points[after][0] - at else after
        if nearest != self._hover:
            self._hover = nearest
            self.update()

    @property
    def hovered(self) -> str:
        """What the hover box says; empty when nothing is hovered."""
        return self._tell(*self._points[self._hover]) if self._hover is not None and self._tell else ""

    def leaveEvent(self, event: QEvent) -> None:
        self._hover = None
        self.update()


class ProofBars(QWidget):
    """One bar a proving period, the newest at the right: full when proven, short and hollow when missed."""

    SLOTS = 30

    def __init__(self) -> None:
        super().__init__()
        self._bars: tuple[tuple[str, str], ...] = ()
        self._empty = ""
        self.setMinimumHeight(40)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_bars(self, bars: tuple[tuple[str, str], ...], empty: str) -> None:
        """`bars` are (proven | missed, tooltip)."""
        if (bars, empty) != (self._bars, self._empty):
            self._bars, self._empty = bars, empty
            missed = sum(kind == "missed" for kind, _ in bars)
            self.setAccessibleName(f"{len(bars) - missed} / {len(bars)}" if bars else empty)
            self.update()

    def _slot(self, index: int) -> QRectF:
        width = self.width() / self.SLOTS
        return QRectF(index * width, 4, max(2.0, width - 3), min(34.0, self.height() - 8.0))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self._bars:
            painter.setPen(QPen(colour("line"), 1, Qt.PenStyle.DashLine))
            painter.drawLine(0, self.height() - 2, self.width(), self.height() - 2)
            painter.setPen(colour("muted"))
            painter.setFont(font("caption"))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self._empty)
            return
        blank = self.SLOTS - len(self._bars)
        for index in range(self.SLOTS):
            slot = self._slot(index)
            kind = self._bars[index - blank][0] if index >= blank else "none"
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour({"proven": "accent", "missed": "fault_soft"}.get(kind, "track")))
            if kind == "missed":
                # Shorter and outlined as well as red: the difference must not rest on colour.
                painter.setPen(QPen(colour("fault"), 1.4))
                slot = slot.adjusted(0.7, slot.height() / 2, -0.7, -0.7)
            painter.drawRoundedRect(slot, 2, 2)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        blank = self.SLOTS - len(self._bars)
        index = int(event.position().x() / max(1.0, self.width() / self.SLOTS)) - blank
        self.setToolTip(self._bars[index][1] if 0 <= index < len(self._bars) else "")

"""A QR code, painted from segno's modules."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

QUIET = 3  # modules of margin; the white card around it adds more


class QrCode(QWidget):
    """Dark on white in both appearances: many scanners do not read it the other way round."""

    def __init__(self, size: int = 140) -> None:
        super().__init__()
        self._text = ""
        self._modules: tuple[bytes, ...] = ()
        self._size = size
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def show_text(self, text: str, name: str) -> None:
        """Encodes `text`; equal texts cost nothing."""
        if text == self._text:
            return
        import segno

        self._text = text
        self._modules = tuple(bytes(row) for row in segno.make(text, error="m", micro=False).matrix) if text else ()
        self.setAccessibleName(name)
        self.update()

    @property
    def modules(self) -> tuple[bytes, ...]:
        return self._modules

    def sizeHint(self) -> QSize:
        return QSize(self._size, self._size)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor("#ffffff"))
        painter.drawRoundedRect(QRectF(self.rect()), 8, 8)
        if not self._modules:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        scale = self.devicePixelRatioF()
        count = len(self._modules) + 2 * QUIET
        side = max(1, int(self.width() * scale // count)) / scale  # whole device pixels keep the edges sharp
        origin = (self.width() - side * len(self._modules)) / 2
        painter.setBrush(QColor("#10141a"))
        for y, row in enumerate(self._modules):
            for x, dark in enumerate(row):
                if dark & 1:
                    painter.drawRect(QRectF(origin + x * side, origin + y * side, side, side))

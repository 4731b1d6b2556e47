"""Line icons on a 20-unit grid, drawn for this app, in any colour and at any screen density."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

_SHAPES = {
    "home": '<path d="M3.5 9 10 3.5 16.5 9v7.5h-13z"/>',
    "storage": '<ellipse cx="10" cy="5" rx="6.5" ry="2.5"/>'
    '<path d="M3.5 5v10c0 1.4 2.9 2.5 6.5 2.5s6.5-1.1 6.5-2.5V5"/>'
    '<path d="M3.5 10c0 1.4 2.9 2.5 6.5 2.5s6.5-1.1 6.5-2.5"/>',
    "wallet": '<path d="M3 6.5V15a1.5 1.5 0 0 0 1.5 1.5h11A1.5 1.5 0 0 0 17 15V8a1.5 1.5 0 0 0-1.5-1.5z"/>'
    '<path d="M3 6.5A1.5 1.5 0 0 1 4.5 5L13.5 3.5v3"/><path d="M13.5 11.5h.4"/>',
    "settings": '<circle cx="10" cy="10" r="2.6"/><path d="M10 2.8v2.4M10 14.8v2.4M2.8 10h2.4M14.8 10h2.4'
    'M4.9 4.9l1.7 1.7M13.4 13.4l1.7 1.7M15.1 4.9l-1.7 1.7M6.6 13.4l-1.7 1.7"/>',
    "chip": '<rect x="5" y="5" width="10" height="10" rx="1.8"/><rect x="8" y="8" width="4" height="4" rx=".8"/>'
    '<path d="M8 2.5V5M12 2.5V5M8 15v2.5M12 15v2.5M2.5 8H5M2.5 12H5M15 8h2.5M15 12h2.5"/>',
    "machine": '<rect x="2.5" y="3.5" width="15" height="10" rx="1.6"/><path d="M10 13.5v3M6.5 16.5h7"/>',
    "memory": '<rect x="2.5" y="6" width="15" height="7.5" rx="1.3"/><path d="M6 9v1.8M10 9v1.8M14 9v1.8'
    'M5 13.5v2M8.3 13.5v2M11.7 13.5v2M15 13.5v2"/>',
    "gpu": '<rect x="2.5" y="5" width="15" height="9" rx="1.5"/><circle cx="7.5" cy="9.5" r="2.3"/>'
    '<path d="M12.5 8h2.5M12.5 11h2.5M5 14v2.5M9 14v2.5"/>',
    "disk": '<rect x="3" y="3.5" width="14" height="13" rx="2"/><path d="M3 12h14M13.5 14.3h.4"/>',
    "sensor": '<path d="M8 11.5V4.5a2 2 0 0 1 4 0v7a3.5 3.5 0 1 1-4 0z"/><path d="M10 8v6"/>',
    "network": '<circle cx="10" cy="10" r="7"/>'
    '<path d="M3 10h14M10 3c2.3 2 3 4.4 3 7s-.7 5-3 7c-2.3-2-3-4.4-3-7s.7-5 3-7z"/>',
    "clock": '<circle cx="10" cy="10" r="7"/><path d="M10 5.8V10l2.8 1.8"/>',
    "folder": '<path d="M3 15.5v-10h4.8l1.7 2H17v8z"/>',
    "warning": '<path d="M10 3.5 17.5 16.5h-15z"/><path d="M10 8.5v3.6M10 14.2v.2"/>',
    "fault": '<circle cx="10" cy="10" r="7"/><path d="M10 6.5v4.3M10 13.4v.2"/>',
    "info": '<circle cx="10" cy="10" r="7"/><path d="M10 9.3v4.2M10 6.6v.2"/>',
    "check": '<path d="M4.5 10.5 8.5 14.5 15.5 6"/>',
    "close": '<path d="M5.5 5.5l9 9M14.5 5.5l-9 9"/>',
    "copy": '<rect x="7" y="7" width="9.5" height="9.5" rx="1.6"/>'
    '<path d="M13 7V5a1.5 1.5 0 0 0-1.5-1.5H5A1.5 1.5 0 0 0 3.5 5v6.5A1.5 1.5 0 0 0 5 13h2"/>',
    "plus": '<path d="M10 4v12M4 10h12"/>',
    "export": '<path d="M10 3.5v9M6.5 9 10 12.5 13.5 9M4 16.5h12"/>',
    "search": '<circle cx="9" cy="9" r="5"/><path d="M12.8 12.8l3.7 3.7"/>',
    "chevron": '<path d="M5.5 8 10 12.5 14.5 8"/>',
    "away": '<path d="M3 3l14 14M6.2 6.3a8 8 0 0 0-2.7 1.9M9 5.1a8.6 8.6 0 0 1 7.5 3.1M7 11a4.4 4.4 0 0 1 2-1.1'
    'M12.6 10.7l.6.5M10 14.7v.2"/>',
}


def names() -> tuple[str, ...]:
    """All icons there are."""
    return tuple(_SHAPES)


@lru_cache(maxsize=256)
def _renderer(name: str, colour: str, stroke: float) -> QSvgRenderer:
    body = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20"><g fill="none" stroke="{colour}" '
        f'stroke-width="{stroke}" stroke-linecap="round" stroke-linejoin="round">{_SHAPES[name]}</g></svg>'
    )
    return QSvgRenderer(QByteArray(body.encode()))


def paint(painter: QPainter, name: str, rect: QRectF, colour: QColor, stroke: float = 1.5) -> None:
    """Draws the icon `name` into `rect`."""
    painter.save()
    painter.setOpacity(painter.opacity() * colour.alphaF())
    _renderer(name, colour.name(), stroke).render(painter, rect)
    painter.restore()


def pixmap(name: str, size: int, colour: QColor, ratio: float = 1.0) -> QPixmap:
    """The icon as a pixmap of `size` logical pixels for a screen of density `ratio`."""
    made = QPixmap(QSize(round(size * ratio), round(size * ratio)))
    made.setDevicePixelRatio(ratio)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    paint(painter, name, QRectF(0, 0, size, size), colour)
    painter.end()
    return made


def icon(name: str, colour: QColor, size: int = 18) -> QIcon:
    """The icon for a button or a menu."""
    return QIcon(pixmap(name, size, colour, 2.0))

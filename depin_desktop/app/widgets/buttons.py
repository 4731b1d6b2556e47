"""Buttons: one filled per view, plain ones, quiet ones; each with an accessible name and a focus ring."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QPushButton, QWidget

from depin_desktop.app import icons
from depin_desktop.app.fonts import font
from depin_desktop.app.theme import colour

_TONES = {"filled": "on_accent", "danger": "on_fault", "quiet": "muted", "link": "muted"}


class Button(QPushButton):
    """A button of a kind: plain | filled | small | quiet | link | danger."""

    def __init__(
        self,
        text: str = "",
        kind: str = "plain",
        *,
        icon: str = "",
        name: str = "",
        tip: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(text, parent)
        self._icon, self._kind = icon, kind
        self.setProperty("kind", kind)
        self.setFont(font("secondary" if kind in ("quiet", "link") else "strong"))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(name or text)
        self.setToolTip(tip or (name if not text else ""))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a ring is for those who came by keyboard
        self.setAutoDefault(False)
        self._draw_icon()

    def set_kind(self, kind: str) -> None:
        """Changes the kind in place, such as filled to plain when another action takes the lead."""
        if kind != self._kind:
            self._kind = kind
            self.setProperty("kind", kind)
            self.style().unpolish(self)
            self.style().polish(self)
            self._draw_icon()

    def _draw_icon(self) -> None:
        if self._icon:
            made = icons.icon(self._icon, colour(_TONES.get(self._kind, "text")))
            made.addPixmap(icons.pixmap(self._icon, 18, colour("muted"), 2.0), QIcon.Mode.Disabled)
            self.setIcon(made)
            self.setIconSize(QSize(16, 16))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "_icon"):
            self._draw_icon()
        super().changeEvent(event)

"""Labels that keep the type scale, elide with a tooltip, and repaint only when their text changes."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from depin_desktop.app.fonts import font

ELIDED_MINIMUM_PX = 24


class Text(QLabel):
    """One text. With `elide` it is one line that shortens in the middle or at the end and tells the rest on hover.

    Args:
        role: a role of the type scale, see `fonts.font`.
        tone: text | muted | faint | accent | info | warning | fault.
        least: an elided text does not get narrower than this, in pixels, or than its whole.
    """

    def __init__(
        self,
        text: str = "",
        role: str = "body",
        tone: str = "text",
        *,
        wrap: bool = False,
        elide: Qt.TextElideMode | None = None,
        least: int = ELIDED_MINIMUM_PX,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(text, parent)
        self._elide, self._least = elide, least
        self._tip, self._elided = "", False
        self.setTextFormat(Qt.TextFormat.PlainText)  # a peer's or a node's words are never rendered rich
        self.setFont(font(role))
        self.setProperty("tone", tone)
        self.setWordWrap(wrap)
        if elide is not None:
            self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        elif wrap:
            policy = self.sizePolicy()
            policy.setHorizontalPolicy(QSizePolicy.Policy.Preferred)
            policy.setHeightForWidth(True)
            self.setSizePolicy(policy)

    def say(self, text: str, tone: str | None = None, tip: str = "") -> None:
        """Changes the text; nothing happens, and nothing is repainted, where it is the same."""
        if text != self.text():
            self.setText(text)
            self.setAccessibleName(text)
        if tip != self._tip:
            self._tip = tip
            self._tell(self._elided)
        if tone is not None and tone != self.property("tone"):
            self.setProperty("tone", tone)
            self.style().unpolish(self)
            self.style().polish(self)

    @property
    def elides(self) -> bool:
        """Whether the text shortens itself where there is no room."""
        return self._elide is not None

    def is_elided(self) -> bool:
        """Whether the text is cut at the present width."""
        return self._elide is not None and self._metrics().horizontalAdvance(self.text()) > self.contentsRect().width()

    def _metrics(self) -> QFontMetrics:
        return QFontMetrics(self.font())

    def minimumSizeHint(self) -> QSize:
        if self._elide is None:
            return super().minimumSizeHint()
        wanted = super().sizeHint()
        return QSize(min(wanted.width(), self._least), wanted.height())

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._elide is None:
            super().paintEvent(event)
            return
        painter = QPainter(self)
        painter.setFont(self.font())
        painter.setPen(self.palette().windowText().color())
        rect: QRect = self.contentsRect()
        text = self._metrics().elidedText(self.text(), self._elide, rect.width())
        painter.drawText(rect, self.alignment() | Qt.TextFlag.TextSingleLine, text)
        self._tell(text != self.text())

    def _tell(self, elided: bool) -> None:
        self._elided = elided
        parts = [self.text()] if elided else []
        if self._tip and self._tip not in parts:
            parts.append(self._tip)
        whole = plain_tip("\n".join(parts))
        if whole != self.toolTip():
            self.setToolTip(whole)

    @property
    def tip(self) -> str:
        """What hovering adds."""
        return self._tip


def plain_tip(text: str) -> str:
    """A tooltip that Qt shows as it stands: anything that looks like markup would be rendered rich."""
    return text.replace("<", "‹").replace(">", "›")

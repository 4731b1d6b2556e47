"""Things that speak up: banners on a page, empty states in a card, toasts over the window."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QEnterEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from depin_desktop.app.widgets.buttons import Button
from depin_desktop.app.widgets.card import Card, Icon
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import tr

_ICONS = {"warning": "warning", "fault": "fault", "info": "info", "accent": "check"}
TOAST_MS = 8_000
TOAST_WIDTH = 380
MAX_TOASTS = 3
READABLE_PX = 460


class Banner(Card):
    """A headline, a sentence, perhaps a button; tinted and with an icon, so that colour does not speak alone."""

    pressed = Signal(str)

    def __init__(self, *, wide: bool = False) -> None:
        super().__init__(spacing=6)
        self._action = ""
        self._icon = Icon("warning", "warning")
        self._headline = Text("", "heading", wrap=True)
        self._sentence = Text("", "secondary", "muted", wrap=True)
        self.button = Button("", "plain")
        self.button.clicked.connect(lambda: self.pressed.emit(self._action))
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(4)
        words.addWidget(self._headline)
        words.addWidget(self._sentence)
        row.addLayout(words, 1)
        if wide:
            row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignVCenter)
        else:
            words.addSpacing(4)
            words.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        self.body.addLayout(row)

    def say(
        self,
        headline: str,
        sentence: str,
        tone: str = "warning",
        action: str = "",
        label: str = "",
        *,
        kind: str = "plain",
    ) -> None:
        self.tint(f"{tone}_soft", f"{tone}_soft")
        self._icon.show_icon(_ICONS.get(tone, "info"), tone)
        self._headline.say(headline)
        self._headline.setVisible(bool(headline))
        self._sentence.say(sentence, "muted" if headline else "text")
        self._sentence.setVisible(bool(sentence))
        self._action = action
        self.button.set_kind(kind)
        self.button.setText(label)
        self.button.setAccessibleName(label)
        self.button.setVisible(bool(label))
        self.setAccessibleName(f"{headline} {sentence}".strip())

    @property
    def words(self) -> str:
        return f"{self._headline.text()} {self._sentence.text()}".strip()


class EmptyState(QWidget):
    """What a card says before there is anything in it, and the one thing to do about it."""

    pressed = Signal()

    def __init__(self, icon: str, headline: str, sentence: str, action: str = "") -> None:
        super().__init__()
        inner = QWidget()
        inner.setMaximumWidth(READABLE_PX)
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 8, 0, 8)
        column.setSpacing(6)
        column.addStretch(2)
        column.addWidget(Icon(icon, "faint", 28), 0, Qt.AlignmentFlag.AlignHCenter)
        self._headline = Text(headline, "heading", wrap=True)
        self._sentence = Text(sentence, "secondary", "muted", wrap=True)
        for label in (self._headline, self._sentence):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            column.addWidget(label)
        self.button = Button(action, "filled")
        if not action:
            self.button.hide()  # never `setVisible(True)` before there is a parent: it would be a window for a moment
        self.button.clicked.connect(self.pressed)
        column.addSpacing(6)
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(3)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addStretch(1)
        row.addWidget(inner, 1000)
        row.addStretch(1)

    def say(self, headline: str, sentence: str) -> None:
        self._headline.say(headline)
        self._sentence.say(sentence)


class Toast(Card):
    """One message over the window."""

    gone = Signal(object)

    def __init__(self, message: str, remedy: str, tone: str, label: str, act: Callable[[], None] | None) -> None:
        super().__init__(padding=12, spacing=4)
        self.tint("surface", "control_line")
        self.setFixedWidth(TOAST_WIDTH)
        self.setAccessibleName(f"{message} {remedy}".strip())
        row = QHBoxLayout()
        row.setSpacing(10)
        mark = QVBoxLayout()
        mark.setContentsMargins(0, 5, 0, 0)
        mark.addWidget(Icon(_ICONS.get(tone, "info"), tone), 0, Qt.AlignmentFlag.AlignTop)
        mark.addStretch(1)
        row.addLayout(mark)
        words = QVBoxLayout()
        words.setSpacing(3)
        words.addWidget(Text(message, "strong", wrap=True))
        if remedy:
            words.addWidget(Text(remedy, "secondary", "muted", wrap=True))
        words.setContentsMargins(0, 5, 0, 4)
        row.addLayout(words, 1)
        self.action = Button(label, "small")
        if not label:
            self.action.hide()
        if act is not None:
            self.action.clicked.connect(act)
        self.action.clicked.connect(self.dismiss)
        row.addWidget(self.action, 0, Qt.AlignmentFlag.AlignTop)
        close = Button("", "quiet", icon="close", name=tr("Dismiss"))
        close.clicked.connect(self.dismiss)
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        self.body.addLayout(row)
        self.message = message
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(TOAST_MS)
        self._timer.timeout.connect(self.dismiss)
        self._stays = tone == "fault"  # until somebody has read it
        self._run_out()

    def _run_out(self) -> None:
        if not self._stays:
            self._timer.start()

    def dismiss(self) -> None:
        self._timer.stop()
        self.gone.emit(self)

    def enterEvent(self, event: QEnterEvent) -> None:
        self._timer.stop()  # somebody reads it

    def leaveEvent(self, event: QEvent) -> None:
        self._run_out()


class Toasts(QObject):
    """The stack of toasts at the lower right of a window. Signals: `said(toast)`."""

    said = Signal(object)

    def __init__(self, over: QWidget, *, above: int = 56) -> None:
        super().__init__(over)
        self._over, self._above = over, above
        self.shown: list[Toast] = []
        over.installEventFilter(self)

    def say(
        self,
        message: str,
        remedy: str = "",
        *,
        tone: str = "info",
        label: str = "",
        act: Callable[[], None] | None = None,
    ) -> Toast:
        """Shows a message; the same message twice is one toast."""
        for toast in self.shown:
            if toast.message == message:
                toast.dismiss()
                break
        toast = Toast(message, remedy, tone, label, act)
        toast.setParent(self._over)
        toast.gone.connect(self._remove)
        self.shown.append(toast)
        while len(self.shown) > MAX_TOASTS:
            self.shown[0].dismiss()
        self._place()  # first: where it is shown is where the pointer may be on it
        toast.show()
        self._place()
        self.said.emit(toast)
        return toast

    def dismiss_all(self) -> None:
        for toast in list(self.shown):
            toast.dismiss()

    def _remove(self, toast: Toast) -> None:
        if toast in self.shown:
            self.shown.remove(toast)
        toast.hide()
        toast.deleteLater()
        self._place()

    def _place(self) -> None:
        bottom = self._over.height() - self._above
        for toast in reversed(self.shown):
            height = toast.heightForWidth(TOAST_WIDTH) if toast.hasHeightForWidth() else toast.sizeHint().height()
            toast.setFixedHeight(max(height, 52))
            bottom -= toast.height()
            toast.move(self._over.width() - TOAST_WIDTH - 28, bottom)
            toast.raise_()
            bottom -= 8

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and self.shown:
            self._place()
        return super().eventFilter(watched, event)

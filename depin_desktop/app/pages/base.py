"""What all pages share: margins, the headline, and when they repaint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from depin_desktop.api.compute import JobStatus, ModelStatus
from depin_desktop.api.controls import Wishes
from depin_desktop.api.models import SharedFolder
from depin_desktop.api.wallet import HistoryEntry
from depin_desktop.app.known import Known
from depin_desktop.app.presenters.common import SwitchView
from depin_desktop.app.theme import tokens
from depin_desktop.app.widgets.card import Pill
from depin_desktop.app.widgets.switch import Switch
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import Words

MARGIN_X, MARGIN_Y, GAP = 28, 22, 16


class ComputeActions(Protocol):
    """What the Compute page may ask for; nothing of it blocks."""

    @property
    def switching(self) -> bool:
        """Whether the switch of this service waits for the engine's answer."""

    def share(self, on: bool) -> None: ...
    def import_model(self) -> None: ...
    def cancel_import(self, identity: str) -> None: ...
    def remove_model(self, model: ModelStatus) -> None: ...
    def show_job(self, job: JobStatus) -> None: ...
    def change_rules(self, change: Callable[[Wishes], Wishes]) -> None: ...
    def pause(self, seconds: float | None, finish_current: bool) -> None: ...
    def resume(self) -> None: ...


class WalletActions(Protocol):
    """What the Wallet page may ask for; nothing of it blocks."""

    @property
    def under_way(self) -> Words | None:
        """What is being done with the owner's money now; one step at a time."""

    def warm_up(self) -> None: ...
    def send(self) -> None: ...
    def top_up(self) -> None: ...
    def stake(self) -> None: ...
    def release(self) -> None: ...
    def withdraw(self) -> None: ...
    def set_payout(self) -> None: ...
    def set_budget(self) -> None: ...
    def back_up(self) -> None: ...


class Actions(Protocol):
    """What pages may ask for; nothing of it blocks."""

    @property
    def switching(self) -> bool:
        """Whether the sharing switch waits for the engine's answer."""

    @property
    def compute(self) -> ComputeActions:
        """The Compute page's part."""

    @property
    def wallet(self) -> WalletActions:
        """The Wallet page's part."""

    def set_sharing(self, on: bool) -> None: ...
    def add_folder(self) -> None: ...
    def resize_folder(self, folder: SharedFolder, size: int) -> None: ...
    def stop_folder(self, folder: SharedFolder) -> None: ...
    def open_page(self, name: str) -> None: ...
    def copy(self, text: str, what: str) -> None: ...
    def export_history(self) -> None: ...
    def more_history(self) -> None: ...
    def history(self) -> tuple[HistoryEntry, ...]: ...


class Page(QScrollArea):
    """A scrolling column. `present` is called only while the page is on screen."""

    def __init__(self, name: str, actions: Actions) -> None:
        super().__init__()
        self.controller = actions
        self.setAccessibleName(name)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        content = QWidget()
        content.setObjectName("page")
        self.column = QVBoxLayout(content)
        self.column.setContentsMargins(MARGIN_X, MARGIN_Y, MARGIN_X, MARGIN_Y)
        self.column.setSpacing(GAP)
        self.setWidget(content)
        self._veil = Veil(content)

    def present(self, known: Known, now: float) -> None:
        """Shows the snapshots."""
        raise NotImplementedError

    def show_away(self, away: bool) -> None:
        """Greys the page, readably, while its figures may be old."""
        self._veil.setVisible(away)

    def arrange(self, width: int) -> None:
        """Chooses the arrangement for a content width in pixels."""

    def resizeEvent(self, event: QResizeEvent) -> None:
        # A scroll bar takes its width from the margin, so that cards end where the status line does.
        bar = self.width() - self.viewport().width()
        self.column.setContentsMargins(MARGIN_X, MARGIN_Y, MARGIN_X - bar, MARGIN_Y)
        self.arrange(self.width() - 2 * MARGIN_X)
        super().resizeEvent(event)


class Veil(QWidget):
    """A thin wash of the background over a page; clicks go through it."""

    ALPHA = 0.28

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()
        over.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        parent = self.parentWidget()
        if event.type() in (QEvent.Type.Resize, QEvent.Type.ChildAdded) and parent is not None:
            self.resize(parent.size())
            self.raise_()
        return super().eventFilter(watched, event)

    def setVisible(self, visible: bool) -> None:
        parent = self.parentWidget()
        if visible and parent is not None:
            self.resize(parent.size())
            self.raise_()
        super().setVisible(visible)

    def paintEvent(self, event: QPaintEvent) -> None:
        wash = QColor(tokens().background)
        wash.setAlphaF(self.ALPHA)
        QPainter(self).fillRect(self.rect(), wash)


class PageHead(QWidget):
    """Title and pill at the left, buttons and the sharing switch at the right; a line of facts below or beside."""

    def __init__(self, title: str, *, facts_below: bool) -> None:
        super().__init__()
        self.title = Text(title, "title")
        self.pill = Pill()
        self.pill.hide()
        self.facts = Text("", "body" if facts_below else "secondary", "muted", elide=Qt.TextElideMode.ElideRight)
        self.right = QHBoxLayout()
        self.right.setSpacing(12)
        self.right.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(14)
        self.setMinimumHeight(46 if facts_below else 38)
        if facts_below:
            words = QVBoxLayout()
            words.setSpacing(1)
            words.addWidget(self.title)
            words.addWidget(self.facts)
            row.addLayout(words, 1)
        else:
            row.addWidget(self.title)
            row.addWidget(self.pill)
            row.addWidget(self.facts, 1)
        row.addLayout(self.right)

    def add_switch(self, name: str) -> tuple[Text, Switch]:
        """Adds the sharing switch with its label."""
        label, switch = Text(name, "strong"), Switch(name)
        self.right.addWidget(label)
        self.right.addWidget(switch)
        return label, switch


def show_switch(label: Text, switch: Switch, view: SwitchView) -> None:
    """Puts a switch's view on screen."""
    switch.show_state(view.on, enabled=view.enabled, tip=view.tip)
    label.say(view.label, "text" if view.enabled else "muted", view.tip)

"""Questions to the owner. Every dialog is opened, never executed: the event loop goes on under it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QVBoxLayout, QWidget

from depin_desktop.api.models import Inventory, StorageStatus
from depin_desktop.app.presenters import storage as say
from depin_desktop.app.widgets.amount import SizeSlider
from depin_desktop.app.widgets.buttons import Button
from depin_desktop.app.widgets.card import Card
from depin_desktop.app.widgets.fields import Field, PathRow
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import tr
from depin_desktop.core.units import format_size

WIDTH = 480


class Dialog(QDialog):
    """A title, a column of contents, and buttons at the lower right; Escape closes it."""

    def __init__(self, parent: QWidget, title: str) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setModal(True)
        self.setFixedWidth(WIDTH)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(24, 22, 24, 20)
        outer.setSpacing(12)
        outer.addWidget(Text(title, "title", wrap=True))
        self.column = QVBoxLayout()
        self.column.setSpacing(10)
        outer.addLayout(self.column)
        outer.addSpacing(4)
        self.buttons = QHBoxLayout()
        self.buttons.setSpacing(12)
        self.buttons.addStretch(1)
        outer.addLayout(self.buttons)

    def event(self, event: QEvent) -> bool:
        handled = super().event(event)
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Show):
            self._fit()
        return handled

    def _fit(self) -> None:
        """Takes the height that its texts need at this width, whenever they have changed."""
        layout = self.layout()
        if layout is not None:
            layout.activate()
            tall = layout.totalHeightForWidth(self.width()) if layout.hasHeightForWidth() else self.sizeHint().height()
            self.setFixedHeight(tall)

    def add_button(self, text: str, kind: str = "plain") -> Button:
        button = Button(text, kind)
        self.buttons.addWidget(button)
        return button

    def add_close(self, text: str) -> Button:
        button = self.add_button(text)
        button.clicked.connect(self.reject)
        return button

    def add_answers(self, yes: str, act: Callable[[], None]) -> Button:
        """Adds a way out and the filled button that Enter presses, which is returned."""
        self.add_close(tr("Cancel"))
        button = self.add_button(yes, "filled")
        button.setDefault(True)
        button.clicked.connect(act)
        return button

    def explain(self, *sentences: str, role: str = "secondary", tone: str = "muted") -> None:
        """Adds paragraphs."""
        for sentence in sentences:
            self.column.addWidget(Text(sentence, role, tone, wrap=True))


class ShareDialog(Dialog):
    """Which folder, and how much of its disk. Signals: `shared(path, size)`."""

    shared = Signal(str, object)

    def __init__(self, parent: QWidget, inventory: Inventory | None, storage: StorageStatus | None) -> None:
        super().__init__(parent, tr("Share a folder"))
        self._inventory, self._storage = inventory, storage
        self._for = ""
        self.explain(
            tr("Customers’ data, already encrypted, fills it up to the size you choose. Your own files stay untouched.")
        )
        self.path = Field(tr("Folder"))
        self.disk = Text("", "secondary", "muted", wrap=True)
        self.sizes = SizeSlider(tr("Size to share"))
        self.kept = Text("", "caption", "faint")
        self.problem = Text("", "secondary", "warning", wrap=True)
        card = Card(spacing=8)
        card.body.addWidget(Text(tr("Size to share"), "secondary", "muted"))
        card.body.addWidget(self.sizes)
        card.body.addWidget(self.kept)
        self.column.addLayout(PathRow(self.path, tr("Choose a folder"), folder=True))
        self.column.addWidget(self.disk)
        self.column.addWidget(self.problem)
        self.column.addWidget(card)
        price = tr("The price is the network’s suggestion; `depin share storage --price` sets another.")
        self.explain(price, role="caption", tone="faint")
        self.accept_button = self.add_answers(tr("Share"), self._accept)
        self.path.textChanged.connect(self._judge)
        self.sizes.moved.connect(self._tell_kept)
        self._judge()
        self.path.setFocus()

    def know(self, inventory: Inventory | None, storage: StorageStatus | None) -> None:
        """Fresh snapshots arrived while the dialog is open."""
        if (inventory, storage) != (self._inventory, self._storage):
            self._inventory, self._storage = inventory, storage
            self._judge()

    def _judge(self) -> None:
        path = self.path.text().strip()
        form = say.share_form(path, self._inventory, self._storage)
        self.disk.say(form.disk.text, form.disk.tone, form.disk.tip)
        self.disk.setVisible(bool(form.disk.text))
        self.problem.say(form.problem)
        self.problem.setVisible(bool(form.problem))
        # The same disk keeps the size that was chosen; another disk brings its own default.
        if form.disk.tip != self._for or not form.sizes.usable:
            self._for = form.disk.tip
            self.sizes.offer(
                form.sizes.smallest, form.sizes.largest, form.sizes.step, form.sizes.value, enabled=form.sizes.usable
            )
        self._tell_kept()
        self.accept_button.setEnabled(form.can_share)

    def _tell_kept(self, *_: object) -> None:
        disk = say.disk_of(self.path.text().strip(), self._inventory)
        left = disk.free_bytes - self.sizes.value if disk else 0
        self.kept.say(tr("{size} stay free for you", size=format_size(max(0, left))) if disk else "")

    def _accept(self) -> None:
        if self.accept_button.isEnabled():
            self.shared.emit(self.path.text().strip(), self.sizes.value)
            self.accept()


class ConfirmDialog(Dialog):
    """A question with its consequences, and two ways to answer; the safe one is the default."""

    confirmed = Signal()

    def __init__(self, parent: QWidget, title: str, sentences: Sequence[str], yes: str, no: str) -> None:
        super().__init__(parent, title)
        self.explain(*sentences, role="body")
        self.no = self.add_close(no)
        self.no.setDefault(True)
        self.yes = self.add_button(yes, "danger")
        self.yes.clicked.connect(self.confirmed)
        self.yes.clicked.connect(self.accept)
        self.no.setFocus()

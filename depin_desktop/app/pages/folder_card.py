"""One shared folder: its disk divided, its size to change, its state."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout

from depin_desktop.api.models import SharedFolder
from depin_desktop.app.pages.base import Actions
from depin_desktop.app.presenters import storage as say
from depin_desktop.app.widgets.allocation import AllocationBar, Part
from depin_desktop.app.widgets.amount import SizeSlider
from depin_desktop.app.widgets.buttons import Button
from depin_desktop.app.widgets.card import Card, CardHead
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import tr


class FolderCard(Card):
    """Applies a new size when the slider is released."""

    def __init__(self, actions: Actions) -> None:
        super().__init__(spacing=10)
        self._actions = actions
        self._folder: SharedFolder | None = None
        self.head = CardHead("", "disk")
        self.place = Text("", "caption", "muted", elide=Qt.TextElideMode.ElideRight)
        self.head.row.takeAt(self.head.row.count() - 1)  # the place takes the room that the stretch kept
        self.head.row.addWidget(self.place, 1, Qt.AlignmentFlag.AlignVCenter)
        self.bar = AllocationBar()
        self.detail = Text("", "secondary", "muted", wrap=True)
        self.size_label = Text(tr("Share"), "secondary", "muted")
        self.sizes = SizeSlider(tr("How much of this disk is shared"))
        self.sizes.chosen.connect(self._chosen)
        self.stop = Button(tr("Stop sharing…"), "link")
        self.stop.clicked.connect(self._stop)
        self.foot = Text("", "caption", "muted", elide=Qt.TextElideMode.ElideRight)
        control = QHBoxLayout()
        control.setSpacing(12)
        control.addWidget(self.size_label)
        control.addWidget(self.sizes, 1)
        bottom = QHBoxLayout()
        bottom.addWidget(self.foot, 1)
        bottom.addWidget(self.stop)
        self.body.addWidget(self.head)
        self.body.addWidget(self.bar)
        self.body.addWidget(self.detail)
        self.body.addLayout(control)
        self.body.addLayout(bottom)
        self.body.addStretch(1)

    def show_folder(self, folder: SharedFolder, view: say.FolderCard) -> None:
        self._folder = folder
        self.head.title.say(view.name, tip=view.path)
        self.head.pill.say(view.pill.text, view.pill.tone, view.pill.tip)
        self.place.say(view.place)
        self.bar.setVisible(bool(view.segments))
        if view.segments:
            self.bar.show_parts([Part(part.size, part.kind, part.label, part.tip) for part in view.segments])
        self.detail.setVisible(view.detail is not None)
        if view.detail is not None:
            self.detail.say(view.detail.text, view.detail.tone, view.detail.tip)
        sizes = view.sizes
        self.sizes.offer(sizes.smallest, sizes.largest, sizes.step, sizes.value, enabled=view.can_resize)
        self.stop.setEnabled(view.can_stop)
        self.foot.say(view.foot.text, view.foot.tone, view.foot.tip)
        self.setAccessibleName(f"{view.path}, {view.pill.text}, {self.sizes.field.text()}")

    def _chosen(self, size: int) -> None:
        if self._folder is not None and size != self._folder.allocated_bytes:
            self._actions.resize_folder(self._folder, size)

    def _stop(self) -> None:
        if self._folder is not None:
            self._actions.stop_folder(self._folder)

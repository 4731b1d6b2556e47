"""The models and runtimes of this machine: what is in memory, how fast, at what price; taking in and removing."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from depin_desktop.api.compute import ModelImport, ModelStatus
from depin_desktop.app.known import Known
from depin_desktop.app.pages.base import ComputeActions
from depin_desktop.app.presenters import models as say
from depin_desktop.app.presenters.compute import device_name
from depin_desktop.app.widgets.banner import EmptyState
from depin_desktop.app.widgets.buttons import Button
from depin_desktop.app.widgets.card import Card, CardHead
from depin_desktop.app.widgets.progress import Progress
from depin_desktop.app.widgets.table import Rows, Table
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import Words, tr

MOST_ROWS = 8


class ModelsCard(Card):
    """A row a model; what is chosen can be removed with its button or the Delete key."""

    def __init__(self, actions: ComputeActions) -> None:
        super().__init__()
        self._actions = actions
        self._known = Known()
        self.head = CardHead(tr("Models"))
        self.summary = Text("", "caption", "muted", elide=Qt.TextElideMode.ElideRight)
        self.head.row.insertWidget(2, self.summary)
        self.remove = Button(tr("Remove…"), "small")
        self.remove.clicked.connect(self._remove)
        self.bring = Button(tr("Import…"), "small", icon="plus", tip=tr("Take a model’s file in: GGUF or ONNX"))
        self.bring.clicked.connect(actions.import_model)
        self.head.add_right(self.remove)
        self.head.add_right(self.bring)
        self._imports: dict[str, ImportRow] = {}
        self._import_column = QVBoxLayout()
        self._import_column.setSpacing(8)
        self.rows: Rows[ModelStatus] = Rows(say.COLUMNS, self._cell, say.sort_key, right=say.RIGHT)
        self.table = Table(
            tr("Models"),
            self.rows,
            give_way=(2, 1),
            pills=(5,),
            two_lines=say.TWO_LINES,
            ascending=0,
            copy_row=say.copied,
        )
        self.table.selectionModel().selectionChanged.connect(self._judge)
        self.table.removed.connect(self._remove)
        self.empty = EmptyState(
            "chip",
            tr("No model yet"),
            tr("Import a GGUF model to answer chats, or share without one: customers then bring small programs."),
        )
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.table)
        self.body.addWidget(self.head)
        self.body.addLayout(self._import_column)
        self.body.addWidget(self._stack, 1)

    def _cell(self, model: ModelStatus, column: int, _now: float) -> Words:
        return say.cell(model, column, device_name(model.device, self._known), self._known.symbol)

    @property
    def chosen(self) -> ModelStatus | None:
        """The model whose row is selected."""
        rows: list[QModelIndex] = self.table.selectionModel().selectedRows()
        return self.rows.entry(self.table.order.mapToSource(rows[0]).row()) if rows else None

    def show_models(self, known: Known, now: float) -> None:
        self._known = known
        compute, controls = known.compute, known.controls
        models = compute.models if compute else ()
        self._stack.setCurrentIndex(1 if models else 0)
        if compute is None:
            self.empty.say(tr("Reading…"), tr("The engine has not told yet."))
        else:
            cap = controls.wishes.disk_bytes if controls else None
            self.summary.say(say.summary(models, compute.models_bytes, cap))
            self._show_imports(compute.imports, known.link.live)
        self.rows.show_entries(models, now)
        self.table.setMinimumHeight(self.table.wanted_height(MOST_ROWS) if models else 0)
        self.bring.setEnabled(known.link.live and compute is not None)
        self._judge()

    def _show_imports(self, imports: tuple[ModelImport, ...], live: bool) -> None:
        present = {entry.id for entry in imports}
        for gone in [identity for identity in self._imports if identity not in present]:
            row = self._imports.pop(gone)
            self._import_column.removeWidget(row)
            row.hide()
            row.deleteLater()
        for entry in imports:
            if entry.id not in self._imports:
                row = self._imports[entry.id] = ImportRow(self._actions)
                self._import_column.addWidget(row)
            self._imports[entry.id].show_import(say.import_view(entry), live)

    def _judge(self, *_: object) -> None:
        judged = say.removable(self.chosen, self._known.link.live)
        self.remove.setEnabled(judged.tone == "text")
        self.remove.setToolTip(judged.tip)

    def _remove(self) -> None:
        model = self.chosen
        if model is not None and self.remove.isEnabled():
            self._actions.remove_model(model)


class ImportRow(QWidget):
    """A file on its way in: how far, and how to stop it."""

    def __init__(self, actions: ComputeActions) -> None:
        super().__init__()
        self._actions, self._id = actions, ""
        self.title = Text("", "strong", elide=Qt.TextElideMode.ElideMiddle)
        self.detail = Text("", "caption", "muted", wrap=True)
        self.progress = Progress()
        self.stop = Button("", "small")
        self.stop.clicked.connect(lambda: self._actions.cancel_import(self._id))
        words = QVBoxLayout()
        words.setSpacing(4)
        words.addWidget(self.title)
        words.addWidget(self.progress)
        words.addWidget(self.detail)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 4)
        row.setSpacing(16)
        row.addLayout(words, 1)
        row.addWidget(self.stop)

    def show_import(self, view: say.ImportView, live: bool) -> None:
        self._id = view.id
        self.title.say(view.title)
        self.detail.say(view.detail.text, view.detail.tone, view.detail.tip)
        self.progress.setVisible(view.detail.tone != "fault")
        self.progress.show_done(view.done)
        self.stop.setText(view.action)
        self.stop.setAccessibleName(f"{view.action} {view.title}")
        self.stop.setEnabled(live)
        self.setAccessibleName(f"{view.title}, {view.detail.text}")

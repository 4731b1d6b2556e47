"""Dialogs of the Compute page: taking a model in, and everything about one job."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QPlainTextEdit, QWidget

from depin_desktop.api.compute import ImportModel, JobStatus
from depin_desktop.app.dialogs import Dialog
from depin_desktop.app.fonts import font
from depin_desktop.app.known import Known
from depin_desktop.app.presenters import jobs as say
from depin_desktop.app.presenters.compute import device_name
from depin_desktop.app.presenters.models import import_problem
from depin_desktop.app.widgets.card import Pill
from depin_desktop.app.widgets.fields import Field, PathRow
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import tr

JOB_WIDTH = 620
LOG_HEIGHT = 150


class ImportDialog(Dialog):
    """Which file, what it is called and under which licence. Signals: `wanted(ImportModel)`."""

    wanted = Signal(object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, tr("Import a model"))
        self.explain(
            tr(
                "A GGUF file for chat, or an ONNX file. It is copied into this machine’s models, checked, and "
                "measured before customers are offered it."
            )
        )
        self.path = Field(tr("File"), tr("File (.gguf or .onnx)"))
        self.column.addLayout(PathRow(self.path, tr("Choose a model’s file"), files=tr("Models (*.gguf *.onnx)")))
        self.name = Field(tr("Name"), tr("Name for customers (optional: the file’s own)"))
        self.licence = Field(tr("Licence"), tr("Licence, such as Apache-2.0 (optional)"))
        self.sha256 = Field(tr("SHA-256"), tr("SHA-256 that it must have (optional)"))
        for field in (self.name, self.licence, self.sha256):
            self.column.addWidget(field)
        self.problem = Text("", "secondary", "warning", wrap=True)
        self.column.addWidget(self.problem)
        licence = tr("Whoever made the model decides who may sell its answers: check its licence.")
        self.explain(licence, role="caption", tone="faint")
        self.accept_button = self.add_answers(tr("Import"), self._accept)
        for field in (self.path, self.sha256):
            field.textChanged.connect(self._judge)
        self._judge()
        self.path.setFocus()

    def _judge(self) -> None:
        problem = import_problem(self.path.text().strip(), self.sha256.text().strip())
        self.problem.say(problem)
        self.problem.setVisible(bool(problem))
        self.accept_button.setEnabled(bool(self.path.text().strip()) and not problem)

    def _accept(self) -> None:
        if self.accept_button.isEnabled():
            self.wanted.emit(
                ImportModel(
                    path=self.path.text().strip(),
                    name=self.name.text().strip(),
                    sha256=self.sha256.text().strip().lower(),
                    licence=self.licence.text().strip(),
                )
            )
            self.accept()


class JobDialog(Dialog):
    """One job as it stood when it was opened."""

    def __init__(self, parent: QWidget, job: JobStatus, known: Known) -> None:
        view = say.job_view(job, time.time(), device_name(job.device, known), known.symbol)
        super().__init__(parent, view.title)
        self.setFixedWidth(JOB_WIDTH)
        self.pill = Pill()
        self.pill.say(view.outcome.text, view.outcome.tone)
        state = QHBoxLayout()
        state.setSpacing(10)
        state.addWidget(self.pill)
        state.addWidget(Text(view.meaning, "secondary", "muted"), 1)
        self.column.addLayout(state)
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(5)
        grid.setColumnStretch(1, 1)
        for row, (name, value) in enumerate(view.facts):
            label = Text(value, "body", elide=Qt.TextElideMode.ElideMiddle)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            grid.addWidget(Text(name, "secondary", "muted"), row, 0)
            grid.addWidget(label, row, 1)
        self.column.addLayout(grid)
        self.log = QPlainTextEdit(view.log)
        self.log.setReadOnly(True)
        self.log.setFont(font("code"))
        self.log.setAccessibleName(tr("Log"))
        self.log.setFixedHeight(LOG_HEIGHT)
        self.log.setTabChangesFocus(True)
        self.column.addWidget(Text(tr("Log"), "secondary", "muted"))
        self.column.addWidget(self.log)
        facts = "\n".join(f"{name}\t{value}" for name, value in view.facts)
        copy = self.add_button(tr("Copy"))
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(f"{facts}\n\n{view.log}"))
        close = self.add_close(tr("Close"))
        close.setDefault(True)
        close.setFocus()

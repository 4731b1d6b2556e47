"""Shows the wallet's words, to be written on paper: after the password, hidden until asked for, never copied."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QWidget

from depin_desktop.app.cli_process import depin
from depin_desktop.app.dialogs import Dialog
from depin_desktop.app.loop import Jobs
from depin_desktop.app.widgets.card import Card
from depin_desktop.app.widgets.fields import PasswordField
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import tr
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home

HIDDEN = "•••••"


class BackupDialog(Dialog):
    """The words live in this dialog only, and go with it."""

    def __init__(self, parent: QWidget, home: Home, jobs: Jobs) -> None:
        super().__init__(parent, tr("Back up your wallet"))
        self._home, self._jobs = home, jobs
        self._words: list[str] = []
        self._gone = False
        self.explain(
            tr(
                "Whoever has these words has the wallet. Write them on paper, in order, where nobody looks over your "
                "shoulder."
            )
        )
        self.password = PasswordField()
        self.problem = Text("", "secondary", "fault", wrap=True)
        self.problem.hide()
        self.card = Card(spacing=8)
        self._grid = QGridLayout()
        self._grid.setSpacing(10)
        self.card.body.addLayout(self._grid)
        self.card.hide()
        self._labels: list[Text] = []
        for widget in (self.password, self.problem, self.card):
            self.column.addWidget(widget)
        self.close_button = self.add_close(tr("Close"))
        self.next = self.add_button(tr("Show the words"), "filled")
        self.next.setDefault(True)
        self.next.clicked.connect(self._go_on)
        self.finished.connect(self._forget)
        self.password.setFocus()

    def _go_on(self) -> None:
        if not self._words:
            self._wait(tr("Unlocking…"), self._ask(self.password.take()))
        elif self._revealed:
            self._wait(tr("Noting it…"), self._note())
        else:
            self._reveal()

    def _wait(self, meanwhile: str, work: Coroutine[Any, Any, None]) -> None:
        self.next.setEnabled(False)
        self.next.setText(meanwhile)
        self._jobs.spawn("backup", work)

    async def _ask(self, password: str) -> None:
        try:
            answer = await depin(self._home, "wallet", "backup", "--password-stdin", password=password)
        except UserFacingError as problem:
            self._refused(problem, tr("Show the words"))
            return
        words = answer.get("words", "") if isinstance(answer, dict) else ""
        if not self._gone:
            self._show(words.split() if isinstance(words, str) else [str(word) for word in words])

    async def _note(self) -> None:
        """The owner says that they are on paper: the reminder ends."""
        try:
            await depin(self._home, "wallet", "backup", "--written-down")
        except UserFacingError as problem:
            self._refused(problem, tr("They are on paper"))
            return
        if not self._gone:
            self.accept()

    def _refused(self, problem: UserFacingError, retry: str) -> None:
        if self._gone:
            return
        self.problem.say(str(problem))
        self.problem.show()
        self.next.setText(retry)
        self.next.setEnabled(True)
        self.password.setFocus()

    def _show(self, words: list[str]) -> None:
        self._words = words
        self.problem.hide()
        self.password.hide()
        rows = (len(words) + 2) // 3
        for index in range(len(words)):
            number = Text(str(index + 1), "caption", "faint")
            number.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            label = Text(HIDDEN, "strong")
            self._labels.append(label)
            self._grid.addWidget(number, index % rows, index // rows * 2)
            self._grid.addWidget(label, index % rows, index // rows * 2 + 1)
            self._grid.setColumnStretch(index // rows * 2 + 1, 1)
        self.card.show()
        self.next.setText(tr("Reveal"))
        self.next.setEnabled(True)
        self.next.setFocus()

    def _reveal(self) -> None:
        for label, word in zip(self._labels, self._words, strict=True):
            label.say(word)
        self.next.setText(tr("They are on paper"))
        self.close_button.setText(tr("Not yet"))

    @property
    def _revealed(self) -> bool:
        return bool(self._labels) and self._labels[0].text() != HIDDEN

    def _forget(self) -> None:
        self._gone = True
        self._words = []
        for label in self._labels:
            label.say("")

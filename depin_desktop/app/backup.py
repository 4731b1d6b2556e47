"""Shows the wallet's words, to be written on paper: after the password, hidden until asked for, never copied."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLineEdit, QWidget

from depin_desktop.app.cli_process import depin
from depin_desktop.app.dialogs import Dialog
from depin_desktop.app.fonts import font
from depin_desktop.app.loop import Jobs
from depin_desktop.app.widgets.card import Card
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
        self.explanation = Text(
            tr(
                "Whoever has these words has the wallet. Write them on paper, in order, where "
                "nobody looks over your shoulder."
            ),
            "secondary",
            "muted",
            wrap=True,
        )
        self.password = QLineEdit()
        self.password.setEchoMode(QLineEdit.EchoMode.Password)
        self.password.setFont(font("body"))
        self.password.setPlaceholderText(tr("Wallet password"))
        self.password.setAccessibleName(tr("Wallet password"))
        self.problem = Text("", "secondary", "fault", wrap=True)
        self.problem.hide()
        self.card = Card(spacing=8)
        self._grid = QGridLayout()
        self._grid.setSpacing(10)
        self.card.body.addLayout(self._grid)
        self.card.hide()
        self._labels: list[Text] = []
        for widget in (self.explanation, self.password, self.problem, self.card):
            self.column.addWidget(widget)
        self.close_button = self.add_close(tr("Close"))
        self.next = self.add_button(tr("Show the words"), "filled")
        self.next.setDefault(True)
        self.next.clicked.connect(self._unlock)
        self.finished.connect(self._forget)
        self.password.setFocus()

    def _unlock(self) -> None:
        if self._words:
            self._reveal()
            return
        self.next.setEnabled(False)
        self.next.setText(tr("Unlocking…"))
        self._jobs.spawn("backup", self._ask(self.password.text()))
        self.password.clear()

    async def _ask(self, password: str) -> None:
        try:
            answer = await depin(self._home, "wallet", "backup", "--password-stdin", password=password)
        except UserFacingError as problem:
            self.problem.say(str(problem))
            self.problem.show()
            self.next.setText(tr("Show the words"))
            self.next.setEnabled(True)
            self.password.setFocus()
            return
        words = answer.get("words", "") if isinstance(answer, dict) else ""
        self._show(words.split() if isinstance(words, str) else [str(word) for word in words])

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
        self.adjustSize()

    def _reveal(self) -> None:
        for label, word in zip(self._labels, self._words, strict=True):
            label.say(word)
        self.next.hide()
        self.close_button.setText(tr("I have written them down"))

    def _forget(self) -> None:
        self._words = []
        for label in self._labels:
            label.say("")

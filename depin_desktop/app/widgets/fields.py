"""Fields to type into: with the font, hint and accessible name that every one has; some have a button beside them."""

from __future__ import annotations

import os
from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QWidget

from depin_desktop.app.fonts import font
from depin_desktop.app.widgets.buttons import Button
from depin_desktop.app.words import tr


class Field(QLineEdit):
    """One line. `hint` is what it shows while it is empty, its name where none is given.

    Args:
        cleaned: what becomes of a text that was typed or pasted.
    """

    def __init__(self, name: str, hint: str = "", *, cleaned: Callable[[str], str] | None = None) -> None:
        super().__init__()
        self.setFont(font("body"))
        self.setAccessibleName(name)
        self.setPlaceholderText(hint or name)
        if cleaned is not None:
            self._cleaned = cleaned
            self.textChanged.connect(self._clean)

    def _clean(self, text: str) -> None:
        if (cleaned := self._cleaned(text)) != text:
            self.setText(cleaned)

    def mark(self, invalid: bool) -> None:
        """Draws the edge of a field whose text cannot be used, or its usual one."""
        if invalid != bool(self.property("invalid")):
            self.setProperty("invalid", invalid)
            self.style().unpolish(self)
            self.style().polish(self)


class PasswordField(Field):
    """A password: hidden, and gone from here once it is taken."""

    def __init__(self, name: str = "") -> None:
        super().__init__(name or tr("Wallet password"))
        self.setEchoMode(QLineEdit.EchoMode.Password)

    def take(self) -> str:
        """What was typed; the field is empty afterwards."""
        password = self.text()
        self.clear()
        return password


class Beside(QHBoxLayout):
    """A field, and a button at its right that fills it in."""

    def __init__(self, field: QLineEdit, button: Button) -> None:
        super().__init__()
        self.setSpacing(8)
        self.addWidget(field, 1)
        self.addWidget(button)


class PathRow(Beside):
    """The path of a file, or with `folder` of a folder, typed or picked.

    Args:
        title: of the window to pick in.
        files: the kinds of files to choose from, as Qt writes them.
    """

    def __init__(self, field: QLineEdit, title: str, *, folder: bool = False, files: str = "") -> None:
        self.browse = Button(tr("Browse…"))
        super().__init__(field, self.browse)
        self._field, self._title, self._folder, self._files = field, title, folder, files
        self.browse.clicked.connect(self._pick)

    def _pick(self) -> None:
        typed = self._field.text()
        begin = typed if self._folder else os.path.dirname(typed)
        window: QWidget = self._field.window()
        picker = QFileDialog(window, self._title, begin or os.path.expanduser("~"))
        if self._folder:
            picker.setFileMode(QFileDialog.FileMode.Directory)
            picker.setOption(QFileDialog.Option.ShowDirsOnly)
        else:
            picker.setFileMode(QFileDialog.FileMode.ExistingFile)
        if self._files:
            picker.setNameFilter(self._files)
        picker.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        picker.fileSelected.connect(lambda chosen: self._field.setText(os.path.normpath(chosen)))
        picker.open()

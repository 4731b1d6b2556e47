"""What the pages' wishes become: requests to the engine, dialogs, the clipboard, files. None of it blocks."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QWidget

from depin_desktop.api.models import SharedFolder
from depin_desktop.api.wallet import HistoryEntry
from depin_desktop.app.compute_controller import ComputeController
from depin_desktop.app.dialogs import ConfirmDialog, Dialog, ShareDialog
from depin_desktop.app.engine_link import EngineLink
from depin_desktop.app.loop import Jobs
from depin_desktop.app.presenters import storage as say
from depin_desktop.app.presenters import wallet as say_wallet
from depin_desktop.app.wallet_controller import WalletController
from depin_desktop.app.words import tr
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_size

if TYPE_CHECKING:
    from depin_desktop.app.widgets.banner import Toasts

CLIPBOARD_CHECK_MS = 400


class Controller(QObject):
    """Implements `pages.base.Actions`. Signals: `page_wanted(name)`, `refresh_wanted()`."""

    page_wanted = Signal(str)
    refresh_wanted = Signal()

    def __init__(self, window: QWidget, link: EngineLink, toasts: Toasts) -> None:
        super().__init__(window)
        self._window, self.link, self._toasts = window, link, toasts
        self.jobs = Jobs(self.show_problem)
        self.switching = False
        self.dialog: Dialog | None = None
        self.compute = ComputeController(window, link, toasts, self.jobs, self._open)
        self.compute.refresh_wanted.connect(self.refresh_wanted)
        self.wallet = WalletController(window, link, toasts, self.jobs, self._open)
        self.wallet.refresh_wanted.connect(self.refresh_wanted)
        self.wallet.reload_wanted.connect(self.refresh)
        self.wallet.copy_wanted.connect(self.copy)

    def show_problem(self, problem: UserFacingError) -> None:
        """A request was refused or did not arrive."""
        self._toasts.say(problem.message, problem.remedy, tone="fault")
        self.refresh_wanted.emit()  # controls go back to what the engine last said

    # --- sharing ----------------------------------------------------------------------------------------------------

    def set_sharing(self, on: bool) -> None:
        if not self.switching:
            self.switching = True
            self.refresh_wanted.emit()
            self.jobs.spawn("set sharing", self._set_sharing(on))

    async def _set_sharing(self, on: bool) -> None:
        try:
            await self.link.set_sharing(on)
        finally:
            self.switching = False
            self.refresh_wanted.emit()

    def add_folder(self) -> None:
        if not self.link.known.link.live:
            return
        dialog = ShareDialog(self._window, self.link.known.inventory, self.link.known.storage)
        dialog.shared.connect(self._share)
        self._open(dialog)

    def _open(self, dialog: Dialog) -> None:
        self.dialog = dialog
        dialog.finished.connect(self._closed)
        dialog.open()

    def _closed(self) -> None:
        self.dialog = None

    def snapshots_changed(self) -> None:
        """Lets an open dialog know."""
        if isinstance(self.dialog, ShareDialog):
            self.dialog.know(self.link.known.inventory, self.link.known.storage)
        self.wallet.know(self.link.known)

    def _share(self, path: str, size: object) -> None:
        self.jobs.spawn("share a folder", self._share_folder(path, int(size)))  # type: ignore[call-overload]

    async def _share_folder(self, path: str, size: int) -> None:
        await self.link.share_storage(path, size)
        self._toasts.say(tr("{size} of {path} are shared.", size=format_size(size), path=path), tone="accent")

    def resize_folder(self, folder: SharedFolder, size: int) -> None:
        self.jobs.spawn("resize a folder", self._resize(folder, size))

    async def _resize(self, folder: SharedFolder, size: int) -> None:
        before = folder.allocated_bytes
        await self.link.share_storage(folder.path, size, folder.keep_free_bytes)
        if size >= before:
            self._toasts.say(tr("{size} are shared now.", size=format_size(size)), tone="accent")
            return
        held = folder.stored_bytes + folder.reserved_bytes
        remedy = ""
        if size < held:
            remedy = tr("More than that is stored: it takes nothing new until customers leave.")

        def undo() -> None:
            self.jobs.spawn("undo a shrink", self._undo(folder, before))

        self._toasts.say(
            tr("Shrunk to {size}.", size=format_size(size)),
            remedy,
            label=tr("Undo"),
            act=undo,
        )

    async def _undo(self, folder: SharedFolder, size: int) -> None:
        await self.link.share_storage(folder.path, size, folder.keep_free_bytes)
        self._toasts.say(tr("Back to {size}.", size=format_size(size)), tone="accent")

    def stop_folder(self, folder: SharedFolder) -> None:
        dialog = ConfirmDialog(
            self._window,
            tr("Stop sharing this folder?"),
            say.stop_sentences(folder),
            tr("Stop sharing"),
            tr("Keep sharing"),
        )
        dialog.confirmed.connect(lambda: self.jobs.spawn("stop sharing", self._stop(folder)))
        self._open(dialog)

    async def _stop(self, folder: SharedFolder) -> None:
        await self.link.unshare_storage(folder.path)
        self._toasts.say(tr("{path} takes nothing new any more.", path=folder.path))

    # --- wallet -----------------------------------------------------------------------------------------------------

    def copy(self, text: str, what: str) -> None:
        """Copies, then looks again: there is malware that swaps addresses on the clipboard."""
        QGuiApplication.clipboard().setText(text)
        QTimer.singleShot(CLIPBOARD_CHECK_MS, self, lambda: self._check_copy(text, what))

    def _check_copy(self, text: str, what: str) -> None:
        if QGuiApplication.clipboard().text() == text:
            self._toasts.say(tr("{what} copied.", what=what), tone="accent")
        else:
            self._toasts.say(
                tr("The clipboard holds something else than what was copied."),
                tr("Another program changed it. Do not paste it into a payment; compare the groups by eye."),
                tone="fault",
            )

    def history(self) -> tuple[HistoryEntry, ...]:
        return self.link.known.history or ()

    def more_history(self) -> None:
        self.jobs.spawn("load older entries", self.link.more_history())

    def export_history(self) -> None:
        picker = QFileDialog(self._window, tr("Export the history"))
        picker.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        picker.setDefaultSuffix("csv")
        picker.setNameFilter(tr("CSV files (*.csv)"))
        picker.selectFile(f"depin-history-{time.strftime('%Y-%m-%d')}.csv")
        picker.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        picker.fileSelected.connect(lambda path: self.jobs.spawn("export the history", self.write_history(Path(path))))
        picker.open()

    async def write_history(self, path: Path) -> None:
        """Writes everything there is to `path`."""
        entries = await self.link.whole_history()
        text = say_wallet.export_csv(entries, self.link.known.symbol)
        try:
            await asyncio.to_thread(lambda: path.write_text(text, "utf-8", newline=""))
        except OSError as error:
            raise UserFacingError(
                f"{path} could not be written ({error.strerror}).", "Choose another place.", code="export-failed"
            ) from error
        self._toasts.say(tr("{n} entries written to {path}", n=len(entries), path=path), tone="accent")

    # --- the rest ---------------------------------------------------------------------------------------------------

    def open_page(self, name: str) -> None:
        self.page_wanted.emit(name)

    def refresh(self) -> None:
        """F5: everything again, or the link when it is gone."""
        if self.link.known.link.live:
            self.jobs.spawn("refresh", self.link.refresh())
        else:
            self.link.retry()

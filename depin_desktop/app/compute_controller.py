"""What the Compute page's wishes become: requests to the engine, and the dialogs on the way to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from pydantic import BaseModel
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from depin_desktop.api.compute import ImportModel, JobStatus, ModelStatus, ShareCompute
from depin_desktop.api.controls import Wishes
from depin_desktop.app.dialogs import ConfirmDialog, Dialog
from depin_desktop.app.engine_link import EngineLink
from depin_desktop.app.loop import Jobs
from depin_desktop.app.presenters import models as say_models
from depin_desktop.app.words import tr

if TYPE_CHECKING:
    from depin_desktop.api.client import EngineClient
    from depin_desktop.app.widgets.banner import Toasts


class ComputeController(QObject):
    """Implements `pages.base.ComputeActions`. Signals: `refresh_wanted()`."""

    refresh_wanted = Signal()

    def __init__(
        self, window: QWidget, link: EngineLink, toasts: Toasts, jobs: Jobs, open_dialog: Callable[[Dialog], None]
    ) -> None:
        super().__init__(window)
        self._window, self.link, self._toasts, self._jobs = window, link, toasts, jobs
        self._open = open_dialog
        self.switching = False
        self._wanted: Wishes | None = None

    def _ask(self, name: str, field: str, request: Callable[[EngineClient], Awaitable[BaseModel]]) -> None:
        self._jobs.spawn(name, self._sent(field, request))

    async def _sent(self, field: str, request: Callable[[EngineClient], Awaitable[BaseModel]], said: str = "") -> None:
        await self.link.ask(field, request)
        if said:
            self._toasts.say(said, tone="accent")

    # --- the service

    def share(self, on: bool) -> None:
        if not self.switching:
            self.switching = True
            self.refresh_wanted.emit()
            self._jobs.spawn("share compute", self._share(on))

    async def _share(self, on: bool) -> None:
        try:
            if on:
                await self.link.ask("compute", lambda client: client.share_compute(ShareCompute()))
            else:
                await self.link.ask("compute", lambda client: client.unshare_compute())
        finally:
            self.switching = False
            self.refresh_wanted.emit()

    # --- models and jobs

    def import_model(self) -> None:
        if not self.link.known.link.live:
            return
        from depin_desktop.app.compute_dialogs import ImportDialog  # rarely needed, and not for the first window

        dialog = ImportDialog(self._window)
        dialog.wanted.connect(self._import)
        self._open(dialog)

    def _import(self, request: object) -> None:
        assert isinstance(request, ImportModel)
        self._ask("import a model", "compute", lambda client: client.import_model(request))

    def cancel_import(self, identity: str) -> None:
        self._ask("cancel an import", "compute", lambda client: client.cancel_import(identity))

    def remove_model(self, model: ModelStatus) -> None:
        dialog = ConfirmDialog(
            self._window,
            tr("Remove {name}?", name=say_models.short(model.name)),
            say_models.remove_sentences(model),
            tr("Remove"),
            tr("Keep it"),
        )
        dialog.confirmed.connect(lambda: self._remove(model))
        self._open(dialog)

    def _remove(self, model: ModelStatus) -> None:
        said = tr("{name} was removed.", name=say_models.short(model.name))
        self._jobs.spawn(
            "remove a model", self._sent("compute", lambda client: client.remove_model(model.sha256), said)
        )

    def show_job(self, job: JobStatus) -> None:
        from depin_desktop.app.compute_dialogs import JobDialog

        self._open(JobDialog(self._window, job, self.link.known))

    # --- the owner's controls

    def change_rules(self, change: Callable[[Wishes], Wishes]) -> None:
        """Applies a change; one that is made before the last was answered builds on it."""
        controls = self.link.known.controls
        base = self._wanted if self._wanted is not None or controls is None else controls.wishes
        if base is None:
            return
        wanted = change(base)
        if wanted != base:
            sending, self._wanted = self._wanted is not None, wanted
            if not sending:
                self._jobs.spawn("change the rules", self._send_rules())

    async def _send_rules(self) -> None:
        try:
            while (wanted := self._wanted) is not None:
                await self._sent("controls", partial(_set_controls, wishes=wanted))
                if self._wanted is wanted:
                    self._wanted = None
        finally:
            self._wanted = None

    def pause(self, seconds: float | None, finish_current: bool) -> None:
        self._ask("pause work", "controls", lambda client: client.pause(seconds, finish_current=finish_current))

    def resume(self) -> None:
        self._ask("resume work", "controls", lambda client: client.resume())


async def _set_controls(client: EngineClient, wishes: Wishes) -> BaseModel:
    return await client.set_controls(wishes)

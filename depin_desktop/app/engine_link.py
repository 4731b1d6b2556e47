"""The only thing in the app that talks to the engine: keeps a link up, holds the last snapshots, carries requests.

It starts an engine where none runs, follows its events, notices when it goes silent, and heals with back-off. Views
get one coalesced signal at most four times a second, whatever the engine's pace.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from PySide6.QtCore import QObject, QTimer, Signal

from depin_desktop.api.compute import ComputeStatus
from depin_desktop.api.controls import ControlsStatus
from depin_desktop.api.endpoint import EngineUnreachable
from depin_desktop.api.models import (
    Activity,
    EngineStatus,
    Event,
    Inventory,
    ShareStorage,
    StorageStatus,
)
from depin_desktop.api.wallet import HistoryEntry, Look, LookAt, WalletStatus
from depin_desktop.app.backoff import Backoff
from depin_desktop.app.engine_process import EngineProcess
from depin_desktop.app.known import Known, Link, Phase, with_load
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.presence.teller import Teller

if TYPE_CHECKING:
    from depin_desktop.api.client import EngineClient

log = logging.getLogger(__name__)

COALESCE_MS = 250
HEARTBEAT_S = 10.0
HEARTBEAT_TIMEOUT_S = 5.0
START_TIMEOUT_S = 30.0
HISTORY_PAGE = 100
HISTORY_EVERY_S = 3.0
MAX_ACTIVITY = 50

_MODELS: dict[str, tuple[str, type[BaseModel]]] = {
    "status": ("status", EngineStatus),
    "storage": ("storage", StorageStatus),
    "wallet": ("wallet", WalletStatus),
    "hardware": ("inventory", Inventory),
    "compute": ("compute", ComputeStatus),
    "controls": ("controls", ControlsStatus),
}


class EngineLink(QObject):
    """Signals: `changed` (a frozenset of the fields of Known that are new)."""

    changed = Signal(object)

    def __init__(self, home: Home, *, start_engine: bool = True, process: EngineProcess | None = None) -> None:
        super().__init__()
        self.home = home
        self.known = Known(link=Link(Phase.CONNECTING, time.time()))
        self.process = process or EngineProcess(home)
        self._may_start = start_engine
        self._client: EngineClient | None = None
        self._backoff = Backoff()
        self._wake = asyncio.Event()
        self._history_wanted = asyncio.Event()
        self._dirty: set[str] = set()
        self._soon = False
        self._quiet = QTimer(self)
        self._quiet.setSingleShot(True)
        self._quiet.setInterval(COALESCE_MS)
        self._quiet.timeout.connect(self._announce)

    # --- the link ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keeps the link up until cancelled."""
        module = await asyncio.to_thread(importlib.import_module, "depin_desktop.api.client")  # 0.2 s, mostly aiohttp
        self._client = module.EngineClient(self.home)
        try:
            while True:
                await self._attempt(self._client)
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._backoff.next())
        finally:
            await self._client.close()

    async def _attempt(self, client: EngineClient) -> None:
        """One session, from its beginning to its end; never raises but when cancelled."""
        try:
            try:
                await self._session(client)
            except UserFacingError as problem:
                await self._after_loss(problem)
        except UserFacingError as problem:
            self._set_link(Phase.FAILED, problem.message, problem.remedy)
        except Exception:
            log.exception("the link to the engine failed")
            self._set_link(Phase.LOST, "Something went wrong inside the app; its log has the details.")

    async def _session(self, client: EngineClient) -> None:
        self._hear(status=await client.connect())
        self._backoff.reset()
        self._set_link(Phase.LIVE)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(client))
                group.create_task(self._watch(client))
                group.create_task(self._keep_history(client))
                group.create_task(self._tell_presence(client))
                group.create_task(self._load(client, everything=True))
        except BaseExceptionGroup as failures:
            raise _first_failure(failures) from failures

    async def _follow(self, client: EngineClient) -> None:
        async for event in client.events():
            self._take(event)

    def _take(self, event: Event) -> None:
        try:
            if event.topic == "activity":
                self._add_activity(Activity.model_validate(event.data))
            elif event.topic in _MODELS:
                field, model = _MODELS[event.topic]
                self._hear(**{field: model.model_validate(event.data)})
                if event.topic == "wallet":
                    self._history_wanted.set()
        except ValidationError as error:
            raise UserFacingError(
                "The engine that runs is of another version.", "Restart it, then try again.", code="version-mismatch"
            ) from error

    def _add_activity(self, entry: Activity) -> None:
        status = self.known.status
        if status is not None and entry not in status.activity:
            self._hear(status=status.model_copy(update={"activity": (entry, *status.activity)[:MAX_ACTIVITY]}))

    async def _watch(self, client: EngineClient) -> None:
        """A socket can stay open though nobody lives behind it; an unanswered question tells."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            try:
                self._hear(status=await asyncio.wait_for(client.status(), HEARTBEAT_TIMEOUT_S))
            except TimeoutError as error:
                raise EngineUnreachable(self.home.root) from error
            await self._load(client, everything=False)

    async def _load(self, client: EngineClient, *, everything: bool) -> None:
        """Asks for what events have not brought; a part that the engine cannot tell now is asked for again later."""
        asks: dict[str, Callable[[], Awaitable[object]]] = {
            "storage": client.storage,
            "wallet": client.wallet,
            "inventory": client.hardware,
            "compute": client.compute,
            "controls": client.controls,
        }
        for field, ask in asks.items():
            if everything or getattr(self.known, field) is None:
                try:
                    self._hear(**{field: await ask()})
                except EngineUnreachable:
                    raise
                except UserFacingError as problem:
                    log.info("%s is not to be had now: %s", field, problem.code)
        if everything or self.known.history is None:
            self._history_wanted.set()

    async def _keep_history(self, client: EngineClient) -> None:
        while True:
            await self._history_wanted.wait()
            self._history_wanted.clear()
            try:
                newest = await client.history(HISTORY_PAGE)
            except EngineUnreachable:
                raise
            except UserFacingError as problem:
                log.info("the history is not to be had now: %s", problem.code)
            else:
                self._hear_history(newest)
            await asyncio.sleep(HISTORY_EVERY_S)

    async def _tell_presence(self, client: EngineClient) -> None:
        """The engine may be no part of any desktop session; this app is."""
        try:
            await Teller(client.tell_presence).run()
        except EngineUnreachable:
            raise
        except UserFacingError as problem:
            log.info("the engine does not want to know of this session: %s", problem.code)

    def _hear_history(self, newest: list[HistoryEntry]) -> None:
        older: tuple[HistoryEntry, ...] = ()
        complete = len(newest) < HISTORY_PAGE
        if not complete and self.known.history:
            older = tuple(entry for entry in self.known.history if entry.at < newest[-1].at)
            complete = self.known.history_complete
        history = (*newest, *older)
        if history != self.known.history:
            self._hear(history=history, history_complete=complete)

    async def _after_loss(self, problem: UserFacingError) -> None:
        away = isinstance(problem, EngineUnreachable)
        if self.process.running:
            # Ours, and either still starting or hung; only a start that takes too long is a failure.
            if self.known.link.phase is not Phase.STARTING:
                self._set_link(Phase.LOST, "" if away else str(problem))
            elif time.time() - self.known.link.since > START_TIMEOUT_S:
                self._set_link(Phase.FAILED, "It did not answer in time.", "Its log is in the home's logs folder.")
            return
        if self.known.link.phase is Phase.STARTING:  # what we started has ended again
            said = await self.process.last_words()
            self._set_link(Phase.FAILED, said or "It ended at once.", "" if said else "Its log has more.")
            self._may_start = False
        elif away and self._may_start and await asyncio.to_thread(lambda: self.home.initialised):
            self._set_link(Phase.STARTING)
            await self.process.start()
            self._may_start = False
            self._backoff.reset()
        elif self.known.link.phase is not Phase.FAILED:
            was_ours = self.process.started
            self._set_link(Phase.LOST, "" if away else problem.message, problem.remedy if not away else "")
            self._may_start = was_ours  # an engine that somebody else runs is theirs to start again

    def retry(self) -> None:
        """The owner wants a link now; an engine is started if none runs."""
        self._may_start = True
        self._backoff.reset()
        if self.known.link.phase is Phase.FAILED:
            self._set_link(Phase.CONNECTING)
        self._wake.set()

    # --- what is known ----------------------------------------------------------------------------------------------

    def _hear(self, **news: Any) -> None:
        if (controls := news.get("controls")) is not None:
            news["loads"] = with_load(self.known.loads, controls, time.time())
        self.known = replace(self.known, heard_at=time.time(), **news)
        self._mark(*news)

    def _set_link(self, phase: Phase, detail: str = "", remedy: str = "") -> None:
        link = self.known.link
        since = link.since if link.phase is phase else time.time()
        self.known = replace(self.known, link=Link(phase, since, detail, remedy))
        if link != self.known.link:
            self._dirty.add("link")
            self._announce()  # rare, and what the owner waits for

    def _mark(self, *fields: str) -> None:
        self._dirty.update(fields)
        if not self._quiet.isActive() and not self._soon:
            self._soon = True
            QTimer.singleShot(0, self._announce)  # the first news of a burst is shown at once

    def _announce(self) -> None:
        self._soon = False
        if self._dirty:
            self._quiet.start()  # after every announcement, so that the next one is never too early
            dirty, self._dirty = frozenset(self._dirty), set()
            self.changed.emit(dirty)

    # --- requests ---------------------------------------------------------------------------------------------------

    def _live_client(self) -> EngineClient:
        if self._client is None or not self.known.link.live:
            raise EngineUnreachable(self.home.root)
        return self._client

    async def share_storage(self, path: str, size_bytes: int, keep_free_bytes: int | None = None) -> None:
        """Shares a folder, or changes its size."""
        request = ShareStorage(path=path, size_bytes=size_bytes, keep_free_bytes=keep_free_bytes)
        self._hear(storage=await self._live_client().share_storage(request))

    async def unshare_storage(self, path: str) -> None:
        """Stops sharing one folder; paid pieces stay until their deals end."""
        self._hear(storage=await self._live_client().unshare_storage(path))

    async def set_sharing(self, on: bool) -> None:
        """The one switch."""
        self._hear(status=await self._live_client().set_sharing(on))

    async def look(self, ask: LookAt) -> Look:
        """What a step of the owner's would do and cost; it changes nothing."""
        return await self._live_client().look(ask)

    async def ask(self, field: str, request: Callable[[EngineClient], Awaitable[BaseModel]]) -> None:
        """Sends a request whose answer is the new value of Known's `field`."""
        self._hear(**{field: await request(self._live_client())})

    async def refresh(self) -> None:
        """Asks for everything again."""
        client = self._live_client()
        self._hear(status=await client.status())
        await self._load(client, everything=True)

    async def more_history(self) -> None:
        """Loads the next older page."""
        history = self.known.history
        if not history or self.known.history_complete:
            return
        older = await self._live_client().history(HISTORY_PAGE, history[-1].at)
        self._hear(history=(*(self.known.history or ()), *older), history_complete=len(older) < HISTORY_PAGE)

    async def whole_history(self) -> tuple[HistoryEntry, ...]:
        """Everything there is, newest first."""
        while not self.known.history_complete and self.known.history:
            await self.more_history()
        return self.known.history or ()

    async def stop_engine(self) -> None:
        """Ends the engine that this app started, in an orderly way; one that ran before is left alone."""
        if not self.process.started:
            return
        asked = False
        if self._client is not None:
            try:
                await self._client.shutdown()
                asked = True
            except UserFacingError as problem:
                log.info("the engine did not take the request to stop: %s", problem.code)
        await self.process.stop(asked=asked)


def _first_failure(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one failure that explains a group's end: a person's matter before anything else."""
    flat: list[BaseException] = []
    for failure in failures.exceptions:
        flat.append(_first_failure(failure) if isinstance(failure, BaseExceptionGroup) else failure)
    return next((failure for failure in flat if isinstance(failure, UserFacingError)), flat[0])

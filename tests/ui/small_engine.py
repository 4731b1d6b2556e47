"""A small engine in this process: it holds snapshots, applies requests to them, and publishes what changed.

The door is the real one (`depin_desktop.api.server`), so everything between a click and an engine's method is tested.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from depin_desktop.api.models import (
    EngineStatus,
    FolderState,
    HistoryEntry,
    Inventory,
    ShareStorage,
    StorageStatus,
    UnshareStorage,
    WalletStatus,
)
from depin_desktop.api.server import ApiServer
from depin_desktop.controls.controls import Controls
from depin_desktop.core.bus import EventBus, Subscription
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home

from . import samples


class SmallEngine:
    """Attributes: `asked` (every request, in order), `refusal` (raised by the next one)."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._server: ApiServer | None = None
        self.bus = EventBus()
        self.asked: list[Any] = []
        self.request = asyncio.Condition()
        self.refusal: UserFacingError | None = None
        self.shutdown_wanted = False
        self.now: EngineStatus = samples.status()
        self.storing: StorageStatus = samples.storage()
        self.owning: WalletStatus = samples.wallet()
        self.controls = Controls(home.controls, self.bus, sharing=lambda: self.now.sharing, sources=samples.sources())
        self.entries: tuple[HistoryEntry, ...] = samples.history(250)

    async def start(self) -> None:
        self._server = ApiServer(self._home, self)
        await self.controls.start()
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop()
            await self.controls.stop()
            self._server = None

    def publish(self, topic: str, data: Any) -> None:
        self.bus.publish(topic, data)

    async def _take(self, request: Any) -> None:
        async with self.request:
            self.asked.append(request)
            self.request.notify_all()
        refusal, self.refusal = self.refusal, None
        if refusal is not None:
            raise refusal

    # --- api.server.Backend

    def status(self) -> EngineStatus:
        return self.now

    def storage(self) -> StorageStatus:
        return self.storing

    async def hardware(self) -> Inventory:
        return samples.inventory()

    async def wallet(self) -> WalletStatus:
        return self.owning

    async def history(self, limit: int, before: float | None) -> Sequence[HistoryEntry]:
        return [entry for entry in self.entries if before is None or entry.at < before][:limit]

    async def share_storage(self, request: ShareStorage) -> StorageStatus:
        await self._take(request)
        folders = list(self.storing.folders)
        for index, folder in enumerate(folders):
            if folder.path == request.path:
                folders[index] = folder.model_copy(update={"allocated_bytes": request.size_bytes})
                break
        else:
            folders.append(samples.folder(id="new", path=request.path, allocated_bytes=request.size_bytes, pieces=0))
        return self._store(folders)

    async def unshare_storage(self, request: UnshareStorage) -> StorageStatus:
        await self._take(request)
        return self._store(
            [
                folder.model_copy(update={"state": FolderState.LEAVING}) if folder.path == request.path else folder
                for folder in self.storing.folders
            ]
        )

    def _store(self, folders: Sequence[Any]) -> StorageStatus:
        self.storing = self.storing.model_copy(update={"folders": tuple(folders)})
        self.publish("storage", self.storing)
        return self.storing

    async def set_sharing(self, on: bool) -> EngineStatus:
        await self._take(on)
        self.now = self.now.model_copy(update={"sharing": on})
        self.publish("status", self.now)
        return self.now

    def subscribe(self) -> Subscription:
        return self.bus.subscribe()

    def request_shutdown(self) -> None:
        self.shutdown_wanted = True

"""A small engine in this process: it holds snapshots, applies requests to them, and publishes what changed.

The door is the real one (`depin_desktop.api.server`), so everything between a click and an engine's method is tested.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from depin_desktop.api.compute import ComputeStatus, ImportModel, ModelImport, ShareCompute
from depin_desktop.api.models import (
    EngineStatus,
    FolderState,
    Inventory,
    ShareStorage,
    StorageStatus,
    UnshareStorage,
)
from depin_desktop.api.server import ApiServer
from depin_desktop.api.wallet import HistoryEntry, Look, LookAt, WalletStatus
from depin_desktop.controls.controls import Controls
from depin_desktop.core.bus import EventBus, Subscription
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home

from . import compute_samples, machine_samples, samples


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
        self.controls = Controls(
            home.controls, self.bus, sharing=lambda: self.now.sharing, sources=machine_samples.sources()
        )
        self.compute = SmallCompute(self)
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

    async def take(self, request: Any) -> None:
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

    async def look(self, request: LookAt) -> Look:
        await self.take(request)
        return samples.look(request)

    async def share_storage(self, request: ShareStorage) -> StorageStatus:
        await self.take(request)
        folders = list(self.storing.folders)
        for index, folder in enumerate(folders):
            if folder.path == request.path:
                folders[index] = folder.model_copy(update={"allocated_bytes": request.size_bytes})
                break
        else:
            folders.append(samples.folder(id="new", path=request.path, allocated_bytes=request.size_bytes, pieces=0))
        return self._store(folders)

    async def unshare_storage(self, request: UnshareStorage) -> StorageStatus:
        await self.take(request)
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
        await self.take(on)
        self.now = self.now.model_copy(update={"sharing": on})
        self.publish("status", self.now)
        return self.now

    def subscribe(self) -> Subscription:
        return self.bus.subscribe()

    def request_shutdown(self) -> None:
        self.shutdown_wanted = True


class SmallCompute:
    """The engine's compute service: a status, and what is asked of it."""

    def __init__(self, engine: SmallEngine) -> None:
        self._engine = engine
        self.now: ComputeStatus = compute_samples.compute()

    def status(self) -> ComputeStatus:
        return self.now

    async def _change(self, request: Any, **changes: Any) -> ComputeStatus:
        await self._engine.take(request)
        self.now = self.now.model_copy(update=changes)
        self._engine.publish("compute", self.now)
        return self.now

    async def share(self, request: ShareCompute) -> ComputeStatus:
        return await self._change(request, shared=True)

    async def unshare(self) -> ComputeStatus:
        return await self._change("unshare", shared=False)

    async def import_model(self, request: ImportModel) -> ComputeStatus:
        entry = ModelImport(id="i1", name=request.name, path=request.path, size_bytes=100, done_bytes=25)
        return await self._change(request, imports=(*self.now.imports, entry))

    async def cancel_import(self, identity: str) -> ComputeStatus:
        left = tuple(entry for entry in self.now.imports if entry.id != identity)
        return await self._change(("cancel", identity), imports=left)

    async def remove_model(self, sha256: str) -> ComputeStatus:
        left = tuple(model for model in self.now.models if model.sha256 != sha256)
        return await self._change(("remove", sha256), models=left)

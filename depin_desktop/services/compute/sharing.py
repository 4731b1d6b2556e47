"""What the owner does with the compute service: share, set prices, connect other machines, take models in and out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from depin_desktop.api.compute import ComputeStatus, ImportModel, ModelImport, ModelStatus, ShareCompute
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.tasks import Tasks
from depin_desktop.services.compute import elsewhere
from depin_desktop.services.compute.models import Models
from depin_desktop.services.compute.runtimes.base import Backend
from depin_desktop.services.compute.runtimes.local import LocalBackend
from depin_desktop.services.compute.runtimes.ray_cluster import RayBackend
from depin_desktop.services.compute.runtimes.remote import RemoteBackend
from depin_desktop.services.compute.service import ComputeService, OwnersControls
from depin_desktop.services.compute.status import Shelf

MAX_IMPORTS = 8


class Sharing:
    """The owner's side of one compute service; the local API's `ComputeBackend`.

    Args:
        folder: of models, scratch space and the list of connected machines.
        service: asked for anew, as it is made with parts of this.
    """

    def __init__(self, folder: Path, controls: OwnersControls, service: Callable[[], ComputeService]) -> None:
        self._folder = folder
        self._controls = controls
        self._service = service
        self._models = Models(folder / "models", disk_bytes=lambda: controls.allowance().disk_bytes)
        self._opened = False
        self._imports: dict[str, ModelImport] = {}
        self._importing: dict[str, asyncio.Task[None]] = {}
        self._tasks = Tasks("compute/sharing")

    async def backends(self) -> list[Backend]:
        """Every way to do work that the owner has: this machine's workers, then what is connected.

        What works already goes on; another kind of machine needs no more than its line here.
        """
        await self._open()
        there = self._service().floor.backends
        local = next((one for one in there if isinstance(one, LocalBackend)), None) or LocalBackend(
            self._models, scratch=self._folder / "scratch", allowance=self._controls.allowance
        )
        connected = await asyncio.to_thread(elsewhere.load, self._file)
        known = {one.upstream: one for one in there if isinstance(one, RemoteBackend)}
        remote = [known.get(upstream) or RemoteBackend(upstream) for upstream in connected.upstreams]
        clusters = {one.cluster: one for one in there if isinstance(one, RayBackend)}
        ray = [
            clusters.get(cluster) or RayBackend(cluster, self._models, scratch=self._folder / f"ray-{cluster.id}")
            for cluster in (connected.cluster,)
            if cluster is not None
        ]
        return [local, *remote, *ray]

    async def close(self) -> None:
        """Stops imports; what was half copied is thrown away."""
        await self._tasks.close()

    async def _open(self) -> None:
        if not self._opened:
            await self._models.open()
            self._opened = True

    @property
    def _file(self) -> Path:
        return self._folder / "elsewhere.json"

    @property
    def _local(self) -> LocalBackend | None:
        return next((one for one in self._service().floor.backends if isinstance(one, LocalBackend)), None)

    # --- what the local API asks

    def status(self) -> ComputeStatus:
        return self._service().compute_status()

    async def share(self, request: ShareCompute) -> ComputeStatus:
        """Sells as asked from now on.

        Raises:
            UserFacingError: an address is none.
        """
        service = self._service()
        changed = await self._connect(request)
        await service.choose(service.choices.with_shared(request))
        if changed:
            await service.reload()
        return service.compute_status()

    async def unshare(self) -> ComputeStatus:
        """Sells nothing any more; what runs is stopped, and charged for what was delivered."""
        service = self._service()
        await service.choose(service.choices.without_sharing())
        return service.compute_status()

    async def _connect(self, request: ShareCompute) -> bool:
        """Connects exactly the machines that a request names; what it does not speak of stays."""
        if request.upstreams is None and request.ray is None:
            return False
        before = await asyncio.to_thread(elsewhere.load, self._file)
        after = before
        if request.upstreams is not None:
            named = [elsewhere.base_url(url) for url in request.upstreams]
            for url in {upstream.url for upstream in before.upstreams} - set(named):
                after = after.without_upstream(url)
            for url in named:
                after = after.with_upstream(url, request.upstream_key)
        if request.ray is not None:
            after = after.with_cluster(request.ray, request.ray_token) if request.ray else after.without_cluster()
        if after == before:
            return False
        await asyncio.to_thread(elsewhere.save, self._file, after)
        return True

    # --- models

    def shelf(self) -> Shelf:
        """What lies on this machine's disk."""
        local = self._local
        models = tuple(
            ModelStatus(
                kind=model.kind.value,
                name=model.name,
                sha256=model.sha256,
                licence=model.licence,
                size_bytes=model.size_bytes,
                loaded=local is not None and local.loaded(model.sha256),
                served=False,
                problem=local.problem(model.sha256) if local else "",
                context_tokens=model.context_tokens,
            )
            for model in self._models.all()
        )
        return Shelf(models, tuple(self._imports.values()), self._models.size_bytes())

    async def import_model(self, request: ImportModel) -> ComputeStatus:
        """Begins to take a file in, and answers at once; `ComputeStatus.imports` tells how far it is.

        Raises:
            UserFacingError: there is no such file, or too many are on their way.
        """
        await self._open()
        path = await asyncio.to_thread(_file_at, request.path)
        if len(self._importing) >= MAX_IMPORTS:
            raise UserFacingError("Too many models are on their way.", "Wait for one of them.", code="busy", status=429)
        identity = os.urandom(8).hex()
        self._imports[identity] = ModelImport(id=identity, name=request.name or path.name, path=str(path))
        task = self._tasks.spawn("import", self._import(identity, path, request))
        self._importing[identity] = task
        task.add_done_callback(lambda _: self._importing.pop(identity, None))
        self._service().touch()
        return self.status()

    async def _import(self, identity: str, path: Path, request: ImportModel) -> None:
        def progress(done: int, total: int) -> None:
            if identity in self._imports:
                change = {"done_bytes": done, "size_bytes": total}
                self._imports[identity] = self._imports[identity].model_copy(update=change)
                self._service().touch()

        try:
            await self._models.import_file(
                path, name=request.name, sha256=request.sha256, licence=request.licence, progress=progress
            )
            self._imports.pop(identity, None)
        except UserFacingError as error:
            if identity in self._imports:
                self._imports[identity] = self._imports[identity].model_copy(update={"problem": str(error)})
        if (local := self._local) is not None:
            local.tend.trigger()  # it is measured, and then offered
        self._service().touch()

    async def cancel_import(self, identity: str) -> ComputeStatus:
        """Stops an import, or takes one that has failed off the list."""
        self._imports.pop(identity, None)
        if (task := self._importing.get(identity)) is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        self._service().touch()
        return self.status()

    async def remove_model(self, sha256: str) -> ComputeStatus:
        """Deletes a model's file.

        Raises:
            UserFacingError: there is none, or it belongs to an installed package.
        """
        await self._open()
        known = [model.sha256 for model in self._models.all() if model.sha256.startswith(sha256.lower())]
        await self._models.remove(known[0] if len(known) == 1 else sha256.lower())
        if (local := self._local) is not None:
            local.tend.trigger()
        self._service().touch()
        return self.status()


def _file_at(path: str) -> Path:
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserFacingError(f"There is no file {file}.", "Check the path.", code="no-such-file")
    return file

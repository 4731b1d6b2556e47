"""The local API's routes of the compute service."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from aiohttp import web

from depin_desktop.api.answers import body_of, json_of
from depin_desktop.api.compute import ComputeStatus, ImportModel, ShareCompute


class ComputeBackend(Protocol):
    """What these routes need of the engine's compute service."""

    def status(self) -> ComputeStatus: ...
    async def share(self, request: ShareCompute) -> ComputeStatus: ...
    async def unshare(self) -> ComputeStatus: ...
    async def import_model(self, request: ImportModel) -> ComputeStatus: ...
    async def cancel_import(self, identity: str) -> ComputeStatus: ...
    async def remove_model(self, sha256: str) -> ComputeStatus: ...


class ComputeRoutes:
    """Serves one engine's compute service."""

    def __init__(self, backend: ComputeBackend) -> None:
        self._backend = backend

    def routes(self) -> Iterable[web.RouteDef]:
        return (
            web.get("/v1/compute", self._status),
            web.put("/v1/compute", self._share),
            web.delete("/v1/compute", self._unshare),
            web.post("/v1/compute/imports", self._import),
            web.delete("/v1/compute/imports/{id}", self._cancel_import),
            web.delete("/v1/compute/models/{sha256}", self._remove_model),
        )

    async def _status(self, _: web.Request) -> web.Response:
        return json_of(self._backend.status())

    async def _share(self, request: web.Request) -> web.Response:
        return json_of(await self._backend.share(await body_of(request, ShareCompute)))

    async def _unshare(self, _: web.Request) -> web.Response:
        return json_of(await self._backend.unshare())

    async def _import(self, request: web.Request) -> web.Response:
        return json_of(await self._backend.import_model(await body_of(request, ImportModel)))

    async def _cancel_import(self, request: web.Request) -> web.Response:
        return json_of(await self._backend.cancel_import(request.match_info["id"]))

    async def _remove_model(self, request: web.Request) -> web.Response:
        return json_of(await self._backend.remove_model(request.match_info["sha256"]))

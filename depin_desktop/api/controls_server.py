"""The local API's routes of the owner's controls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from aiohttp import web

from depin_desktop.api.answers import body_of, json_of
from depin_desktop.api.controls import ControlsStatus, Presence, SetPause, Wishes


class ControlsBackend(Protocol):
    """What these routes need of the engine's controls."""

    def status(self) -> ControlsStatus: ...
    async def set_wishes(self, wishes: Wishes) -> ControlsStatus: ...
    async def pause(self, request: SetPause) -> ControlsStatus: ...
    async def resume(self) -> ControlsStatus: ...
    def note_presence(self, presence: Presence) -> None: ...


class ControlsRoutes:
    """Serves one engine's controls."""

    def __init__(self, backend: ControlsBackend) -> None:
        self._backend = backend

    def routes(self) -> Iterable[web.RouteDef]:
        return (
            web.get("/v1/controls", self._status),
            web.put("/v1/controls", self._set),
            web.post("/v1/controls/pause", self._pause),
            web.post("/v1/controls/resume", self._resume),
            web.put("/v1/controls/presence", self._presence),
        )

    async def _status(self, _: web.Request) -> web.Response:
        return json_of(self._backend.status())

    async def _set(self, request: web.Request) -> web.Response:
        return json_of(await self._backend.set_wishes(await body_of(request, Wishes)))

    async def _pause(self, request: web.Request) -> web.Response:
        return json_of(await self._backend.pause(await body_of(request, SetPause)))

    async def _resume(self, _: web.Request) -> web.Response:
        return json_of(await self._backend.resume())

    async def _presence(self, request: web.Request) -> web.Response:
        self._backend.note_presence(await body_of(request, Presence))
        return web.Response(status=204)

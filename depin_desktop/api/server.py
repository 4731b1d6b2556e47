"""The engine's side of the local API: HTTP for questions and requests, one WebSocket for what happens.

On POSIX it listens on a socket that only the home's owner can open; elsewhere on loopback, with a bearer token. The
Host header is checked and no CORS header is ever sent, so that no web page can reach it through a browser.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from aiohttp import WSCloseCode, web
from pydantic import BaseModel

from depin_desktop import __version__
from depin_desktop.api.answers import body_of, json_of
from depin_desktop.api.compute_server import ComputeBackend, ComputeRoutes
from depin_desktop.api.controls_server import ControlsBackend, ControlsRoutes
from depin_desktop.api.endpoint import Endpoint, socket_path
from depin_desktop.api.models import (
    EngineStatus,
    Event,
    Inventory,
    Problem,
    SetSharing,
    ShareStorage,
    StorageStatus,
    UnshareStorage,
)
from depin_desktop.api.wallet import HistoryEntry, Look, LookAt, WalletStatus
from depin_desktop.core.bus import Subscription
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ALLOWED_HOSTS = frozenset({"engine", "localhost", "127.0.0.1"})
MAX_BODY_BYTES = 1 << 20
HEARTBEAT_S = 20.0


class Backend(Protocol):
    """What the API needs of the engine."""

    @property
    def controls(self) -> ControlsBackend: ...
    @property
    def compute(self) -> ComputeBackend | None: ...  # None where this engine has no such service
    def status(self) -> EngineStatus: ...
    def storage(self) -> StorageStatus: ...
    async def hardware(self) -> Inventory: ...
    async def wallet(self) -> WalletStatus: ...
    async def history(self, limit: int, before: float | None) -> Sequence[HistoryEntry]: ...
    async def look(self, request: LookAt) -> Look: ...
    async def share_storage(self, request: ShareStorage) -> StorageStatus: ...
    async def unshare_storage(self, request: UnshareStorage) -> StorageStatus: ...
    async def set_sharing(self, on: bool) -> EngineStatus: ...
    def subscribe(self) -> Subscription: ...
    def request_shutdown(self) -> None: ...


class ApiServer:
    """Serves one backend for one home."""

    def __init__(self, home: Home, backend: Backend) -> None:
        self._home = home
        self._backend = backend
        self._token: str | None = None
        self._runner: web.AppRunner | None = None
        self._sockets: set[web.WebSocketResponse] = set()

    async def start(self) -> Endpoint:
        """Begins to listen and writes `engine.json`."""
        app = web.Application(middlewares=[self._guard, _errors], client_max_size=MAX_BODY_BYTES)
        app.add_routes(self._routes())
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        path = socket_path(self._home)
        if path is not None:
            with suppress(FileNotFoundError):
                path.unlink()  # left behind by an engine that was killed; the home's lock says that none runs
            await web.UnixSite(self._runner, path).start()
            path.chmod(0o600)
            endpoint = Endpoint(pid=os.getpid(), version=__version__, socket=str(path))
        else:
            self._token = secrets.token_urlsafe(32)
            await web.TCPSite(self._runner, "127.0.0.1", 0).start()
            port = self._runner.addresses[0][1]
            endpoint = Endpoint(pid=os.getpid(), version=__version__, port=port, token=self._token)
        endpoint.save(self._home)
        return endpoint

    async def stop(self) -> None:
        """Closes every connection and removes `engine.json`."""
        self._home.endpoint.unlink(missing_ok=True)
        closing = [socket.close(code=WSCloseCode.GOING_AWAY) for socket in set(self._sockets)]
        await asyncio.gather(*closing, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/status", self._status),
            web.get("/v1/storage", self._storage),
            web.get("/v1/hardware", self._hardware),
            web.get("/v1/wallet", self._wallet),
            web.get("/v1/wallet/history", self._history),
            web.post("/v1/wallet/looks", self._look),
            web.put("/v1/storage/folders", self._share_storage),
            web.delete("/v1/storage/folders", self._unshare_storage),
            web.put("/v1/sharing", self._set_sharing),
            web.post("/v1/shutdown", self._shutdown),
            web.get("/v1/events", self._events),
            *ControlsRoutes(self._backend.controls).routes(),
            *(ComputeRoutes(compute).routes() if (compute := self._backend.compute) else ()),
        ]

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.host.rsplit(":", 1)[0] not in ALLOWED_HOSTS or "Origin" in request.headers:
            return _problem(
                Problem(code="foreign-origin", message="This API answers only programs on this machine."), 403
            )
        if self._token is not None:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                return _problem(Problem(code="no-permission", message="The token is missing or wrong."), 401)
        return await handler(request)

    async def _status(self, _: web.Request) -> web.Response:
        return json_of(self._backend.status())

    async def _storage(self, _: web.Request) -> web.Response:
        return json_of(self._backend.storage())

    async def _hardware(self, _: web.Request) -> web.Response:
        return json_of(await self._backend.hardware())

    async def _wallet(self, _: web.Request) -> web.Response:
        return json_of(await self._backend.wallet())

    async def _history(self, request: web.Request) -> web.Response:
        try:
            limit = min(1000, max(1, int(request.query.get("limit", "100"))))
            before = float(request.query["before"]) if "before" in request.query else None
        except ValueError as error:
            raise UserFacingError("limit and before must be numbers.", code="bad-request") from error
        entries = await self._backend.history(limit, before)
        return web.json_response([entry.model_dump(mode="json") for entry in entries])

    async def _look(self, request: web.Request) -> web.Response:
        return json_of(await self._backend.look(await body_of(request, LookAt)))

    async def _share_storage(self, request: web.Request) -> web.Response:
        return json_of(await self._backend.share_storage(await body_of(request, ShareStorage)))

    async def _unshare_storage(self, request: web.Request) -> web.Response:
        return json_of(await self._backend.unshare_storage(await body_of(request, UnshareStorage)))

    async def _set_sharing(self, request: web.Request) -> web.Response:
        return json_of(await self._backend.set_sharing((await body_of(request, SetSharing)).on))

    async def _shutdown(self, _: web.Request) -> web.Response:
        self._backend.request_shutdown()
        return web.Response(status=202)

    async def _events(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S)
        await socket.prepare(request)
        self._sockets.add(socket)
        with self._backend.subscribe() as subscription:
            sender = asyncio.create_task(self._send_events(socket, subscription), name="api/events")
            try:
                async for _ in socket:  # clients have nothing to say here; this notices that they leave
                    pass
            finally:
                self._sockets.discard(socket)
                sender.cancel()
                with suppress(asyncio.CancelledError, ConnectionError):
                    await sender
        return socket

    async def _send_events(self, socket: web.WebSocketResponse, subscription: Subscription) -> None:
        await socket.send_str(_event("status", self._backend.status()))
        await socket.send_str(_event("storage", self._backend.storage()))
        await socket.send_str(_event("controls", self._backend.controls.status()))
        if self._backend.compute is not None:
            await socket.send_str(_event("compute", self._backend.compute.status()))
        async for message in subscription:
            await socket.send_str(_event(message.topic, message.data))


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except UserFacingError as error:
        return _problem(Problem(code=error.code, message=error.message, remedy=error.remedy), error.status)
    except web.HTTPException as error:
        return _problem(Problem(code="http", message=error.reason), error.status)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        remedy = "Look at the engine's log, and report it if it happens again."
        return _problem(
            Problem(code="internal", message="The engine ran into an error of its own.", remedy=remedy), 500
        )


def _problem(problem: Problem, status: int) -> web.Response:
    return web.Response(text=problem.model_dump_json(), content_type="application/json", status=status)


def _event(topic: str, data: BaseModel) -> str:
    return Event(topic=topic, data=data.model_dump(mode="json")).model_dump_json()

"""The callers' side of the local API: the app and the command line use this and nothing else of the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote

import aiohttp
from pydantic import BaseModel, TypeAdapter, ValidationError

from depin_desktop.api.compute import ComputeStatus, ImportModel, ShareCompute
from depin_desktop.api.controls import ControlsStatus, Presence, SetPause, Wishes
from depin_desktop.api.endpoint import Endpoint, EngineUnreachable
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
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home

__all__ = ["EngineClient", "EngineUnreachable"]

Model = TypeVar("Model", bound=BaseModel)

REQUEST_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 3.0
HEARTBEAT_S = 20.0

_HISTORY = TypeAdapter(list[HistoryEntry])


class EngineClient:
    """Talks to the engine of one home. Usable as an async context manager.

    Every method raises EngineUnreachable when no engine answers, and UserFacingError with the engine's own words when
    it refuses.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self._session: aiohttp.ClientSession | None = None
        self._base = ""

    async def __aenter__(self) -> EngineClient:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> EngineStatus:
        """Finds the engine (again) and returns its status."""
        await self.close()
        endpoint = Endpoint.load(self.home)
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        if endpoint.socket is not None:
            connector: aiohttp.BaseConnector = aiohttp.UnixConnector(endpoint.socket)
            self._base = "http://engine"
        else:
            connector = aiohttp.TCPConnector()
            self._base = f"http://127.0.0.1:{endpoint.port}"
        headers = {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers)
        try:
            return await self.status()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Lets go of the connection; `connect` may follow."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def status(self) -> EngineStatus:
        return await self._ask("GET", "/v1/status", EngineStatus)

    async def storage(self) -> StorageStatus:
        return await self._ask("GET", "/v1/storage", StorageStatus)

    async def hardware(self) -> Inventory:
        return await self._ask("GET", "/v1/hardware", Inventory)

    async def wallet(self) -> WalletStatus:
        return await self._ask("GET", "/v1/wallet", WalletStatus)

    async def history(self, limit: int = 100, before: float | None = None) -> list[HistoryEntry]:
        """The newest entries first; `before` (Unix seconds) pages on."""
        query = f"?limit={limit}" + (f"&before={before!r}" if before is not None else "")
        return _HISTORY.validate_json(await self._send("GET", f"/v1/wallet/history{query}"))

    async def look(self, request: LookAt) -> Look:
        """What a step of the owner's would do and cost; nothing is signed or sent, and no password is needed."""
        return await self._ask("POST", "/v1/wallet/looks", Look, request)

    async def share_storage(self, request: ShareStorage) -> StorageStatus:
        return await self._ask("PUT", "/v1/storage/folders", StorageStatus, request)

    async def unshare_storage(self, path: str | None) -> StorageStatus:
        return await self._ask("DELETE", "/v1/storage/folders", StorageStatus, UnshareStorage(path=path))

    async def set_sharing(self, on: bool) -> EngineStatus:
        return await self._ask("PUT", "/v1/sharing", EngineStatus, SetSharing(on=on))

    async def controls(self) -> ControlsStatus:
        return await self._ask("GET", "/v1/controls", ControlsStatus)

    async def set_controls(self, wishes: Wishes) -> ControlsStatus:
        return await self._ask("PUT", "/v1/controls", ControlsStatus, wishes)

    async def pause(self, seconds: float | None = None, *, finish_current: bool = False) -> ControlsStatus:
        """Pauses work now, for a while or until `resume`."""
        request = SetPause(seconds=seconds, finish_current=finish_current)
        return await self._ask("POST", "/v1/controls/pause", ControlsStatus, request)

    async def resume(self) -> ControlsStatus:
        return await self._ask("POST", "/v1/controls/resume", ControlsStatus)

    async def tell_presence(self, presence: Presence) -> None:
        """Says what this desktop session knows of its user."""
        await self._send("PUT", "/v1/controls/presence", presence)

    async def compute(self) -> ComputeStatus:
        return await self._ask("GET", "/v1/compute", ComputeStatus)

    async def share_compute(self, request: ShareCompute) -> ComputeStatus:
        return await self._ask("PUT", "/v1/compute", ComputeStatus, request)

    async def unshare_compute(self) -> ComputeStatus:
        return await self._ask("DELETE", "/v1/compute", ComputeStatus)

    async def import_model(self, request: ImportModel) -> ComputeStatus:
        """Begins to take a model's file in; how far it is, and whether it failed, follows in the status."""
        return await self._ask("POST", "/v1/compute/imports", ComputeStatus, request)

    async def cancel_import(self, identity: str) -> ComputeStatus:
        """Ends an import, or takes one that failed off the list."""
        return await self._ask("DELETE", f"/v1/compute/imports/{quote(identity, safe='')}", ComputeStatus)

    async def remove_model(self, sha256: str) -> ComputeStatus:
        """Deletes a model's file; what runs on it comes to its end first."""
        return await self._ask("DELETE", f"/v1/compute/models/{quote(sha256, safe='')}", ComputeStatus)

    async def shutdown(self) -> None:
        """Asks the engine to stop; it answers before it does."""
        await self._send("POST", "/v1/shutdown")

    async def events(self) -> AsyncIterator[Event]:
        """What happens, beginning with snapshots of what there is to show.

        Raises:
            EngineUnreachable: the connection ended; connect again and start over.
        """
        session = self._require_session()
        try:
            async with session.ws_connect(f"{self._base}/v1/events", heartbeat=HEARTBEAT_S, max_msg_size=0) as socket:
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        yield Event.model_validate_json(message.data)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise EngineUnreachable(self.home.root) from error
        raise EngineUnreachable(self.home.root)

    async def _ask(self, method: str, path: str, model: type[Model], body: BaseModel | None = None) -> Model:
        try:
            return model.model_validate_json(await self._send(method, path, body))
        except ValidationError as error:
            raise UserFacingError(
                "The engine that runs is of another version.", "Restart it, then try again.", code="version-mismatch"
            ) from error

    async def _send(self, method: str, path: str, body: BaseModel | None = None) -> bytes:
        session = self._require_session()
        data = body.model_dump_json().encode() if body is not None else None
        try:
            async with session.request(method, self._base + path, data=data) as response:
                content = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise EngineUnreachable(self.home.root) from error
        if response.status >= 400:
            raise _refusal(content, response.status)
        return content

    def _require_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise EngineUnreachable(self.home.root)
        return self._session


def _refusal(content: bytes, status: int) -> UserFacingError:
    try:
        problem = Problem.model_validate_json(content)
    except ValidationError:
        return UserFacingError(f"The engine answered with status {status}.", code="http", status=status)
    return UserFacingError(problem.message, problem.remedy, code=problem.code, status=status)

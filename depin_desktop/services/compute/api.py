"""The HTTP routes that customers call; errors leave as JSON with a sentence and a remedy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from depin_desktop.core.errors import UserFacingError
from depin_desktop.services.answers import Handler, guarded, told
from depin_desktop.services.compute import orders, policy
from depin_desktop.services.compute.floor import Floor
from depin_desktop.services.compute.jobs import Jobs, WorkFailed
from depin_desktop.services.compute.modules import Modules
from depin_desktop.services.compute.queue import Busy
from depin_desktop.services.compute.runtimes.base import WorkKind

MAX_TEXT_BYTES = 2 << 20  # more than any context holds; parsing it must not hold other customers up
RETRY_LATER_S = 30


class ComputeApi:
    """Routes of one provider.

    Args:
        terms: the offer as JSON fields, with owner, operator and node id.
    """

    def __init__(self, jobs: Jobs, floor: Floor, modules: Modules, *, terms: Callable[[], dict[str, Any]]) -> None:
        self._jobs = jobs
        self._floor = floor
        self._modules = modules
        self._terms = terms
        self._bodies = orders.Bodies()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/compute/terms", _guarded(self._get_terms)),
            web.get("/compute/v1/models", _guarded(self._get_models)),
            web.post("/compute/v1/chat/completions", _guarded(self._text(WorkKind.CHAT))),
            web.post("/compute/v1/completions", _guarded(self._text(WorkKind.COMPLETION))),
            web.post("/compute/v1/embeddings", _guarded(self._text(WorkKind.EMBEDDING))),
            web.post("/compute/onnx/{sha256}", _guarded(self._onnx)),
            web.put("/compute/modules/{sha256}", _guarded(self._put_module)),
            web.post("/compute/wasm/{sha256}", _guarded(self._wasm)),
            web.post("/compute/jobs/{job}/pay", _guarded(self._pay)),
        ]

    async def _get_terms(self, _request: web.Request) -> web.Response:
        return web.json_response(self._terms())

    async def _get_models(self, _request: web.Request) -> web.Response:
        """OpenAI's list; a model is asked for by its hash, which is its id."""
        found = {model.sha256: model for model in self._floor.served() if model.sha256}
        created = int(time.time())
        data = [
            {"id": sha256, "object": "model", "created": created, "owned_by": "depin", "name": model.name}
            for sha256, model in found.items()
        ]
        return web.json_response({"object": "list", "data": data})

    # --- work

    def _text(self, kind: WorkKind) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            with self._bodies.of(request, MAX_TEXT_BYTES) as body:
                return await self._jobs.serve(request, await orders.text_order(body, kind))

        return handle

    async def _onnx(self, request: web.Request) -> web.StreamResponse:
        with self._bodies.of(request, policy.MAX_BODY_BYTES) as body:
            return await self._jobs.serve(request, await orders.onnx_order(request, body))

    async def _wasm(self, request: web.Request) -> web.StreamResponse:
        with (
            self._modules.using(orders.sha256_of(request)),
            self._bodies.of(request, policy.MAX_BODY_BYTES) as body,
        ):
            return await self._jobs.serve(request, await orders.wasm_order(request, body))

    async def _put_module(self, request: web.Request) -> web.Response:
        with self._bodies.of(request, policy.MAX_MODULE_BYTES) as body:
            created = await self._modules.put(orders.sha256_of(request), body.chunks())
        return web.Response(status=201 if created else 200)

    async def _pay(self, request: web.Request) -> web.Response:
        await self._jobs.top_up(request, request.match_info["job"])
        return web.Response(status=204)


def _guarded(handler: Handler) -> Handler:
    return guarded(handler, _problem)


def _problem(error: UserFacingError) -> web.Response:
    answer = told(error)
    if isinstance(error, WorkFailed):
        answer.headers.update(error.headers)
    if error.status in (429, 503):
        answer.headers["Retry-After"] = str(error.retry_after_s if isinstance(error, Busy) else RETRY_LATER_S)
    return answer

"""OpenAI's API on a loopback port: point any of its clients at `base_url`.

Answers are the providers' own bytes. A stream is passed on event by event as it comes; what is between provider and
customer (vouchers, receipts) is taken out of it.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from aiohttp import web

from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer.compute import sse
from depin_desktop.customer.compute.answers import OfferedModel, offered
from depin_desktop.customer.compute.asks import MAX_BODY_BYTES, Ask, EmbeddingAsk, TextAsk
from depin_desktop.customer.compute.client import ComputeClient
from depin_desktop.customer.compute.exchange import Delivered
from depin_desktop.customer.compute.failures import AttemptFailed
from depin_desktop.customer.compute.hosts import CHAT, COMPLETION, WASM
from depin_desktop.customer.gateway.errors import error_json, in_openais_words
from depin_desktop.customer.gateway.guard import Guard

log = logging.getLogger(__name__)

ANY_MODEL = "any"
PROVIDER_HEADER = "Depin-Provider"
CHARGED_HEADER = "Depin-Charged"
_STOP_GRACE_S = 2.0


class Gateway:
    """One listening gateway; make it with `open`."""

    def __init__(self, client: ComputeClient, runner: web.AppRunner) -> None:
        self._client = client
        self._runner = runner

    @classmethod
    async def open(cls, client: ComputeClient, *, port: int = 0, key: str | None = None) -> Gateway:
        """Listens on 127.0.0.1; port 0 takes a free one.

        Args:
            key: what clients must send as their API key; None takes any.

        Raises:
            UserFacingError: the port is taken.
        """
        middlewares: list[Any] = [in_openais_words, Guard(key).middleware()]
        app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES + 65_536)
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, handler_cancellation=True, shutdown_timeout=_STOP_GRACE_S
        )
        gateway = cls(client, runner)
        app.add_routes(
            [
                web.get("/v1/models", gateway._models),
                web.get("/v1/models/{model:.+}", gateway._model),
                web.post("/v1/chat/completions", gateway._chat),
                web.post("/v1/completions", gateway._completion),
                web.post("/v1/embeddings", gateway._embedding),
            ]
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError as error:
            await runner.cleanup()
            raise UserFacingError(
                f"The port {port} cannot be opened ({error.strerror}).", "Choose another: --port", code="port-taken"
            ) from error
        return gateway

    @property
    def base_url(self) -> str:
        """What clients are given as `base_url`."""
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def close(self) -> None:
        """Stops listening; answers under way are given up."""
        await self._runner.cleanup()

    # --- models -------------------------------------------------------------------------------------------------------

    async def _models(self, _: web.Request) -> web.Response:
        found = offered((await self._client.offers()).values())
        return web.json_response({"object": "list", "data": [_shown(it) for it in found if it.kind != WASM]})

    async def _model(self, request: web.Request) -> web.Response:
        name = request.match_info["model"]
        for found in offered((await self._client.offers()).values()):
            if name in (found.name, found.sha256):
                return web.json_response(_shown(found))
        raise UserFacingError(f"The model {name} is not offered.", "", code="unknown-model", status=404)

    # --- work ---------------------------------------------------------------------------------------------------------

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._text(request, CHAT)

    async def _completion(self, request: web.Request) -> web.StreamResponse:
        return await self._text(request, COMPLETION)

    async def _embedding(self, request: web.Request) -> web.StreamResponse:
        return await self._whole(EmbeddingAsk.of(await _body(request)))

    async def _text(self, request: web.Request, kind: str) -> web.StreamResponse:
        ask = TextAsk.of(kind, await _body(request))
        return await (self._streamed(request, ask) if ask.streamed else self._whole(ask))

    async def _whole(self, ask: Ask) -> web.Response:
        delivered = await self._client.run(ask)
        return web.Response(body=delivered.data, content_type="application/json", headers=_about(delivered))

    async def _streamed(self, request: web.Request, ask: TextAsk) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        complete = False
        try:
            async with self._client.stream(ask) as stream:
                response.headers[PROVIDER_HEADER] = stream.host.owner
                response.headers["X-Request-Id"] = stream.job
                await response.prepare(request)
                async for block in stream:
                    await response.write(block)
                complete = True
                await stream.finish()
        except AttemptFailed as error:
            if not response.prepared:
                raise
            log.warning("%s", error)
            if not complete:  # text that is all there is not spoilt by a receipt that does not hold
                await response.write(sse.compose(error_json(str(error), error.status, error.code)))
                return response
        await response.write(sse.DONE)
        return response


async def _body(request: web.Request) -> dict[str, Any]:
    """A request's JSON object; the model "any" is any."""
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise UserFacingError("The request is no JSON object.", "Correct the request.", code="bad-request")
    return {**body, "model": ""} if body.get("model") == ANY_MODEL else body


def _about(delivered: Delivered) -> dict[str, str]:
    return {
        PROVIDER_HEADER: delivered.host.owner,
        CHARGED_HEADER: str(delivered.charged),
        "X-Request-Id": delivered.receipt.job,
    }


def _shown(model: OfferedModel) -> dict[str, Any]:
    """A model as OpenAI lists it, and what this network knows of it besides."""
    more = model.model_dump(mode="json", exclude={"name"})
    return {"id": model.name, "object": "model", "created": 0, "owned_by": "depin", "depin": more}

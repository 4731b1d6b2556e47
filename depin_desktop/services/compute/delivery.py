"""How an answer reaches its customer: in one piece with its receipt in the headers, or as a stream that ends in it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from aiohttp import web

from depin_desktop.net.work_receipts import JOB_HEADER, MORE_EVENT, PAYMENT_EVENT, RECEIPT_EVENT, RECEIPT_HEADER
from depin_desktop.payments import headers as wire
from depin_desktop.services.compute.running import Run
from depin_desktop.services.compute.runtimes.base import Chunk, WorkKind

TAKE_WITHIN_S = 30.0
"""How long a customer may leave a part of a stream untaken; its slot is for others then."""
BEAT_S = 15.0
_BYTES = (WorkKind.ONNX, WorkKind.WASM)


class Delivery(Protocol):
    """Where the parts of an answer go."""

    async def take(self, chunk: Chunk) -> None:
        """The next part; raises Stopped where the customer does not pay for more, ConnectionError where it is gone."""

    def begin_again(self) -> None:
        """Another backend does the work anew; nothing of the answer has been sent."""

    def output_hash(self) -> str:
        """SHA-256 (hex) of everything that was sent, or is about to be."""

    async def finish(self, receipt: Mapping[str, Any] | None, payment: Mapping[str, str]) -> web.StreamResponse:
        """Receipt and payment, where there are any, and the end."""


class Whole:
    """An answer in one piece."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._data = b""

    async def take(self, chunk: Chunk) -> None:
        self._data = chunk.data if not self._data else self._data + chunk.data
        self._run.took(chunk.usage)

    def begin_again(self) -> None:
        self._data = b""

    def output_hash(self) -> str:
        return hashlib.sha256(self._data).hexdigest()

    async def finish(self, receipt: Mapping[str, Any] | None, payment: Mapping[str, str]) -> web.StreamResponse:
        kind = "application/octet-stream" if self._run.order.kind in _BYTES else "application/json"
        headers = {JOB_HEADER: self._run.id, **payment}
        if receipt is not None:
            headers[RECEIPT_HEADER] = _compact(receipt)
        return web.Response(body=self._data, content_type=kind, headers=headers)


class Stream:
    """Server-sent events, as OpenAI's API sends them. It begins with the first part: before, errors have a status."""

    def __init__(self, request: web.Request, run: Run) -> None:
        self._request = request
        self._run = run
        self._hash = hashlib.sha256()
        self._response: web.StreamResponse | None = None
        self._beginning = asyncio.Lock()
        self._working = True
        self._asked = False

    @property
    def begun(self) -> bool:
        return self._response is not None

    async def take(self, chunk: Chunk) -> None:
        run = self._run
        if self._working:
            self._working = False
            await self._begin()
        await self._send(chunk.data)
        run.took(chunk.usage)
        if not run.delivered:
            run.delivered = True
            if chunk.usage.prompt_tokens:
                run.first_count()
        if not chunk.last and run.wants_more():
            await self._ask(run)

    async def _ask(self, run: Run) -> None:
        if not self._asked:
            self._asked = True
            more = {"amount": str(run.ask()), "job": run.id}
            await self._write(_event(json.dumps(more).encode(), MORE_EVENT))
        if run.used_up():
            await run.paid_on()
        if not run.wants_more():
            self._asked = False

    async def _begin(self) -> None:
        async with self._beginning:
            if self._response is None:
                headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", JOB_HEADER: self._run.id}
                response = web.StreamResponse(headers=headers)
                await response.prepare(self._request)
                self._response = response

    async def beat(self) -> None:
        """Shows signs of life until the first part is there: reading a long prompt takes longer than silence is borne.

        To be cancelled when the work ends; who leaves is noticed elsewhere.
        """
        with suppress(ConnectionError):
            while True:
                await asyncio.sleep(BEAT_S)
                if not self._working:
                    return
                await self._begin()
                await self._write(b": working\n\n")

    def begin_again(self) -> None:
        assert not self._run.delivered

    async def _send(self, data: bytes) -> None:
        frame = b"data: " + data + b"\n\n"
        self._hash.update(frame)
        await self._write(frame)

    async def _write(self, frame: bytes) -> None:
        assert self._response is not None
        try:
            async with asyncio.timeout(TAKE_WITHIN_S):
                await self._response.write(frame)
        except TimeoutError as error:
            raise ConnectionResetError("the customer takes nothing any more") from error

    def output_hash(self) -> str:
        return self._hash.hexdigest()

    async def fail(self, code: str, message: str) -> None:
        """Says in the stream itself why it ends early."""
        await self._send(json.dumps({"error": {"message": message, "code": code, "type": "provider_error"}}).encode())

    async def finish(self, receipt: Mapping[str, Any] | None, payment: Mapping[str, str]) -> web.StreamResponse:
        assert self._response is not None
        end = _event(_compact(receipt).encode(), RECEIPT_EVENT) if receipt is not None else b""
        if paid := payment.get(wire.PAYMENT_RESPONSE):
            end += _event(paid.encode(), PAYMENT_EVENT)
        await self._write(end + b"data: [DONE]\n\n")
        await self._response.write_eof()
        return self._response


def _event(data: bytes, name: str) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


def _compact(receipt: Mapping[str, Any]) -> str:
    return json.dumps(receipt, separators=(",", ":"))

"""What a request asks for: read within bounds, checked, and with the hashes that its receipt will name."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from depin_desktop.core.errors import UserFacingError
from depin_desktop.net.http import peer_node_id
from depin_desktop.net.work_receipts import bytes_hash, parameters_hash, text_input_hash, text_parameters_hash
from depin_desktop.services.compute import policy
from depin_desktop.services.compute.queue import Busy
from depin_desktop.services.compute.runtimes.base import WorkKind

HELD_BYTES = 128 << 20
"""Bodies of all requests together, read or being read."""
SILENCE_S = 30.0
WHOLE_S = 120.0
MAX_CHOICES = 8
MAX_MODELS = 8
MAX_FUEL = 10**13
MAX_DEPTH = 200
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PROMPTS = {WorkKind.CHAT: "messages", WorkKind.COMPLETION: "prompt", WorkKind.EMBEDDING: "input"}


@dataclass(frozen=True)
class Order:
    """A piece of work that a customer asks for; `body` and `payload` are as in `Job`.

    Attributes:
        model: a hash or a name.
        alternatives: further ones that would do as well, should that one fail.
    """

    kind: WorkKind
    model: str
    body: Mapping[str, Any]
    payload: bytes
    input_hash: str
    parameters_hash: str
    alternatives: tuple[str, ...] = ()

    @property
    def streamed(self) -> bool:
        return self.kind in policy.TEXT and bool(self.body.get("stream"))


class Bodies:
    """Bounds what strangers make this process hold: in all, and from one node."""

    def __init__(self, limit: int = HELD_BYTES) -> None:
        self._limit = limit
        self._held: Counter[str] = Counter()

    @contextmanager
    def of(self, request: web.Request, most: int) -> Iterator[Body]:
        """A request's body, whose bytes count while this lasts.

        Raises:
            UserFacingError: the length is not said (411) or too large (413).
        """
        length = request.content_length
        if length is None:
            raise UserFacingError("The request does not say how long it is.", "Say it.", code="no-length", status=411)
        if length > most:
            raise UserFacingError(
                f"The request is larger than {most >> 20} MiB.", "Send less at once.", code="too-large", status=413
            )
        body = Body(request, length, self)
        try:
            yield body
        finally:
            self._held[body.sender] -= body.arrived
            if not self._held[body.sender]:
                del self._held[body.sender]

    def take(self, sender: str, count: int) -> None:
        """Counts bytes that have arrived; raises Busy where there is no room for them."""
        if self._held.total() + count > self._limit or self._held[sender] + count > self._limit // 4:
            raise Busy(5)
        self._held[sender] += count


class Body:
    """One request's body as it arrives."""

    def __init__(self, request: web.Request, length: int, bodies: Bodies) -> None:
        self.sender = peer_node_id(request) or request.remote or ""
        self.arrived = 0
        self._content = request.content
        self._length = length
        self._bodies = bodies

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its parts; UserFacingError ("silent") where the sender stops in the middle, or takes too long."""
        parts = self._content.iter_any()
        deadline = asyncio.get_running_loop().time() + WHOLE_S
        while True:
            try:
                async with asyncio.timeout(SILENCE_S), asyncio.timeout_at(deadline):
                    chunk = await anext(parts, b"")
            except TimeoutError as error:
                raise UserFacingError("The request did not arrive.", "Try again.", code="silent", status=408) from error
            if not chunk:
                return
            self._bodies.take(self.sender, len(chunk))
            self.arrived += len(chunk)
            yield chunk

    async def read(self) -> bytes:
        """The whole; UserFacingError where it is shorter than it was said to be."""
        data = bytearray()
        async for chunk in self.chunks():
            data += chunk
        if len(data) != self._length:
            raise bad_request("The request is shorter than it says.")
        return bytes(data)


async def text_order(sent: Body, kind: WorkKind) -> Order:
    """An order in OpenAI's words.

    Raises:
        UserFacingError: it is none.
    """
    data = await sent.read()
    if deeper_than(data, MAX_DEPTH):
        raise bad_request("The request is nested too deeply.")
    try:
        body = json.loads(data, parse_constant=_no_constants)
    except (ValueError, RecursionError) as error:
        raise bad_request("The request is not JSON.") from error
    if not isinstance(body, dict):
        raise bad_request("The request is not a JSON object.")
    if not body.get(_PROMPTS[kind]):
        raise bad_request(f"The request has no “{_PROMPTS[kind]}”.")
    if not isinstance(body.get("model", ""), str):
        raise bad_request("“model” must be a name or a hash.")
    for name, most in (("max_tokens", 2**31), ("max_completion_tokens", 2**31), ("n", MAX_CHOICES)):
        value = body.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= most):
            raise bad_request(f"“{name}” must be a whole number from 1 to {most}.")
    others = body.get("models") or []
    if not isinstance(others, list) or len(others) > MAX_MODELS or not all(isinstance(name, str) for name in others):
        raise bad_request(f"“models” must be a list of at most {MAX_MODELS} names or hashes.")
    hashes = text_input_hash(body), text_parameters_hash(body)
    return Order(kind, body.get("model", ""), body, b"", *hashes, alternatives=tuple(filter(None, others)))


async def onnx_order(request: web.Request, body: Body) -> Order:
    """One run of the ONNX model that the path names."""
    data = await body.read()
    return Order(WorkKind.ONNX, sha256_of(request), {}, data, bytes_hash(data), parameters_hash({}))


async def wasm_order(request: web.Request, body: Body) -> Order:
    """One run of the module that the path names, within the limits that the query names."""
    limits = {
        "fuel": _number(request, "fuel", MAX_FUEL),
        "memory": _number(request, "memory", policy.WASM_MEMORY_BYTES),
        "seconds": _number(request, "seconds", policy.WASM_SECONDS),
    }
    data = await body.read()
    asked = {"fuel": int(limits["fuel"]), "memory": int(limits["memory"]), "seconds": float(limits["seconds"])}
    return Order(WorkKind.WASM, sha256_of(request), asked, data, bytes_hash(data), parameters_hash(limits))


def sha256_of(request: web.Request) -> str:
    """The hash that the path names."""
    name = request.match_info["sha256"].lower()
    if not _SHA256.fullmatch(name):
        raise bad_request("The path names no SHA-256.")
    return name


def deeper_than(data: bytes, most: int) -> bool:
    """Whether JSON is nested more than `most` deep.

    Parsers recurse, and a library that lifts the interpreter's limit makes a request of brackets end the process.
    """
    if data.count(b"[") + data.count(b"{") <= most:
        return False
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        if depth > most:
            return True
    return False


def _number(request: web.Request, name: str, most: float) -> float:
    """As it was written, since its receipt hashes it: 10 and 10.0 are two things there."""
    try:
        value = json.loads(request.query.get(name, "null"))
    except ValueError:
        value = None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise bad_request(f"“{name}” must be a number.")
    if not 0 < value <= most:
        raise bad_request(f"“{name}” must be above 0 and at most {most:.0f}.")
    return value


def _no_constants(name: str) -> None:
    raise ValueError(name)


def bad_request(message: str) -> UserFacingError:
    """The error of a request that cannot be worked on as it is."""
    return UserFacingError(message, "Correct the request.", code="bad-request")

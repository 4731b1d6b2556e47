"""What can be asked of a provider: how each kind of work is sent, what it may cost, and how its answers compare."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer.compute import agreement, texts
from depin_desktop.customer.compute.hosts import CHAT, COMPLETION, EMBEDDING, ONNX, WASM, Host
from depin_desktop.customer.compute.trust import Verdict
from depin_desktop.net import metering

MAX_MODULE_BYTES = 16 << 20
MAX_BODY_BYTES = 8 << 20
ONNX_TOLERANCE = 1e-3
ONNX_SECONDS = 60.0
_LIKELIHOODS = 10
_PATHS = {CHAT: "chat/completions", COMPLETION: "completions", EMBEDDING: "embeddings"}


@dataclass(frozen=True)
class Request:
    """One HTTP request to a provider; `body` is what its receipt's input hash is taken of."""

    path: str
    body: bytes
    content_type: str
    patience_s: float


class Ask(Protocol):
    """A piece of work that any provider of its kind can do."""

    @property
    def kind(self) -> str: ...

    @property
    def model(self) -> str:
        """Name or SHA-256 of the model; of the module for WASM."""

    @property
    def comparable(self) -> bool:
        """Whether two honest answers to it are the same."""

    def ceiling(self, host: Host) -> int:
        """Base units that it is held for at that host when it begins."""

    def request(self, host: Host) -> Request: ...

    def checking(self) -> Ask:
        """The same work, asked so that its answer can be compared with one that is there."""

    def compare(self, answer: bytes, check: bytes) -> Verdict:
        """Whether an answer stands up to that of `checking`; answers of streams are their events."""


@dataclass(frozen=True)
class TextAsk:
    """A chat or completion, in OpenAI's words. Make it with `of`."""

    kind: str
    body: Mapping[str, Any]

    @classmethod
    def of(cls, kind: str, body: Mapping[str, Any]) -> TextAsk:
        """The ask that a body means: sampled text gets a seed, so that it can be repeated, and a limit of tokens.

        Raises:
            UserFacingError: the body is not one of its kind.
        """
        given = dict(body)
        _require(bool(given.get("messages") if kind == CHAT else given.get("prompt")), kind)
        for name in ("max_tokens", "max_completion_tokens", "n", "seed"):
            value = given.get(name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
                raise _bad(f"“{name}” must be a whole number.")
        if given.get("seed") is None:
            given["seed"] = secrets.randbelow(2**31)
        if not given.get("stream") and not (given.get("max_tokens") or given.get("max_completion_tokens")):
            given["max_tokens"] = metering.DEFAULT_TOKENS
        ask = cls(kind, given)
        _require_size(len(json.dumps(given)))
        return ask

    @property
    def model(self) -> str:
        return str(self.body.get("model") or "")

    @property
    def streamed(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def greedy(self) -> bool:
        return self.body.get("temperature") == 0

    @property
    def comparable(self) -> bool:
        return int(self.body.get("n") or 1) == 1 and not self.body.get("tools")

    def ceiling(self, host: Host) -> int:
        assert host.model is not None
        return metering.tokens_ceiling(
            self.body,
            host.model.price_in_per_mtoken,
            host.model.price_out_per_mtoken,
            output=True,
            context_tokens=host.model.context_tokens,
        )

    def request(self, host: Host) -> Request:
        return _openai(self.kind, self.body, host)

    def checking(self) -> TextAsk:
        body = {name: value for name, value in self.body.items() if name not in ("stream", "stream_options")}
        if self.kind == CHAT:
            body |= {"logprobs": True, "top_logprobs": _LIKELIHOODS}
        else:
            body["logprobs"] = _LIKELIHOODS
        return replace(self, body=body)

    def compare(self, answer: bytes, check: bytes) -> Verdict:
        try:
            expected = self.read(check)
        except ValueError:
            return Verdict.UNCLEAR
        try:
            return agreement.same_text(self.read(answer), expected, greedy=self.greedy)
        except ValueError:
            return Verdict.WRONG

    @staticmethod
    def read(answer: bytes) -> agreement.Text:
        """The text of an answer, streamed or whole."""
        if answer.startswith((b"data:", b"event:", b":")):
            return texts.read_stream(part + b"\n\n" for part in answer.split(b"\n\n") if part)
        return texts.read_answer(answer)


@dataclass(frozen=True)
class EmbeddingAsk:
    """Vectors for texts, in OpenAI's words. Make it with `of`."""

    body: Mapping[str, Any]
    kind: str = EMBEDDING
    comparable: bool = True

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> EmbeddingAsk:
        """The ask that a body means.

        Raises:
            UserFacingError: the body is not one of its kind.
        """
        _require(bool(body.get("input")), EMBEDDING)
        _require_size(len(json.dumps(dict(body))))
        return cls(dict(body))

    @property
    def model(self) -> str:
        return str(self.body.get("model") or "")

    def ceiling(self, host: Host) -> int:
        assert host.model is not None
        return metering.tokens_ceiling(self.body, host.model.price_in_per_mtoken, 0, output=False, context_tokens=0)

    def request(self, host: Host) -> Request:
        return _openai(EMBEDDING, self.body, host)

    def checking(self) -> EmbeddingAsk:
        return self

    def compare(self, answer: bytes, check: bytes) -> Verdict:
        try:
            expected = json.loads(check)
            agreement.vectors(expected)
        except ValueError:
            return Verdict.UNCLEAR
        try:
            return agreement.same_vectors(json.loads(answer), expected)
        except ValueError:
            return Verdict.WRONG


@dataclass(frozen=True)
class WasmAsk:
    """A WASM module run on standard input; `fuel`, `memory` (bytes) and `seconds` are its limits."""

    module: bytes
    stdin: bytes = b""
    fuel: int = 10**10
    memory: int = 256 << 20
    seconds: float = 30.0
    kind: str = WASM
    comparable: bool = True

    def __post_init__(self) -> None:
        if not self.module.startswith(b"\0asm"):
            raise _bad("This is not a WASM module.")
        if len(self.module) > MAX_MODULE_BYTES:
            raise _bad(f"A module may have {MAX_MODULE_BYTES >> 20} MiB at most.")
        _require_size(len(self.stdin))

    @cached_property
    def model(self) -> str:
        return hashlib.sha256(self.module).hexdigest()

    def limits_at(self, host: Host) -> tuple[int, int, float]:
        """Fuel, memory and seconds as that host allows them."""
        assert host.wasm is not None
        memory = min(self.memory, host.wasm.max_memory_bytes or self.memory)
        return self.fuel, memory, min(self.seconds, host.wasm.max_seconds or self.seconds)

    def ceiling(self, host: Host) -> int:
        assert host.wasm is not None
        fuel, _, seconds = self.limits_at(host)
        return metering.wasm_cost(fuel, seconds, host.wasm.price_per_gfuel, host.wasm.price_per_second)

    def request(self, host: Host) -> Request:
        fuel, memory, seconds = self.limits_at(host)
        path = f"/compute/wasm/{self.model}?fuel={fuel}&memory={memory}&seconds={seconds:g}"
        return Request(path, self.stdin, "application/octet-stream", seconds + 60)

    def checking(self) -> WasmAsk:
        return self

    def compare(self, answer: bytes, check: bytes) -> Verdict:
        return agreement.same_bytes(answer, check)


@dataclass(frozen=True)
class OnnxAsk:
    """One run of an ONNX model named by its hash; `inputs` and answer are .npz files of numbers."""

    model: str
    inputs: bytes = field(repr=False)
    kind: str = ONNX
    comparable: bool = True

    def ceiling(self, host: Host) -> int:
        assert host.model is not None
        return metering.seconds_cost(ONNX_SECONDS, host.model.price_per_run_second)

    def request(self, host: Host) -> Request:
        assert host.model is not None
        path = f"/compute/onnx/{host.model.sha256}"
        return Request(path, self.inputs, "application/octet-stream", ONNX_SECONDS + 60)

    def checking(self) -> OnnxAsk:
        return self

    def compare(self, answer: bytes, check: bytes) -> Verdict:
        import numpy

        try:
            expected = numpy.load(io.BytesIO(check), allow_pickle=False)
            names = set(expected.files)
        except (ValueError, OSError, AttributeError):
            return Verdict.UNCLEAR
        try:
            found = numpy.load(io.BytesIO(answer), allow_pickle=False)
            alike = set(found.files) == names and all(
                found[name].shape == expected[name].shape
                and numpy.allclose(found[name], expected[name], rtol=ONNX_TOLERANCE, atol=ONNX_TOLERANCE)
                for name in names
            )
        except (ValueError, OSError, AttributeError, TypeError):
            return Verdict.WRONG
        return Verdict.RIGHT if alike else Verdict.WRONG


def _openai(kind: str, body: Mapping[str, Any], host: Host) -> Request:
    """The model is named by its hash: what was chosen is what answers."""
    assert host.model is not None
    data = json.dumps({**body, "model": host.model.sha256}, ensure_ascii=False, separators=(",", ":")).encode()
    return Request(f"/compute/v1/{_PATHS[kind]}", data, "application/json", 300.0)


def _require(there: bool, kind: str) -> None:
    if not there:
        what = {CHAT: "messages", COMPLETION: "a prompt", EMBEDDING: "an input"}[kind]
        raise _bad(f"The request holds no {what.removeprefix('a ').removeprefix('an ')}.")


def _require_size(count: int) -> None:
    if count > MAX_BODY_BYTES:
        raise UserFacingError(
            f"The request is larger than {MAX_BODY_BYTES >> 20} MiB.",
            "Send less at once.",
            code="too-large",
            status=413,
        )


def _bad(message: str) -> UserFacingError:
    return UserFacingError(message, "Correct the request.", code="bad-request")

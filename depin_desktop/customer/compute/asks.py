"""What can be asked of a provider: how work is sent, what it may cost, and how its answers compare. Here: of models.

What is not in OpenAI's words is in `jobs`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer.compute import agreement, texts
from depin_desktop.customer.compute.hosts import CHAT, COMPLETION, EMBEDDING, Host
from depin_desktop.customer.compute.trust import Verdict
from depin_desktop.net import metering
from depin_desktop.net.work_receipts import WorkUsage, text_input_hash, text_parameters_hash

MAX_BODY_BYTES = 8 << 20
PATIENCE_S = 300.0
_LIKELIHOODS = 10
_LOOK_BEYOND = 4
_STREAMING = frozenset({"stream", "stream_options"})
_PATHS = {CHAT: "chat/completions", COMPLETION: "completions", EMBEDDING: "embeddings"}


@dataclass(frozen=True)
class Request:
    """One HTTP request to a provider, and what its receipt has to say of it.

    Attributes:
        patience_s: silence of the provider, in seconds, after which it is given up.
    """

    path: str
    body: bytes
    content_type: str
    patience_s: float
    input_hash: str
    parameters_hash: str


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

    def cost(self, host: Host, usage: WorkUsage) -> int:
        """Base units that so much use costs at that host."""

    def plausible(self, usage: WorkUsage, answer: bytes) -> bool:
        """Whether this ask and that answer can have taken so much."""

    def request(self, host: Host) -> Request: ...

    def checking(self, usage: WorkUsage) -> Ask:
        """The same work, asked so that its answer can be compared with one that is there and took so much."""

    def at_once(self) -> Ask:
        """The same work, answered as a whole."""

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
                raise bad_request(f"“{name}” must be a whole number.")
        if given.get("seed") is None:
            given["seed"] = secrets.randbelow(2**31)
        if not given.get("stream") and not (given.get("max_tokens") or given.get("max_completion_tokens")):
            given["max_tokens"] = metering.DEFAULT_TOKENS
        ask = cls(kind, given)
        require_size(len(json.dumps(given)))
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

    def cost(self, host: Host, usage: WorkUsage) -> int:
        assert host.model is not None
        prices = host.model.price_in_per_mtoken, host.model.price_out_per_mtoken
        return metering.tokens_cost(usage.prompt_tokens, usage.completion_tokens, *prices)

    def plausible(self, usage: WorkUsage, answer: bytes) -> bool:
        # No token of text is shorter than a byte, and each choice ends in one that is not text.
        longest = len(answer) + int(self.body.get("n") or 1)
        return usage.prompt_tokens <= metering.prompt_ceiling(self.body) and usage.completion_tokens <= longest

    def request(self, host: Host) -> Request:
        return _openai(self.kind, self.body, host)

    def at_once(self) -> TextAsk:
        return replace(self, body={name: self.body[name] for name in self.body if name not in _STREAMING})

    def checking(self, usage: WorkUsage) -> TextAsk:
        body = dict(self.at_once().body)
        named = [body.pop(name) for name in ("max_tokens", "max_completion_tokens") if body.get(name)]
        # No longer than the answer that is there: a little more shows whether it was cut short.
        body["max_tokens"] = min([*named, usage.completion_tokens + _LOOK_BEYOND])
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
        require_size(len(json.dumps(dict(body))))
        return cls(dict(body))

    @property
    def model(self) -> str:
        return str(self.body.get("model") or "")

    def ceiling(self, host: Host) -> int:
        assert host.model is not None
        return metering.tokens_ceiling(self.body, host.model.price_in_per_mtoken, 0, output=False, context_tokens=0)

    def cost(self, host: Host, usage: WorkUsage) -> int:
        assert host.model is not None
        return metering.tokens_cost(usage.prompt_tokens, 0, host.model.price_in_per_mtoken, 0)

    def plausible(self, usage: WorkUsage, answer: bytes) -> bool:
        return usage.prompt_tokens <= metering.prompt_ceiling(self.body)

    def request(self, host: Host) -> Request:
        return _openai(EMBEDDING, self.body, host)

    def checking(self, usage: WorkUsage) -> EmbeddingAsk:
        return self

    def at_once(self) -> EmbeddingAsk:
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


def _openai(kind: str, body: Mapping[str, Any], host: Host) -> Request:
    """Models are named by their hashes: what was chosen is what answers, or what may stand in for it."""
    assert host.model is not None
    named: dict[str, Any] = {"model": host.model.sha256}
    if host.stand_ins:
        named["models"] = [model.sha256 for model in host.stand_ins]
    said = {name: value for name, value in body.items() if name != "models"} | named
    data = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
    hashes = text_input_hash(body), text_parameters_hash(body)
    return Request(f"/compute/v1/{_PATHS[kind]}", data, "application/json", PATIENCE_S, *hashes)


def _require(there: bool, kind: str) -> None:
    if not there:
        what = {CHAT: "messages", COMPLETION: "a prompt", EMBEDDING: "an input"}[kind]
        raise bad_request(f"The request holds no {what.removeprefix('a ').removeprefix('an ')}.")


def require_size(count: int) -> None:
    """Raises UserFacingError where a request is larger than providers take."""
    if count > MAX_BODY_BYTES:
        raise UserFacingError(
            f"The request is larger than {MAX_BODY_BYTES >> 20} MiB.",
            "Send less at once.",
            code="too-large",
            status=413,
        )


def bad_request(message: str) -> UserFacingError:
    """The error of an ask that makes no sense, whoever is asked."""
    return UserFacingError(message, "Correct the request.", code="bad-request")

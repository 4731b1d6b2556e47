"""What a server elsewhere is asked, and what its answers are counted as. Pure."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from depin_desktop.net import metering
from depin_desktop.services.compute.runtimes.base import JobFailed, Usage, WorkKind

_SHAPING = (
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "n",
    "presence_penalty",
    "seed",
    "stop",
    "temperature",
    "top_p",
)
_FIELDS = {
    WorkKind.CHAT: (
        *_SHAPING,
        "messages",
        "parallel_tool_calls",
        "reasoning_effort",
        "response_format",
        "tool_choice",
        "tools",
        "top_logprobs",
    ),
    WorkKind.COMPLETION: (*_SHAPING, "echo", "prompt", "suffix"),
    WorkKind.EMBEDDING: ("dimensions", "encoding_format", "input"),
}
_BYTES_PER_TOKEN = 6
"""Text runs at four to five bytes a token; counting fewer tokens than there are, while nobody has told, is fair."""


_COUNTING: Mapping[str, Mapping[str, Any]] = {
    "llama.cpp": {"timings_per_token": True},
    "vllm": {"stream_options": {"include_usage": True, "continuous_usage_stats": True}},
}
"""By engine, what makes it tell its counts with every event, so that also who leaves early pays for the prompt."""


def for_upstream(
    kind: WorkKind, body: Mapping[str, Any], model: str, context_tokens: int, engine: str = ""
) -> dict[str, Any]:
    """The request as the server gets it: known fields only, its own name of the model, always streamed and limited.

    Args:
        engine: the server's program, as far as it is known.

    Raises:
        JobFailed: "bad-input": it holds more than text. Servers fetch pictures from whatever address stands there.
    """
    if kind not in _FIELDS:
        raise JobFailed("bad-input", f"This model does not do work of the kind “{kind.value}”.")
    asked = {name: body[name] for name in _FIELDS[kind] if body.get(name) is not None}
    for message in _list(asked.get("messages")):
        if isinstance(message, dict):
            _check_text(message.get("content"))
    asked["model"] = model
    if kind is WorkKind.EMBEDDING:
        return asked
    asked["max_tokens"] = metering.output_limit({**body, "n": 1}, context_tokens)
    return asked | {"stream": True, "stream_options": {"include_usage": True}, **_COUNTING.get(engine, {})}


def _check_text(content: object) -> None:
    for part in _list(content):
        if not (isinstance(part, dict) and part.get("type") in ("text", "refusal")):
            raise JobFailed("bad-input", "This model takes text only.")


class Counter:
    """What a text answer took so far: by the server's own count once it tells it, until then by what has come."""

    def __init__(self, body: Mapping[str, Any], began: float) -> None:
        self._began = began
        self._estimate = estimated_prompt(body)
        self._parts = 0
        self._told: tuple[int, int] | None = None
        self.finishing = False

    def take(self, answer: Mapping[str, Any]) -> None:
        """Counts an event of a stream, or a whole answer."""
        choices = [choice for choice in _list(answer.get("choices")) if isinstance(choice, dict)]
        self._parts += sum(1 for choice in choices if _says_something(choice))
        self.finishing = any(choice.get("finish_reason") for choice in choices) or not choices
        usage, timings = answer.get("usage"), answer.get("timings")
        if isinstance(usage, dict):
            self._told = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
        elif isinstance(timings, dict):
            self._told = _count(timings, "cache_n") + _count(timings, "prompt_n"), _count(timings, "predicted_n")

    def usage(self, *, final: bool = False) -> Usage:
        """The figures now; a prompt that the server has not counted is 0 until the end and estimated then."""
        prompt, completion = self._told or (self._estimate if final else 0, self._parts)
        return Usage(prompt, completion, seconds=time.perf_counter() - self._began)


def openai_usage(usage: Usage) -> dict[str, int]:
    """The counts of a whole answer, in OpenAI's words."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def shown(answer: Mapping[str, Any], name: str, *, usage: bool) -> bytes:
    """An answer as its customer gets it: under the name by which the model is sold, as servers tell paths there.

    Args:
        usage: whether the counts stay in it.
    """
    hidden = ("timings",) if usage else ("timings", "usage")
    said = {key: value for key, value in answer.items() if key not in hidden}
    return json.dumps({**said, "model": name}, ensure_ascii=False, separators=(",", ":")).encode()


def _says_something(choice: Mapping[str, Any]) -> bool:
    part = choice.get("delta") or choice.get("message") or choice
    return any(part.get(name) for name in ("content", "reasoning_content", "reasoning", "tool_calls", "text"))


def embedding_usage(body: Mapping[str, Any], answer: Mapping[str, Any], seconds: float) -> Usage:
    """What an embedding took."""
    usage = answer.get("usage")
    told = _count(usage, "prompt_tokens") if isinstance(usage, dict) else 0
    return Usage(told or estimated_prompt(body), seconds=seconds)


def estimated_prompt(body: Mapping[str, Any]) -> int:
    """Tokens of a prompt, rather too few than too many."""
    prompt = body.get("messages") or body.get("prompt") or body.get("input") or ""
    return len(json.dumps(prompt, ensure_ascii=False).encode()) // _BYTES_PER_TOKEN


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []

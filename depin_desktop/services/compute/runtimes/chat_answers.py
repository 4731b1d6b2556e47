"""What llama.cpp streams, made into what OpenAI's API answers. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_EXTRAS = ("timings", "prompt_progress")


def plain(chunk: Mapping[str, Any], *, usage: bool) -> dict[str, Any]:
    """A chunk without what the engine adds for itself."""
    dropped = _EXTRAS if usage else (*_EXTRAS, "usage")
    return {name: value for name, value in chunk.items() if name not in dropped}


def dump(value: object) -> bytes:
    """JSON as it is sent."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class LegacyLikelihoods:
    """Completions tell likelihoods in an older form than chats, in which each token knows its place in the text."""

    def __init__(self) -> None:
        self._offset = 0

    def convert(self, choice: dict[str, Any]) -> None:
        """Changes one choice in place."""
        entries = (choice.get("logprobs") or {}).get("content")
        if entries is None:
            return
        tokens = [str(entry["token"]) for entry in entries]
        offsets = []
        for token in tokens:
            offsets.append(self._offset)
            self._offset += len(token)
        choice["logprobs"] = {
            "tokens": tokens,
            "token_logprobs": [entry["logprob"] for entry in entries],
            "top_logprobs": [
                {str(other["token"]): other["logprob"] for other in entry.get("top_logprobs") or ()}
                for entry in entries
            ],
            "text_offset": offsets,
        }


class Gathering:
    """A stream gathered into the answer that a request without streaming gets."""

    def __init__(self, kind: str) -> None:
        self._chat = kind == "chat"
        self._texts: list[str] = []
        self._likelihoods: dict[str, list[Any]] = {}
        self._finish: str | None = None
        self._head: dict[str, Any] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """The next chunk."""
        self._head = {name: chunk[name] for name in ("id", "created", "model", "system_fingerprint") if name in chunk}
        for choice in chunk.get("choices") or ():
            said = choice.get("delta", {}).get("content") if self._chat else choice.get("text")
            self._texts.append(said or "")
            self._finish = choice.get("finish_reason") or self._finish
            for name, values in (choice.get("logprobs") or {}).items():
                self._likelihoods.setdefault(name, []).extend(values)

    def answer(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """The whole."""
        text = "".join(self._texts)
        said = {"message": {"role": "assistant", "content": text}} if self._chat else {"text": text}
        choice = {"index": 0, **said, "logprobs": self._likelihoods or None, "finish_reason": self._finish or "stop"}
        what = "chat.completion" if self._chat else "text_completion"
        return {**self._head, "object": what, "choices": [choice], "usage": dict(usage)}

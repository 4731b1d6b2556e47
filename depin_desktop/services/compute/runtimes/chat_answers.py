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


_SET = frozenset({"role", "id", "type", "name", "index"})
"""What some servers repeat in each part; everything else that is text goes on where the part before ended."""


class Gathering:
    """A stream gathered into the answer that a request without streaming gets."""

    def __init__(self, kind: str) -> None:
        self._chat = kind == "chat"
        self._choices: dict[int, dict[str, Any]] = {}
        self._head: dict[str, Any] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """The next chunk."""
        self._head = {name: chunk[name] for name in ("id", "created", "model", "system_fingerprint") if name in chunk}
        parts = chunk.get("choices")
        for part in parts if isinstance(parts, list) else ():
            index = part.get("index") or 0
            choice = self._choices.setdefault(index, {"said": {}, "logprobs": {}, "finish_reason": None})
            _join(choice["said"], (part.get("delta") or {}) if self._chat else {"text": part.get("text")})
            _join(choice["logprobs"], part.get("logprobs") or {})
            choice["finish_reason"] = part.get("finish_reason") or choice["finish_reason"]

    def answer(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """The whole."""
        what = "chat.completion" if self._chat else "text_completion"
        choices = [self._choice(index) for index in sorted(self._choices)]
        return {**self._head, "object": what, "choices": choices, "usage": dict(usage)}

    def _choice(self, index: int) -> dict[str, Any]:
        choice = self._choices[index]
        said, ended = choice["said"], choice["finish_reason"] or "stop"
        if self._chat:
            calls = [{name: call[name] for name in call if name != "index"} for call in said.pop("tool_calls", ())]
            text = said.pop("content", None) or (None if calls else "")
            message = {**said, "role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}
            said = {"message": message}
        else:
            said = {"text": said.get("text") or ""}
        return {"index": index, **said, "logprobs": choice["logprobs"] or None, "finish_reason": ended}


def _join(whole: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Adds what a part says to what the parts before it said."""
    for name, value in part.items():
        before = whole.get(name)
        if value is None:
            continue
        if isinstance(value, str) and isinstance(before, str) and name not in _SET:
            whole[name] = before + value
        elif isinstance(value, dict) and isinstance(before, dict):
            _join(before, value)
        elif isinstance(value, list) and name == "tool_calls":
            _join_calls(whole.setdefault(name, []), value)
        elif isinstance(value, list) and isinstance(before, list):
            before.extend(value)
        else:
            whole[name] = value


def _join_calls(calls: list[dict[str, Any]], parts: list[Any]) -> None:
    """Calls of tools come in parts that say which call they go on with; without that each is one by itself."""
    for part in parts:
        if not isinstance(part, dict):
            continue
        known = next((call for call in calls if "index" in part and call.get("index") == part["index"]), None)
        if known is None:
            calls.append(known := {})
        _join(known, part)

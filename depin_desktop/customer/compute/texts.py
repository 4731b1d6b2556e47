"""Reading what OpenAI's API answers: text and likelihoods, whole or streamed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from depin_desktop.customer.compute import sse
from depin_desktop.customer.compute.agreement import Text, Token


def read_answer(body: bytes) -> Text:
    """The first choice of a chat or completion answer.

    Raises:
        ValueError: it is no such answer.
    """
    try:
        answer = json.loads(body)
        choice = answer["choices"][0]
        text = choice["message"]["content"] if "message" in choice else choice["text"]
        tokens = _tokens(choice.get("logprobs") or {})
        return Text(str(text or ""), str(choice.get("finish_reason") or ""), tokens)
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("not an answer of a chat or completion") from error


def read_stream(events: Iterable[bytes]) -> Text:
    """The first choice of a stream that has ended, from its events; named events are passed over.

    Raises:
        ValueError: they are no such stream.
    """
    parts, finish = [], ""
    for event in events:
        if not sse.is_plain(event) or sse.is_done(event):
            continue
        try:
            chunk = json.loads(sse.parse(event)[1])
            for choice in chunk.get("choices") or ():
                if choice.get("index", 0) == 0:
                    parts.append(delta_of(choice))
                    finish = str(choice.get("finish_reason") or finish)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError("not a stream of a chat or completion") from error
    return Text("".join(parts), finish)


def text_of(event: bytes) -> str:
    """The text that one event of a stream adds to the first choice; empty where it adds none, or cannot be read."""
    try:
        choices = json.loads(sse.parse(event)[1] or b"{}").get("choices") or ()
        return "".join(delta_of(choice) for choice in choices if choice.get("index", 0) == 0)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return ""


def delta_of(choice: Mapping[str, Any]) -> str:
    """The text that one streamed choice adds."""
    delta = choice.get("delta")
    return str((delta.get("content") if isinstance(delta, Mapping) else choice.get("text")) or "")


def says_something(events: bytes) -> bool:
    """Whether there is anything of the answer in these events, and not only who speaks."""
    for event in events.split(b"\n\n"):
        try:
            choices = json.loads(sse.parse(event)[1] or b"{}").get("choices") or ()
            if any(delta_of(choice) or choice.get("finish_reason") or _calls(choice) for choice in choices):
                return True
        except (ValueError, TypeError, AttributeError, RecursionError):
            return True  # not ours to judge: whoever reads the stream will
    return False


def _calls(choice: Mapping[str, Any]) -> bool:
    delta = choice.get("delta")
    return isinstance(delta, Mapping) and bool(delta.get("tool_calls") or delta.get("reasoning_content"))


def _tokens(said: Mapping[str, Any]) -> tuple[Token, ...]:
    """Likelihoods in the form of chats, or in the older one of completions."""
    if said.get("content"):
        return tuple(
            Token(
                str(entry["token"]),
                float(entry["logprob"]),
                {str(other["token"]): float(other["logprob"]) for other in entry.get("top_logprobs") or ()},
            )
            for entry in said["content"]
        )
    if said.get("tokens"):
        others = said.get("top_logprobs") or [{}] * len(said["tokens"])
        return tuple(
            Token(str(text), float(logprob), {str(name): float(value) for name, value in (top or {}).items()})
            for text, logprob, top in zip(said["tokens"], said["token_logprobs"], others, strict=True)
        )
    return ()

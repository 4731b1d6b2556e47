"""Which chats and completions are done here, and how they are put to llama.cpp. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from depin_desktop.services.compute.runtimes.engine import Refused, bad_input

BYTES_PER_TOKEN = 64
"""A prompt with more bytes than this for each token of the context is refused unread; English text has about 4."""
_PASSED_ON = (
    *("temperature", "top_p", "top_k", "min_p", "seed", "stop", "presence_penalty", "frequency_penalty"),
    *("repeat_penalty", "logit_bias"),
)
_UNSUPPORTED = {
    "tools": "tools",
    "functions": "functions",
    "audio": "audio",
    "echo": "an echo of the prompt",
    "suffix": "a suffix",
}
MAX_STOPS = 16
MAX_STOP_CHARACTERS = 256
MAX_ALTERNATIVES = 20


def for_llama(kind: str, body: Mapping[str, Any], context_tokens: int) -> dict[str, Any]:
    """The request that the engine gets: always streamed, as only a stream can be counted and stopped.

    Raises:
        Refused: "bad-input", with what is wrong.
    """
    for name, called in _UNSUPPORTED.items():
        if body.get(name):
            raise bad_input(f"This provider does not serve {called}.")
    if body.get("n") not in (None, 1) or body.get("best_of") not in (None, 1):
        raise bad_input("One answer at a time is served: “n” must be 1.")
    asked = {name: body[name] for name in _PASSED_ON if body.get(name) is not None}
    _check_stop(asked.get("stop"))
    if kind == "chat":
        asked["messages"] = _messages(body.get("messages"), context_tokens)
        asked |= _chat_likelihoods(body)
        asked |= _response_format(body.get("response_format"))
    else:
        asked["prompt"] = _prompt(body.get("prompt"), context_tokens)
        if isinstance(body.get("logprobs"), int) and not isinstance(body["logprobs"], bool):
            asked["logprobs"] = _bounded(body["logprobs"], "logprobs", 0, MAX_ALTERNATIVES)
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or context_tokens
    asked["max_tokens"] = min(_bounded(limit, "max_tokens", 1, 2**31), context_tokens)
    model = str(body.get("model") or "")
    return asked | {
        **({"model": model} if model else {}),
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
    }


def _messages(said: object, context_tokens: int) -> list[dict[str, Any]]:
    if not isinstance(said, list) or not said or not all(isinstance(message, dict) for message in said):
        raise bad_input("“messages” must be a list of messages.")
    messages = [{"role": str(message.get("role")), "content": _content(message)} for message in said]
    _check_length(sum(len(message["content"].encode()) for message in messages), context_tokens)
    return messages


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if message.get("tool_calls") or message.get("role") in ("tool", "function"):
        raise bad_input("This provider does not serve tools.")
    if isinstance(content, list):
        for part in content:
            if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
                raise bad_input("This model reads text only: no images, sounds or files.")
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise bad_input("Each message needs its “content” as text.")
    return content


def _prompt(said: object, context_tokens: int) -> str:
    if isinstance(said, list) and len(said) == 1:
        said = said[0]
    if not isinstance(said, str) or not said:
        raise bad_input("“prompt” must be one text.")
    _check_length(len(said.encode()), context_tokens)
    return said


def _check_length(size: int, context_tokens: int) -> None:
    if size > context_tokens * BYTES_PER_TOKEN:
        raise too_long(context_tokens)


def too_long(context_tokens: int) -> Refused:
    """A prompt that the model cannot hold."""
    return bad_input(f"The prompt is longer than the {context_tokens} tokens that the model can hold.")


def _check_stop(stop: object) -> None:
    stops = [stop] if isinstance(stop, str) else stop
    if stops is None:
        return
    if not isinstance(stops, list) or len(stops) > MAX_STOPS:
        raise bad_input(f"“stop” must be a text or at most {MAX_STOPS} of them.")
    if not all(isinstance(text, str) and len(text) <= MAX_STOP_CHARACTERS for text in stops):
        raise bad_input(f"Each “stop” must be a text of at most {MAX_STOP_CHARACTERS} characters.")


def _chat_likelihoods(body: Mapping[str, Any]) -> dict[str, Any]:
    if not body.get("logprobs"):
        return {}
    return {
        "logprobs": True,
        "top_logprobs": _bounded(body.get("top_logprobs") or 0, "top_logprobs", 0, MAX_ALTERNATIVES),
    }


def _response_format(said: object) -> dict[str, Any]:
    """Grammars made from strangers' schemas can take a parser down, and others' jobs with it: only plain JSON."""
    kind = said.get("type") if isinstance(said, dict) else None
    if said is None or kind == "text":
        return {}
    if kind == "json_object":
        return {"response_format": {"type": "json_object"}}
    raise bad_input("This provider serves the response formats “text” and “json_object” only.")


def _bounded(value: object, name: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise bad_input(f"“{name}” must be a whole number from {least} to {most}.")
    return value

"""In a worker: chats and completions with llama.cpp on a GGUF model, several at once in the slots of one context."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import xllamacpp

from depin_desktop.services.compute.runtimes import chat_answers as answers
from depin_desktop.services.compute.runtimes import chat_requests as requests
from depin_desktop.services.compute.runtimes.engine import Refused, Task, bad_input

BATCH_TOKENS = 512
"""Fixed, as another batch rounds differently and may choose another token; also how often a prompt can be cancelled."""
_PROGRESS = b'"prompt_progress":'  # a quote inside a text is escaped, so none of these can be met in one
_FINISH = b'"finish_reason":"'
_ROLE = b'"delta":{"role":'
_USAGE = b'"usage":{'
_ERROR = b'{"error":'


def load(settings: Mapping[str, Any]) -> ChatEngine:
    """Loads the model.

    Raises:
        Refused: it cannot be loaded.
    """
    slots, context = int(settings["slots"]), int(settings["context_tokens"])
    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.model_alias = [settings["name"]]
    params.n_parallel, params.n_ctx = slots, slots * context
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(settings["threads"])
    params.n_gpu_layers = int(settings["gpu_layers"])
    params.cache_ram_mib = 0  # prompts of strangers are not hoarded; each slot keeps its last one warm
    params.verbosity = 1
    # The engine insists on a listener of its own: behind a key that nobody has and, where there is such a thing, on a
    # socket in the worker's private folder (relative, as paths of sockets must be short).
    params.api_keys = [secrets.token_hex(16)]
    params.hostnames = ["127.0.0.1"] if sys.platform == "win32" else ["llama.sock"]
    params.n_threads_http = 1
    params.endpoint_slots = params.ui = False
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        raise Refused("crashed", "The model cannot be loaded; its file may be damaged.") from error
    return ChatEngine(server, context, _device(int(settings["gpu_layers"])))


def _device(gpu_layers: int) -> str:
    """What the layers are on: the name of a GPU's programming interface, or "cpu"."""
    if gpu_layers:
        for device in xllamacpp.get_device_info():
            if device["type"] != xllamacpp.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_CPU:
                return str(device["name"]).rstrip("0123456789").lower()
    return "cpu"


class ChatEngine:
    """One loaded model."""

    concurrent = True

    def __init__(self, server: Any, context_tokens: int, device: str) -> None:
        self._server = server
        self._context_tokens = context_tokens
        self._device = device

    def describe(self) -> dict[str, Any]:
        return {"engine": f"xllamacpp {version('xllamacpp')} {self._device}", "device": self._device}

    def cancel(self, task: Task) -> None:
        """Nothing to do: the next callback sees it."""

    def run(self, task: Task) -> bytes:
        request = answers.dump(requests.for_llama(task.kind, task.body, self._context_tokens))
        stream = _Stream(task, self._context_tokens)
        chat = task.kind == "chat"
        handle = self._server.handle_chat_completions if chat else self._server.handle_completions
        try:
            handle(request, stream.take)
        except (RuntimeError, ValueError) as error:
            raise bad_input(f"The model refuses the request: {error}.") from error
        return stream.end()


class _Stream:
    """Follows one stream of the engine: passes parts on, counts, and holds the end back until the usage is known."""

    def __init__(self, task: Task, context_tokens: int) -> None:
        self._task = task
        self._context_tokens = context_tokens
        self._streamed = bool(task.body.get("stream"))
        self._with_usage = bool((task.body.get("stream_options") or {}).get("include_usage"))
        self._likelihoods = answers.LegacyLikelihoods() if task.kind == "completion" else None
        self._gathering = None if self._streamed else answers.Gathering(task.kind)
        self._finish: dict[str, Any] | None = None
        self._usage: dict[str, Any] | None = None
        self._failure: Refused | None = None

    def take(self, data: bytes) -> bool:
        """One event of the engine; gives whether it shall stop. Called in a thread of ours, once for each token."""
        if self._task.cancelled.is_set():
            self._failure = Refused("time-limit", "The job was interrupted.")
            return True
        if data.startswith(_ERROR):
            self._failure = _failure(json.loads(data)["error"], self._context_tokens)
            return True
        if _PROGRESS in data:
            self._task.prompt_tokens = int(json.loads(data)["prompt_progress"]["processed"])
            self._task.progress()
        elif _USAGE in data or _FINISH in data:
            self._hold(json.loads(data))
        else:
            if _ROLE not in data:
                self._task.completion_tokens += 1  # nearly: the final count is the engine's
            self._pass_on(data)
        return False

    def _hold(self, chunk: dict[str, Any]) -> None:
        if chunk.get("usage"):
            self._usage = chunk["usage"]
            self._task.prompt_tokens = int(self._usage["prompt_tokens"])
            self._task.completion_tokens = int(self._usage["completion_tokens"])
        if chunk.get("choices"):
            self._finish = chunk

    def _pass_on(self, data: bytes) -> None:
        if self._gathering is None and self._likelihoods is None:
            self._task.send(data)
            return
        chunk = json.loads(data)
        if self._likelihoods is not None:
            for choice in chunk["choices"]:
                self._likelihoods.convert(choice)
        if self._gathering is not None:
            self._gathering.add(chunk)
            self._task.progress()
        else:
            self._task.send(answers.dump(chunk))

    def end(self) -> bytes:
        """The last part, or the whole answer."""
        if self._failure:
            raise self._failure
        if self._usage is None or self._finish is None:
            raise Refused("crashed", "The engine ended without an answer.")
        if self._gathering is not None:
            self._gathering.add(self._finish)
            return answers.dump(self._gathering.answer(self._usage))
        finish = answers.plain(self._finish, usage=False)
        if not self._with_usage:
            return answers.dump(finish)
        self._task.send(answers.dump(finish))
        return answers.dump({**finish, "choices": [], "usage": self._usage})


def _failure(error: Mapping[str, Any], context_tokens: int) -> Refused:
    if error.get("type") == "exceed_context_size_error":
        return requests.too_long(context_tokens)
    if error.get("type") == "invalid_request_error":
        return bad_input(f"The model refuses the request: {error.get('message')}.")
    return Refused("crashed", f"The engine failed: {error.get('message')}.")

"""What a server elsewhere serves: asked, recognised, and measured with a short real request."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from depin_desktop.net.signing import canonical_json
from depin_desktop.services.compute.elsewhere import Upstream
from depin_desktop.services.compute.runtimes.base import ServedModel, WorkKind
from depin_desktop.services.compute.runtimes.remote_wire import Away, Refusal, Wire

MAX_MODELS = 16
SLOTS_UNTOLD = 4
"""Jobs at once for a server that does not say how many; those that have no room for so many let them wait."""
_MEASURED_TOKENS = 32
_QUESTION = "Name the numbers from one to fifty in English words, one after the other."
_READ = "A short paragraph of ordinary English that says nothing in particular, read again and again. " * 2
_UNFIT = re.compile(r"[^A-Za-z0-9._+-]+")
_KEPT = re.compile(r"[^A-Za-z0-9._:/@+ -]+")


@dataclass(frozen=True)
class Engine:
    """The program behind an address; `slots` is 0 where it does not say."""

    name: str
    build: str
    slots: int = 0


@dataclass(frozen=True)
class Found:
    """A model in the server's list: what the server calls it, and what we call it to others."""

    upstream_name: str
    name: str
    context_tokens: int


async def look(wire: Wire, upstream: Upstream) -> tuple[Engine, list[Found]]:
    """The program and its models, at most `MAX_MODELS`.

    Raises:
        Away, Refusal: it cannot be asked.
    """
    listed, headers = await wire.get(wire.base / "models")
    entries = [entry for entry in _list(listed.get("data")) if isinstance(entry.get("id"), str)]
    chosen = [entry for entry in entries if not upstream.models or entry["id"] in upstream.models]
    owner = str(entries[0].get("owned_by", "")) if entries else ""
    return await _engine(wire, owner, headers.get("Server", "")), [_found(entry) for entry in chosen[:MAX_MODELS]]


def _found(entry: Mapping[str, Any]) -> Found:
    meta = entry.get("meta") if isinstance(entry.get("meta"), dict) else {}
    assert isinstance(meta, dict)
    tokens = next((it for it in (meta.get("n_ctx"), entry.get("max_model_len")) if isinstance(it, int)), 0)
    name = str(entry["id"])
    if name.startswith(("/", "~", ".")) or re.match(r"[A-Za-z]:\\", name):
        name = re.split(r"[/\\]", name)[-1]  # llama.cpp names a model by its file; where that lies is nobody's business
    return Found(str(entry["id"]), _KEPT.sub(" ", name)[:80], max(0, tokens))


async def _engine(wire: Wire, owner: str, server: str) -> Engine:
    root = wire.base.parent
    if owner == "llamacpp":
        props = await _details(wire, root / "props")
        slots = props.get("total_slots")
        return Engine("llama.cpp", _word(props.get("build_info")), slots if isinstance(slots, int) else 0)
    if owner == "vllm":
        return Engine("vllm", _word((await _details(wire, root / "version")).get("version")))
    if owner == "library" or (await _details(wire, root / "api" / "version")).get("version"):
        return Engine("ollama", _word((await _details(wire, root / "api" / "version")).get("version")))
    return Engine(_word(server), "unknown")


async def _details(wire: Wire, url: Any) -> Mapping[str, Any]:
    try:
        return (await wire.get(url))[0]
    except (Away, Refusal):  # only what it adds is missing; it has just answered the list of models
        return {}


def _word(said: object) -> str:
    return _UNFIT.sub("-", str(said or "")).strip("-")[:40] or "unknown"


def identity(upstream: Upstream, found: Found) -> str:
    """Stands for the hash of a file that nobody here can read: of this server and its model's name.

    No two servers share one, so that their answers are never compared as if they came from the same weights.
    """
    said = {"remote": upstream.id, "model": found.upstream_name}
    return hashlib.sha256(canonical_json(said)).hexdigest()


def engine_name(upstream: Upstream, engine: Engine) -> str:
    """As receipts and offers name it: "remote" says that no file was hashed, and the rest tells servers apart."""
    return f"{engine.name} {engine.build} remote {upstream.id[:8]}"


async def measure(wire: Wire, upstream: Upstream, engine: Engine, found: Found) -> list[ServedModel]:
    """What the model does: each kind of work that it answers when tried with a short request.

    Raises:
        Away: the server went away meanwhile.
        Refusal: it refuses the key, or is not ready yet.
    """

    def served(kind: WorkKind, rate: float) -> ServedModel:
        return ServedModel(
            kind=kind,
            name=found.name,
            sha256=identity(upstream, found),
            engine=engine_name(upstream, engine),
            slots=engine.slots or SLOTS_UNTOLD,
            context_tokens=found.context_tokens,
            rate=rate,
            elsewhere=upstream.shown,
        )

    name = found.upstream_name
    kinds = []
    if rate := await _tried(_chat_rate(wire, name)):
        kinds.append(served(WorkKind.CHAT, rate))
        if await _tried(_whole(wire, "completions", {"model": name, "prompt": "One, two,", "max_tokens": 1})):
            kinds.append(served(WorkKind.COMPLETION, rate))
    if rate := await _tried(_embedding_rate(wire, name)):
        kinds.append(served(WorkKind.EMBEDDING, rate))
    return kinds


async def _tried(attempt: Any) -> float:
    try:
        return float(await attempt)
    except Refusal as refusal:
        if refusal.status in (401, 403, 429, 503):
            raise
        return 0.0  # this kind of work is not for this model


async def _whole(wire: Wire, path: str, body: Mapping[str, Any]) -> bool:
    return "choices" in await wire.ask(path, body)


async def _chat_rate(wire: Wire, model: str) -> float:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": _QUESTION}],
        "max_tokens": _MEASURED_TOKENS,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    began = first = last = time.perf_counter()
    parts = tokens = 0
    async with wire.stream("chat/completions", body) as events:
        async for event in events:
            if event.get("choices"):
                last = time.perf_counter()
                first = first if parts else last
                parts += 1
            usage = event.get("usage") or {}
            tokens = int(usage.get("completion_tokens") or tokens)
    tokens = tokens or parts
    if tokens > 1 and last > first:
        return (tokens - 1) / (last - first)
    return tokens / max(last - began, 1e-6)


async def _embedding_rate(wire: Wire, model: str) -> float:
    body = {"model": model, "input": _READ}
    await wire.ask("embeddings", {"model": model, "input": "warm"})  # the first one may load the model
    began = time.perf_counter()
    answer = await wire.ask("embeddings", body)
    took = time.perf_counter() - began
    usage = answer.get("usage") or {}
    tokens = int(usage.get("prompt_tokens") or len(_READ.split()))
    return tokens / max(took, 1e-6) if answer.get("data") else 0.0


def _list(value: object) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []

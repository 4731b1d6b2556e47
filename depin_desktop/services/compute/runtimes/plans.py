"""How workers are started under what the owner allows: context, threads, memory, cards. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from depin_desktop.controls.allowance import Allowance
from depin_desktop.services.compute.models.formats import Model
from depin_desktop.services.compute.runtimes.base import WorkKind
from depin_desktop.services.compute.runtimes.worker import Plan

MIB, GIB = 1 << 20, 1 << 30
CHAT_SLOTS = 4
MAX_CONTEXT_TOKENS = 4096
LEAST_CONTEXT_TOKENS = 512
CHAT_BASE_BYTES = 300 * MIB
"""What a chat worker holds beside its model and its context: Python, the engine, its buffers for a batch."""
ONNX_BASE_BYTES = 200 * MIB
CHAT_GRACE_S = 15.0
"""A chat can end only between two batches, and killing the worker would cost the others' jobs."""
MAX_WASM_WORKERS = 4
MAX_WASM_MEMORY_BYTES = GIB
MAX_WASM_SECONDS = 300.0
MAX_WASM_FUEL = 10**13
WASM_BASE_BYTES = 512 * MIB
WASM_FILE_BYTES = 64 * MIB
ALL_LAYERS = 999
_RUNTIMES = "depin_desktop.services.compute.runtimes"
_ENGINES = {WorkKind.CHAT: "chat", WorkKind.EMBEDDING: "embed", WorkKind.ONNX: "onnx"}


def context_tokens(model: Model, memory_bytes: int) -> int:
    """Tokens that each chat at a time may have; 0 where the model does not fit in that memory at all."""
    tokens = min(model.context_tokens or MAX_CONTEXT_TOKENS, MAX_CONTEXT_TOKENS)
    while tokens >= LEAST_CONTEXT_TOKENS:
        if _chat_bytes(model, tokens) <= memory_bytes:
            return tokens
        tokens //= 2
    return 0


def _chat_bytes(model: Model, tokens: int) -> int:
    cache = CHAT_SLOTS * tokens * (model.cache_bytes_per_token or model.size_bytes // 8192)
    return model.size_bytes + cache + CHAT_BASE_BYTES


def needed_bytes(model: Model, memory_bytes: int) -> int:
    """Memory that serving a model takes, about."""
    if model.kind is WorkKind.CHAT:
        return _chat_bytes(model, context_tokens(model, memory_bytes) or LEAST_CONTEXT_TOKENS)
    return 2 * model.size_bytes + ONNX_BASE_BYTES


def fits(model: Model, allowed: Allowance) -> bool:
    """Whether a model can be served in what is allowed, if it is the only one."""
    return needed_bytes(model, allowed.memory_bytes) <= allowed.memory_bytes


def model_plan(model: Model, allowed: Allowance, folder: Path) -> Plan:
    """The worker for one model."""
    threads = max(1, allowed.cpu_threads)
    settings: dict[str, Any] = {"path": str(model.path.absolute()), "name": model.name, "threads": threads}
    settings["gpu"] = bool(allowed.gpus)
    # One card for one model: what the owner allows is decided card by card.
    cards = allowed.gpus[:1]
    if model.kind is WorkKind.CHAT:
        context = context_tokens(model, allowed.memory_bytes) or LEAST_CONTEXT_TOKENS
        settings |= {"slots": CHAT_SLOTS, "context_tokens": context, "gpu_layers": gpu_layers(model, context, allowed)}
    elif model.tokenizer:
        settings["tokenizer"] = str(model.tokenizer.absolute())
    return Plan(
        f"{_RUNTIMES}.{_ENGINES[model.kind]}",
        settings,
        folder,
        threads,
        # A GPU's driver maps far more than it holds, so there only what is really held is watched.
        memory_bytes=0 if allowed.gpus else allowed.memory_bytes,
        environment=gpu_environment(cards),
        grace_s=CHAT_GRACE_S if model.kind is WorkKind.CHAT else 0.5,
    )


def wasm_plan(allowed: Allowance, folder: Path) -> Plan:
    """A worker for WASM jobs; each is a process of its own with one job at a time."""
    memory = MAX_WASM_MEMORY_BYTES + WASM_BASE_BYTES
    return Plan(
        f"{_RUNTIMES}.wasm",
        {},
        folder,
        max(1, allowed.cpu_threads),
        memory_bytes=memory,
        file_bytes=WASM_FILE_BYTES,
        environment=gpu_environment(()),
    )


def wasm_workers(allowed: Allowance) -> int:
    """WASM jobs at once."""
    by_memory = allowed.memory_bytes // (MAX_WASM_MEMORY_BYTES + WASM_BASE_BYTES)
    return max(1, min(allowed.cpu_threads, MAX_WASM_WORKERS, by_memory))


def gpu_layers(model: Model, context: int, allowed: Allowance) -> int:
    """Layers of a chat model that go onto a card: all, or so many as its share of memory holds."""
    if not allowed.gpus:
        return 0
    if allowed.vram_bytes is None or not model.layers:
        return ALL_LAYERS
    needed = _chat_bytes(model, context)
    return ALL_LAYERS if needed <= allowed.vram_bytes else model.layers * allowed.vram_bytes // needed


def gpu_environment(cards: tuple[str, ...]) -> dict[str, str]:
    """Shows a worker the cards that it may use and no others; drivers read this before anything else."""
    shown = ",".join(cards) or "-1"
    return dict.fromkeys(("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"), shown)

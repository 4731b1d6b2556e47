"""On a machine with an NVIDIA card: what a worker gets out of it against the bare engine on the same card, and what the
card tells of itself meanwhile. Elsewhere each part is left out, and says why.

llama.cpp and onnxruntime need their builds for GPUs, and PyTorch has to be installed beside: the lock file's packages
are for processors. `DEPIN_BENCH_GGUF` names a larger model than the one for development.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from depin_desktop.api.models import Gpu
from depin_desktop.controls.allowance import Allowance
from depin_desktop.hardware.gpus import read_gpus
from depin_desktop.services.compute.models import Models
from depin_desktop.services.compute.runtimes import plans
from depin_desktop.services.compute.runtimes.base import Job, Usage, WorkKind
from depin_desktop.services.compute.runtimes.engine import Task
from depin_desktop.services.compute.runtimes.local import LocalBackend
from depin_desktop.services.compute.runtimes.worker import Plan, Worker
from tests.benchmarks import torch_engine
from tests.benchmarks.raw_llama import raw_llama
from tests.benchmarks.table import Row
from tests.integration.llama_child import smollm2

TOKENS = 256
MEMORY_BYTES = 32 << 30
TEXTS = 256
HERE = Path(__file__).resolve().parent


async def rows(rounds: int) -> list[Row]:
    """Everything that this machine has what it takes for; medians of `rounds`."""
    cards = (await asyncio.to_thread(read_gpus)).gpus
    nvidia = [card for card in cards if card.uuid.startswith("GPU-")]
    if not nvidia:
        _skip("everything", "NVML tells of no card")
        return []
    card = nvidia[0]
    found = _readings(card, "idle")
    parts: Sequence[Callable[[Gpu, int], Awaitable[list[Row]]]] = (_llama, _onnx, _torch)
    for part in parts:
        found += await part(card, rounds)
    return found


def _skip(what: str, why: str) -> None:
    print(f"gpu: {what} is left out: {why}", file=sys.stderr, flush=True)


def _readings(card: Gpu, when: str) -> list[Row]:
    told = (
        ("temperature", card.temperature_c, "°C"),
        ("power", card.power_w, "W"),
        ("utilisation", card.utilisation_percent, "%"),
        ("memory in use", card.memory_used_bytes / 2**20, "MiB"),
    )
    return [Row(f"{card.name}, {what}, {when}", value, unit) for what, value, unit in told if value is not None]


async def _while_busy(card: Gpu, work: Awaitable[Any]) -> tuple[Any, list[Row]]:
    """The work's result, and what NVML tells of the card in its middle."""
    task = asyncio.ensure_future(work)
    await asyncio.wait({task}, timeout=0.5)
    reading = await asyncio.to_thread(read_gpus)
    busy = [one for one in reading.gpus if one.uuid == card.uuid]
    return await task, [row for one in busy for row in _readings(one, "at work")]


def _allowed(card: Gpu) -> Allowance:
    return Allowance(run=True, cpu_threads=4, memory_bytes=MEMORY_BYTES, gpus=(card.uuid,))


async def _last(backend: LocalBackend | Worker, job: Job) -> Usage:
    usage = Usage()
    chunks = backend.run(job, seconds=600) if isinstance(backend, Worker) else backend.run(job)
    async for chunk in chunks:
        usage = chunk.usage
    return usage


# --- llama.cpp --------------------------------------------------------------------------------------------------------


async def _llama(card: Gpu, rounds: int) -> list[Row]:
    import xllamacpp

    processor = xllamacpp.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_CPU
    if all(device["type"] == processor for device in xllamacpp.get_device_info()):
        _skip("llama.cpp", "the installed xllamacpp is built for processors only")
        return []
    path = Path(os.environ.get("DEPIN_BENCH_GGUF") or smollm2())
    with tempfile.TemporaryDirectory(prefix="depin-bench-") as temporary:
        models = Models(Path(temporary) / "models", shipped=tuple)
        await models.open()
        model = await models.import_file(path)
        allowed = _allowed(card)
        backend = LocalBackend(models, scratch=Path(temporary) / "scratch", allowance=lambda: allowed, measuring=False)
        context = plans.context_tokens(model, MEMORY_BYTES)
        await backend.start()
        try:
            async with raw_llama(
                str(path), threads=4, slots=plans.CHAT_SLOTS, context=context, gpu_layers=plans.ALL_LAYERS
            ) as raw:
                ours, bare, readings = [], [], []
                for number in range(rounds + 1):
                    body = _chat(number)
                    told = await raw.run([body])
                    bare.append(told["tokens"] / told["seconds"])
                    began = time.perf_counter()
                    job = Job(f"{number:032x}", WorkKind.CHAT, model.sha256, body)
                    usage, readings = await _while_busy(card, _last(backend, job))
                    ours.append(usage.completion_tokens / (time.perf_counter() - began))
        finally:
            await backend.stop()
    rate, baseline = statistics.median(ours[1:]), statistics.median(bare[1:])
    return [Row("chat through a worker", rate, "tokens/s", baseline, "the bare engine", "≥ 0.95 ×"), *readings]


def _chat(number: int) -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "content": f"{number}: tell a long story about a lighthouse."}],
        "max_tokens": TOKENS,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


# --- onnxruntime ------------------------------------------------------------------------------------------------------


async def _onnx(card: Gpu, rounds: int) -> list[Row]:
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        _skip("onnxruntime", "the installed one is built for processors only")
        return []
    from depin_desktop.services.compute.runtimes import embed

    with tempfile.TemporaryDirectory(prefix="depin-bench-") as temporary:
        models = Models(Path(temporary) / "models")
        await models.open()
        model = next(one for one in models.all() if one.kind is WorkKind.EMBEDDING)
        settings = {"path": str(model.path), "tokenizer": str(model.tokenizer), "threads": 4, "gpu": True}
        engine = await asyncio.to_thread(embed.load, settings)
        allowed = _allowed(card)
        backend = LocalBackend(models, scratch=Path(temporary) / "scratch", allowance=lambda: allowed, measuring=False)
        await backend.start()
        body = {"input": ["A sentence of about ordinary length, of which a vector is wanted."] * TEXTS}
        ours, bare = [], []
        try:
            for number in range(rounds + 1):
                task = _task("embedding", body)
                began = time.perf_counter()
                await asyncio.to_thread(engine.run, task)
                bare.append(task.prompt_tokens / (time.perf_counter() - began))
                began = time.perf_counter()
                usage = await _last(backend, Job(f"{number:032x}", WorkKind.EMBEDDING, model.sha256, body))
                ours.append(usage.prompt_tokens / (time.perf_counter() - began))
        finally:
            await backend.stop()
    rate, baseline = statistics.median(ours[1:]), statistics.median(bare[1:])
    return [Row("embeddings through a worker", rate, "tokens/s", baseline, "the bare engine", "≥ 0.95 ×")]


# --- PyTorch ----------------------------------------------------------------------------------------------------------


async def _torch(card: Gpu, rounds: int) -> list[Row]:
    if find_spec("torch") is None:
        _skip("PyTorch", "it is not installed")
        return []
    with tempfile.TemporaryDirectory(prefix="depin-bench-") as temporary:
        plan = Plan(
            torch_engine.__name__,
            {},
            Path(temporary) / "worker",
            threads=4,
            environment={"PYTHONPATH": str(HERE.parents[1]), **plans.gpu_environment((card.uuid,))},
        )
        worker = Worker(plan)
        await worker.start()
        engine = await asyncio.to_thread(torch_engine.load, {})
        ours, bare, readings = [], [], []
        try:
            for _ in range(rounds + 1):
                bare.append(json.loads(await asyncio.to_thread(engine.run, _task("onnx", {})))["flops"])
                told, readings = await _while_busy(card, _flops(worker))
                ours.append(told)
        finally:
            await worker.kill()
    rate, baseline = statistics.median(ours[1:]) / 1e12, statistics.median(bare[1:]) / 1e12
    return [Row("matrix products in a worker", rate, "TFLOP/s", baseline, "bare PyTorch", "≥ 0.95 ×"), *readings]


async def _flops(worker: Worker) -> float:
    """Over the worker's wall clock as it is seen from here, so that the way there and back counts."""
    began = time.perf_counter()
    async for chunk in worker.run(Job("0" * 32, WorkKind.ONNX, ""), seconds=600):
        done = json.loads(chunk.data)
    return float(done["operations"]) / (time.perf_counter() - began)


def _task(kind: str, body: dict[str, Any]) -> Task:
    return Task(kind, body, b"", "", "", send=lambda _: None, progress=lambda: None)

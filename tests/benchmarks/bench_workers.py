"""What it costs to do work in a process of its own: against a direct call, against a Ray actor, and when they abort."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil

from depin_desktop.api.compute import JobOutcome, JobStatus
from depin_desktop.controls.allowance import Allowance
from depin_desktop.customer.compute.canaries import wasm_canary
from depin_desktop.net.work_receipts import WorkReceipt, WorkUsage
from depin_desktop.services.compute.journal import Journal
from depin_desktop.services.compute.models import Models
from depin_desktop.services.compute.runtimes import embed, wasm
from depin_desktop.services.compute.runtimes.base import Job, JobFailed, WorkKind
from depin_desktop.services.compute.runtimes.engine import Engine, Task
from depin_desktop.services.compute.runtimes.local import LocalBackend
from depin_desktop.services.compute.runtimes.worker import Plan, Worker
from depin_desktop.services.compute.store import Ended
from tests.benchmarks.table import Row

WARM_UP = 20
ABORTS = 100
OUTSTANDING = 16
HOSTILE = Path(__file__).resolve().parents[1] / "unit"
ALLOWED = Allowance(run=True, cpu_threads=1, memory_bytes=8 << 30)


async def rows(requests: int) -> list[Row]:
    """Medians of `requests` calls each way, in turns, so that a busy moment meets both."""
    with tempfile.TemporaryDirectory(prefix="depin-bench-") as temporary:
        folder = Path(temporary)
        async with _backend(folder) as (backend, models):
            return [
                *await _embedding(backend, models, requests),
                *await _wasm(backend, folder, requests),
                _journal(folder, requests),
                *await _rate(backend, folder, requests * 10),
                *await _aborts(folder),
            ]


@contextlib.asynccontextmanager
async def _backend(folder: Path) -> AsyncIterator[tuple[LocalBackend, Models]]:
    models = Models(folder / "models")
    await models.open()
    backend = LocalBackend(models, scratch=folder / "scratch", allowance=lambda: ALLOWED, measuring=False)
    await backend.start()
    try:
        yield backend, models
    finally:
        await backend.stop()


async def _embedding(backend: LocalBackend, models: Models, requests: int) -> list[Row]:
    model = next(model for model in models.all() if model.kind is WorkKind.EMBEDDING)
    engine = embed.load({"path": str(model.path), "tokenizer": str(model.tokenizer), "threads": 1, "gpu": False})
    body = {"input": "A sentence of about ordinary length, of which a vector is wanted."}
    job = Job("0" * 32, WorkKind.EMBEDDING, model.sha256, body)
    direct, through = await _in_turns(engine, backend, job, requests)
    return [
        Row("an embedding, direct call, p50", direct, "ms"),
        Row("an embedding through a worker, added at p50", through - direct, "ms", bound="≤ 5"),
    ]


async def _wasm(backend: LocalBackend, folder: Path, requests: int) -> list[Row]:
    engine = wasm.load({"folder": str(folder / "direct")})
    direct, through = await _in_turns(engine, backend, _wasm_job(folder), requests)
    return [
        Row("a WASM job, direct call, p50", direct, "ms"),
        Row("a WASM job through a worker, added at p50", through - direct, "ms", bound="≤ 1"),
    ]


def _journal(folder: Path, requests: int) -> Row:
    """What each paid job costs more so that it is known of after its engine was killed; nothing waits for the disk."""
    journal = Journal(folder / "running.jsonl")
    journal.open()
    usage = WorkUsage(fuel=10**9, seconds=0.5)
    took = []
    for number in range(requests * 10):
        identity = f"{number:032x}"
        status = JobStatus(
            id=identity, kind="wasm", model="ab" * 32, customer="0x" + "cd" * 20, outcome=JobOutcome.RUNNING,
            queued_at=time.time(), started_at=time.time(), log="waited 0.00 s",
        )  # fmt: skip
        receipt = WorkReceipt(
            job=identity, kind="wasm", model="ab" * 32, engine="wasmtime 50.0.1", parameters_hash="ef" * 32,
            input_hash="01" * 32, output_hash="23" * 32, usage=usage, charged=10**16, customer="0x" + "cd" * 20,
            provider="0x" + "45" * 20, finished_at=time.time(),
        ).model_dump(mode="json") | {"signature": "0x" + "67" * 65}  # fmt: skip
        ended = Ended(status.model_copy(update={"outcome": JobOutcome.DONE, "ended_at": time.time()}), receipt, 0.5)
        began = time.perf_counter()
        journal.begin(status, b"\x89" * 32, 10**18)
        journal.end(ended)
        took.append((time.perf_counter() - began) * 1000)
        journal.settle([identity])
    journal.close()
    return Row("noting that a job begins and ends, p50", statistics.median(took), "ms", bound="≤ 0.1")


def _wasm_job(folder: Path) -> Job:
    ask: Any = wasm_canary(random.Random(1)).ask
    sha256 = hashlib.sha256(ask.module).hexdigest()
    path = folder / f"{sha256}.wasm"
    path.write_bytes(ask.module)
    body = {"fuel": 10**9, "memory": 64 << 20, "seconds": 10.0}
    return Job("0" * 32, WorkKind.WASM, sha256, body, ask.stdin, path)


async def _in_turns(engine: Engine, backend: LocalBackend, job: Job, requests: int) -> tuple[float, float]:
    """Medians in milliseconds: a direct call in this process, and the same job through the backend."""

    async def direct() -> None:
        body = {"args": (), **job.body}
        nothing: Any = lambda *_: None  # noqa: E731
        engine.run(Task(job.kind.value, body, job.payload, str(job.module or ""), job.model, nothing, nothing))

    async def through() -> None:
        await _done(backend, job)

    ways: dict[str, Callable[[], Awaitable[None]]] = {"direct": direct, "through": through}
    took: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(requests + WARM_UP):
        for name, way in ways.items():
            began = time.perf_counter()
            await way()
            if number >= WARM_UP:
                took[name].append((time.perf_counter() - began) * 1000)
    return statistics.median(took["direct"]), statistics.median(took["through"])


async def _done(backend: LocalBackend, job: Job) -> None:
    async for _ in backend.run(job):
        pass


async def _rate(backend: LocalBackend, folder: Path, jobs: int) -> list[Row]:
    """One worker against one Ray actor on the same WASM job, `OUTSTANDING` of them asked for at any time."""
    job = _wasm_job(folder)
    ours = await _jobs_a_second(backend, job, jobs)
    theirs = await _ray_rate(folder, job, jobs)
    return [Row("WASM jobs, one worker", ours, "/s", theirs, "one Ray actor", "≥ 1 ×" if theirs else "")]


async def _jobs_a_second(backend: LocalBackend, job: Job, jobs: int) -> float:
    left = iter(range(jobs))

    async def ask() -> None:
        for _ in left:
            await _done(backend, job)

    began = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(OUTSTANDING)))
    return jobs / (time.perf_counter() - began)


async def _ray_rate(folder: Path, job: Job, jobs: int) -> float | None:
    stdin = folder / "stdin"
    stdin.write_bytes(job.payload)
    told = json.dumps({"module": str(job.module), "sha256": job.model, "stdin": str(stdin), "jobs": jobs})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.ray_actor", told, str(OUTSTANDING)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said, _ = await process.communicate()
    return float(said) if said.strip() else None


async def _aborts(folder: Path) -> list[Row]:
    """A hundred native aborts in a row, each in the middle of a job; then one job that works."""
    process = psutil.Process()
    plan = Plan("compute_hostile", {}, folder / "hostile", threads=1, environment={"PYTHONPATH": str(HOSTILE)})
    await _abort(plan)
    files, memory = process.num_fds(), process.memory_info().rss
    began = time.perf_counter()
    crashed = sum([await _abort(plan) for _ in range(ABORTS)])
    each = (time.perf_counter() - began) / ABORTS * 1000
    grown, opened = (process.memory_info().rss - memory) / 1e6, process.num_fds() - files
    worker = Worker(plan)
    await worker.start()
    async for chunk in worker.run(Job("0" * 32, WorkKind.WASM, "", {"do": "echo"}, b"still here"), seconds=10):
        assert chunk.data == b"still here"
    await worker.kill()
    return [
        Row(f"{ABORTS} worker aborts in a row, each", each, "ms"),
        Row("of them failed as their own job and nothing else", crashed, "", bound=f"≥ {ABORTS}"),
        Row("engine's memory after them", grown, "MB more", bound="≤ 5"),
        Row("engine's open files after them", opened, "more", bound="≤ 0"),
    ]


async def _abort(plan: Plan) -> bool:
    worker = Worker(plan)
    await worker.start()
    try:
        async for _ in worker.run(Job("0" * 32, WorkKind.WASM, "", {"do": "abort"}), seconds=10):
            pass
    except JobFailed as failed:
        await worker.ended.wait()
        return failed.code == "crashed"
    return False

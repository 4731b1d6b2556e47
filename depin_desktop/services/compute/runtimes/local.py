"""The backend that works on this machine: every runtime in worker processes, under what the owner allows."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import shutil
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from depin_desktop.controls.allowance import Allowance
from depin_desktop.core.tasks import Cycle, Tasks
from depin_desktop.net import metering
from depin_desktop.services.compute.models import Model, Models
from depin_desktop.services.compute.runtimes import plans
from depin_desktop.services.compute.runtimes.base import Chunk, Job, JobFailed, ServedModel, WorkKind
from depin_desktop.services.compute.runtimes.measuring import measure
from depin_desktop.services.compute.runtimes.pool import Pool
from depin_desktop.services.compute.runtimes.rates import Rates
from depin_desktop.services.compute.runtimes.watch import Watch
from depin_desktop.services.compute.runtimes.worker import Worker

log = logging.getLogger(__name__)

IDLE_S = 300.0
TEND_S = 30.0
PROBLEM_S = 600.0
"""A model that could not be loaded is tried again after so long."""
CHAT_SECONDS = 900.0
EMBEDDING_SECONDS = 60.0
ONNX_SECONDS = 60.0
_PACKAGES = {
    WorkKind.CHAT: "xllamacpp",
    WorkKind.EMBEDDING: "onnxruntime",
    WorkKind.ONNX: "onnxruntime",
    WorkKind.WASM: "wasmtime",
}
_WASM = "wasm"


class LocalBackend:
    """Work done by this machine's own workers.

    Args:
        models: what can be served; WASM customers bring their own modules.
        scratch: a folder for this backend alone; emptied at start.
        allowance: tells what may run now. Whoever is told of changes calls `release` when nothing may.
        measuring: whether what has no rate yet is measured by itself.
    """

    def __init__(
        self, models: Models, *, scratch: Path, allowance: Callable[[], Allowance], measuring: bool = True
    ) -> None:
        self.tend = Cycle("compute/tend", TEND_S, self._tend)
        self._models = models
        self._scratch = scratch
        self._allowance = allowance
        self._measuring = measuring
        self._rates = Rates(models.folder / "rates.json")
        self._pools: dict[str, Pool] = {}
        self._problems: dict[str, tuple[float, str]] = {}
        self._unmeasurable: set[str] = set()
        self._numbers = itertools.count(1)
        self._watch = Watch(
            self.workers,
            memory_bytes=lambda: self._allowance().memory_bytes,
            threads=lambda: self._allowance().cpu_threads,
        )
        self._loading = asyncio.Lock()
        self._tasks = Tasks("compute/local")

    async def start(self) -> None:
        """Makes ready; nothing is loaded yet. What has never been measured is measured in the background."""
        await asyncio.to_thread(self._prepare)
        self._tasks.spawn("tend", self.tend.run())

    def _prepare(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True, mode=0o700)
        self._rates.load()

    async def stop(self) -> None:
        """Ends every worker and its children."""
        await self._tasks.close()
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
        await self._watch.close()
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    async def release(self) -> None:
        """Ends running jobs and frees memory, also of GPUs, at once; the next job loads again."""
        why = JobFailed("overloaded", self._allowance().reason or "This machine's owner needs it now.")
        await asyncio.gather(*(pool.end(why) for pool in self._pools.values()))

    # --- what there is

    def served(self) -> tuple[ServedModel, ...]:
        """What can be asked for now."""
        allowed = self._allowance()
        served = []
        for model in self._models.all():
            if not self.problem(model.sha256):
                one = self._served(model, allowed)
                served.append(one)
                if model.kind is WorkKind.CHAT:
                    served.append(replace(one, kind=WorkKind.COMPLETION))
        if installed(WorkKind.WASM):
            engine = self._engine(WorkKind.WASM, allowed)
            rate = self._rates.get(_WASM, engine, allowed.cpu_threads)
            slots = plans.wasm_workers(allowed)
            served.append(ServedModel(WorkKind.WASM, "WASM", "", engine, slots=slots, rate=rate))
        return tuple(served)

    def _served(self, model: Model, allowed: Allowance) -> ServedModel:
        engine = self._engine(model.kind, allowed)
        chat = model.kind is WorkKind.CHAT
        return ServedModel(
            model.kind,
            model.name,
            model.sha256,
            engine,
            slots=plans.CHAT_SLOTS if chat else 1,
            context_tokens=plans.context_tokens(model, allowed.memory_bytes) if chat else 0,
            rate=self._rates.get(model.sha256, engine, allowed.cpu_threads),
            licence=model.licence,
            gpu=allowed.gpus[0] if allowed.gpus and not engine.endswith(" cpu") else "",
        )

    def problem(self, sha256: str) -> str:
        """One sentence that says why a model is not served; empty where it is."""
        model = self._models.find(sha256)
        if model is None:
            return "There is no such model."
        if not installed(model.kind):
            return f"The package “{_PACKAGES[model.kind]}” is not installed."
        found = self._problems.get(sha256)
        if found and time.monotonic() - found[0] < PROBLEM_S:
            return found[1]
        allowed = self._allowance()
        if allowed.run and not plans.fits(model, allowed):
            return "The model needs more memory than you allow for computing."
        return ""

    def workers(self) -> tuple[Worker, ...]:
        """Every process there is."""
        return tuple(worker for pool in self._pools.values() for worker in pool.workers)

    def loaded(self, sha256: str) -> bool:
        """Whether a model is in memory; of WASM, with an empty hash, whether a worker waits."""
        pool = self._pools.get(sha256 or _WASM)
        return pool is not None and pool.loaded

    def _engine(self, kind: WorkKind, allowed: Allowance) -> str:
        """What the engine calls itself, or is sure to on a machine without cards."""
        package = f"{_PACKAGES[kind]} {installed(kind)}"
        if kind is WorkKind.WASM:
            return package
        return self._rates.engine(package, gpu=bool(allowed.gpus)) or f"{package} cpu"

    # --- work

    async def run(self, job: Job) -> AsyncGenerator[Chunk, None]:
        """Does one job; see `base.Backend`."""
        allowed = self._allowed()
        pool = await self._pool(job)
        await pool.renew()
        job, seconds = self._prepared(job, allowed)
        async with contextlib.aclosing(pool.run(job, seconds=seconds)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _allowed(self) -> Allowance:
        allowed = self._allowance()
        if not allowed.run:
            raise JobFailed("overloaded", allowed.reason or "This machine does not work now.")
        return allowed

    def _prepared(self, job: Job, allowed: Allowance) -> tuple[Job, float]:
        """The job with every limit set, and its seconds."""
        if job.kind is WorkKind.WASM:
            return with_wasm_limits(job)
        if job.kind in (WorkKind.CHAT, WorkKind.COMPLETION):
            model = self._models.find(job.model)
            context = plans.context_tokens(model, allowed.memory_bytes) if model else 0
            try:
                limit = metering.output_limit(job.body, context)
            except (TypeError, ValueError) as error:
                raise JobFailed("bad-input", "“max_tokens” must be a whole number.") from error
            return replace(job, body={**job.body, "max_completion_tokens": limit}), CHAT_SECONDS
        return job, EMBEDDING_SECONDS if job.kind is WorkKind.EMBEDDING else ONNX_SECONDS

    async def _pool(self, job: Job) -> Pool:
        if job.kind is WorkKind.WASM:
            if job.module is None:
                raise JobFailed("bad-input", "The job names no module.")
            return self._pools.get(_WASM) or self._wasm_pool()
        kind = WorkKind.CHAT if job.kind is WorkKind.COMPLETION else job.kind
        model = self._models.find(job.model)
        if model is None or model.kind is not kind:
            raise JobFailed("bad-input", "This provider has no such model for this kind of work.")
        if problem := self.problem(model.sha256):
            raise JobFailed("overloaded", problem)
        pool = self._pools.get(model.sha256) or self._model_pool(model)
        if not pool.workers:
            await self._make_room(model, pool)
        return pool

    def _wasm_pool(self) -> Pool:
        pool = Pool(
            _WASM,
            plan=lambda: plans.wasm_plan(self._allowed(), self._folder(_WASM)),
            most=lambda: plans.wasm_workers(self._allowance()),
            slots=1,
            started=lambda worker: None,
            begun=self._watch.look,
            failed=lambda failed: None,
        )
        self._pools[_WASM] = pool
        return pool

    def _model_pool(self, model: Model) -> Pool:
        def started(worker: Worker) -> None:
            self._problems.pop(model.sha256, None)
            package = f"{_PACKAGES[model.kind]} {installed(model.kind)}"
            self._rates.put_engine(package, str(worker.about["engine"]), gpu=bool(self._allowance().gpus))

        def failed(failure: JobFailed) -> None:
            log.warning("%s cannot be loaded: %s %s", model.name, failure.message, failure.log)
            self._problems[model.sha256] = (time.monotonic(), failure.message)

        pool = Pool(
            model.name,
            plan=lambda: plans.model_plan(model, self._allowed(), self._folder(model.kind.value)),
            most=lambda: 1,
            slots=plans.CHAT_SLOTS if model.kind is WorkKind.CHAT else 1,
            started=started,
            begun=self._watch.look,
            failed=failed,
        )
        self._pools[model.sha256] = pool
        return pool

    def _folder(self, name: str) -> Path:
        return self._scratch / f"{name}-{next(self._numbers)}"

    async def _make_room(self, model: Model, wanting: Pool) -> None:
        """Unloads idle models, the one longest unused first, until another fits."""
        allowed = self._allowance()
        async with self._loading:
            held = {
                sha256: plans.needed_bytes(other, allowed.memory_bytes)
                for sha256, pool in self._pools.items()
                if pool.workers and pool is not wanting and (other := self._models.find(sha256))
            }
            needed = plans.needed_bytes(model, allowed.memory_bytes)
            for sha256 in sorted(held, key=lambda sha256: self._pools[sha256].used_at):
                if sum(held.values()) + needed <= allowed.memory_bytes:
                    return
                if not self._pools[sha256].busy:
                    await self._pools[sha256].end(idle_for_s=0.0)
                    del held[sha256]
            if sum(held.values()) + needed > allowed.memory_bytes:
                raise JobFailed("overloaded", "Other models take the memory that this one needs.")

    # --- upkeep

    async def _tend(self) -> None:
        """Ends what has been idle for long, also what was started under another allowance, and measures."""
        for sha256, pool in list(self._pools.items()):
            await pool.end(idle_for_s=IDLE_S)
            if self._allowance().run:
                await pool.renew()
            if sha256 != _WASM and self._models.find(sha256) is None:
                await pool.close()
                del self._pools[sha256]
        # What needs no large file in memory comes first: it is on offer while the others are still being loaded.
        for served in sorted(self.served(), key=_weight) if self._measuring else ():
            await self._measure(served)

    async def _measure(self, served: ServedModel) -> None:
        name, allowed = served.sha256 or _WASM, self._allowance()
        key = f"{name} {served.engine} {allowed.cpu_threads}"
        if served.rate or served.kind is WorkKind.COMPLETION or key in self._unmeasurable or not allowed.run:
            return
        if (pool := self._pools.get(name)) and pool.busy:
            return  # beside other work it would measure too little
        try:
            rate = await measure(served.kind, served.sha256, self.run, self._scratch)
        except JobFailed as failed:
            if self._allowance().run:
                self._unmeasurable.add(key)
                log.warning("%s cannot be measured: %s", served.name, failed.message)
            return
        engine = self._engine(served.kind, allowed)
        await asyncio.to_thread(self._rates.put, name, engine, allowed.cpu_threads, rate)


def _weight(served: ServedModel) -> int:
    return (WorkKind.WASM, WorkKind.ONNX, WorkKind.EMBEDDING, WorkKind.CHAT, WorkKind.COMPLETION).index(served.kind)


def with_wasm_limits(job: Job) -> tuple[Job, float]:
    """A WASM job with every limit set, and its seconds.

    Raises:
        JobFailed: "bad-input": its limits are no numbers.
    """
    body: dict[str, Any] = dict(job.body)
    try:
        fuel = min(int(body.get("fuel") or 10**10), plans.MAX_WASM_FUEL)
        memory = min(int(body.get("memory") or 256 * plans.MIB), plans.MAX_WASM_MEMORY_BYTES)
        seconds = min(float(body.get("seconds") or 30.0), plans.MAX_WASM_SECONDS)
        arguments = [str(argument) for argument in body.get("args") or ()]
    except (TypeError, ValueError) as error:
        raise JobFailed("bad-input", "The job's limits must be numbers.") from error
    if fuel <= 0 or memory <= 0 or not seconds > 0:
        raise JobFailed("bad-input", "The job's limits must be above zero.")
    return replace(job, body={"fuel": fuel, "memory": memory, "args": arguments}), seconds


@cache
def installed(kind: WorkKind) -> str:
    """The version of the package that does a kind of work; empty where it is not installed."""
    try:
        return version(_PACKAGES[kind])
    except PackageNotFoundError:
        return ""

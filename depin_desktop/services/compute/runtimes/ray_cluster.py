"""A backend that is a Ray cluster of the owner's: ONNX and WASM jobs, as many at once as the cluster has processors.

It is attached to by an address that the owner named, never looked for and never started. Ray itself runs in a worker
process (`ray_driver`): what happens to that or to the cluster costs the jobs there and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import shutil
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from depin_desktop.core.tasks import Cycle, Tasks
from depin_desktop.services.compute.elsewhere import Cluster
from depin_desktop.services.compute.models import Models
from depin_desktop.services.compute.runtimes.base import Chunk, Job, JobFailed, ServedModel, WorkKind
from depin_desktop.services.compute.runtimes.local import with_wasm_limits
from depin_desktop.services.compute.runtimes.measuring import measure
from depin_desktop.services.compute.runtimes.ray_driver import START_S
from depin_desktop.services.compute.runtimes.worker import Plan, Worker

log = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0
FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 2.0, 300.0
REACH_S = 3.0
WATCH_S, MISSED = 2.0, 2
SURVEY_S = START_S + 10.0
ONNX_SECONDS = 60.0
_DRIVER = "depin_desktop.services.compute.runtimes.ray_driver"
_WASM = "wasm"


@dataclass(frozen=True)
class _Size:
    """The cluster as it was last seen; `about` is what its nodes have of each runtime."""

    cpus: int = 0
    nodes: int = 0
    about: Mapping[str, str] = field(default_factory=dict)


class RayBackend:
    """Work done by a Ray cluster; see `base.Backend`.

    Attributes:
        problem: why nothing is served, as a sentence with what to check; empty while something is.

    Args:
        models: those in ONNX are served there, too.
        scratch: a folder for this backend alone; emptied at start.
    """

    def __init__(self, cluster: Cluster, models: Models, *, scratch: Path) -> None:
        self.problem = ""
        self.cluster = cluster
        self._models = models
        self._scratch = scratch
        self._numbers = itertools.count(1)
        self._driver: Worker | None = None
        self._attaching = asyncio.Lock()
        self._size: _Size | None = None
        self._rates: dict[str, float] = {}
        self._away_for = 0.0
        self._tasks = Tasks(f"ray/{cluster.id[:8]}")
        self._cycle = Cycle("ray cluster", LOOK_EVERY_S, self._look)

    async def start(self) -> None:
        """Makes ready; the cluster is attached to in the background."""
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True, mode=0o700)
        self._tasks.spawn("look", self._cycle.run())

    async def stop(self) -> None:
        """Leaves the cluster, which ends everything of ours there."""
        await self._tasks.close()
        await self._detach(JobFailed("crashed", "This machine leaves the cluster."))
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    async def release(self) -> None:
        """Ends running jobs and gives everything back to the cluster; the next job attaches again."""
        await self._detach(JobFailed("overloaded", "This machine's owner needs it now."))

    async def look(self) -> None:
        """Looks for the cluster now and returns when that is done."""
        await self._cycle.trigger_and_wait()

    @property
    def nodes(self) -> int:
        """Machines in the cluster, as last seen; 0 while it is away."""
        return self._size.nodes if self._size else 0

    def served(self) -> tuple[ServedModel, ...]:
        """What can be asked for now."""
        if self._size is None:
            return ()
        slots, about = max(1, self._size.cpus), self._size.about
        served = []
        if about.get(WorkKind.WASM) and about[WorkKind.WASM] == _here("wasmtime"):
            rate = self._rates.get(_WASM, 0.0)
            served.append(self._served(WorkKind.WASM, "WASM", "", about[WorkKind.WASM], slots, rate))
        for model in self._models.all() if about.get(WorkKind.ONNX) else ():
            if model.kind is WorkKind.ONNX:
                rate, engine = self._rates.get(model.sha256, 0.0), f"{about[WorkKind.ONNX]} cpu"
                one = self._served(model.kind, model.name, model.sha256, engine, slots, rate)
                served.append(replace(one, licence=model.licence))
        return tuple(served)

    def _served(self, kind: WorkKind, name: str, sha256: str, engine: str, slots: int, rate: float) -> ServedModel:
        return ServedModel(kind, name, sha256, engine, slots=slots, rate=rate, elsewhere=self.cluster.shown)

    # --- doing work

    async def run(self, job: Job) -> AsyncGenerator[Chunk, None]:
        """Does one job; see `base.Backend`."""
        job, seconds = self._prepared(job)
        try:
            driver = await self._attached()
        except JobFailed as failed:
            self._cycle.trigger()  # which says why
            raise JobFailed("overloaded", "The cluster that does this work is not there just now.") from failed
        async with contextlib.aclosing(driver.run(job, seconds=seconds + START_S)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _prepared(self, job: Job) -> tuple[Job, float]:
        """The job with its file and every limit set, and its seconds, which the driver watches over."""
        if job.kind is WorkKind.WASM:
            if job.module is None:
                raise JobFailed("bad-input", "The job names no module.")
            job, seconds = with_wasm_limits(job)
        else:
            model = self._models.find(job.model)
            if model is None or job.kind is not WorkKind.ONNX or model.kind is not WorkKind.ONNX:
                raise JobFailed("bad-input", "This provider has no such model for this kind of work.")
            job, seconds = replace(job, model=model.sha256, module=model.path), ONNX_SECONDS
        return replace(job, body={**job.body, "seconds": seconds}), seconds

    async def _attached(self) -> Worker:
        """The driver; attaches where that has not happened or the cluster has gone.

        Raises:
            JobFailed: "unreachable", "refused", "not-connected" or "not-installed".
        """
        async with self._attaching:
            if self._driver is None or not self._driver.usable:
                self._driver = None
                self._driver = await self._attach()
            return self._driver

    async def _attach(self) -> Worker:
        await self._reach()
        settings = {"address": self.cluster.address, "token": self.cluster.token.get_secret_value()}
        folder = self._scratch / f"driver-{next(self._numbers)}"
        driver = Worker(Plan(_DRIVER, settings, folder, threads=os.cpu_count() or 1))
        watch = asyncio.create_task(_watch_refusal(driver))
        try:
            await driver.start()
        finally:
            watch.cancel()
        self._tasks.spawn("watch", self._watch(driver))
        return driver

    async def _reach(self) -> None:
        """Raises JobFailed where nothing answers at the cluster's address."""
        try:
            async with asyncio.timeout(REACH_S):
                _, writer = await asyncio.open_connection(*self.cluster.endpoint)
            writer.close()
        except (OSError, TimeoutError) as error:
            raise JobFailed("unreachable", "The cluster that does this work cannot be reached.") from error

    async def _watch(self, driver: Worker) -> None:
        """Ends the jobs of a cluster that has gone, for which Ray itself waits a minute."""
        missed = 0
        while driver.usable:
            await asyncio.sleep(WATCH_S)
            try:
                await self._reach()
                missed = 0
            except JobFailed:
                missed += 1
            if missed == MISSED:
                await driver.kill(JobFailed("crashed", "The cluster that did this work went away."))
                self._size = None
                self._cycle.trigger()

    async def _detach(self, why: JobFailed) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            await driver.kill(why)

    # --- knowing what is there

    async def _look(self) -> None:
        try:
            await self._reach()
            driver = await self._attached()
            self._size = await _survey(driver)
            self.problem = self._lacking(self._size)
            await self._measure()
        except JobFailed as failed:
            await self._lost(failed)
        else:
            self._away_for, self._cycle.interval_s = 0.0, LOOK_EVERY_S

    async def _lost(self, failed: JobFailed) -> None:
        self._size = None
        self._away_for = min(max(FIRST_BACK_OFF_S, self._away_for * 2), LONGEST_BACK_OFF_S)
        self._cycle.interval_s = self._away_for
        self.problem = self._why(failed)
        log.info("the Ray cluster cannot be used: %s", self.problem)
        await self._detach(failed)

    def _why(self, failed: JobFailed) -> str:
        address = self.cluster.address
        if failed.code == "not-installed":
            return "Ray is not installed beside this program. Install it with: pip install 'depin-desktop[ray]'."
        if failed.code == "refused":
            token = "refuses the token" if self.cluster.token.get_secret_value() else "asks for a token"
            return f"The Ray cluster at {address} {token}. Check that it is the cluster's RAY_AUTH_TOKEN."
        if failed.code == "unreachable":
            return f"Nothing answers at {address}. Check the Ray cluster's address, and that its head runs."
        if failed.code == "not-connected":
            advice = "Check address and token; from outside the cluster the address begins with ray://."
            return f"The Ray cluster at {address} does not take this machine in: {failed.message}. {advice}"
        return f"The Ray cluster at {address} cannot be used: {failed.message}"

    @staticmethod
    def _lacking(size: _Size) -> str:
        wasm, here = size.about.get(WorkKind.WASM, ""), _here("wasmtime")
        if not any(size.about.values()):
            return "The nodes of the Ray cluster have neither wasmtime nor onnxruntime. Install them there."
        if wasm and wasm != here:
            # Receipts name one engine, and a WASM job's result is compared with others' of the same one.
            return f"The nodes of the Ray cluster have {wasm}, this machine {here}. Install the same to sell WASM jobs."
        return ""

    async def _measure(self) -> None:
        for served in self.served():
            key = served.sha256 or _WASM
            if key not in self._rates:
                try:
                    self._rates[key] = await measure(served.kind, served.sha256, self.run, self._scratch)
                except JobFailed as failed:
                    log.warning("%s cannot be measured on the cluster: %s", served.name, failed.message)


async def _survey(driver: Worker) -> _Size:
    async with contextlib.aclosing(driver.run(Job("", WorkKind.WASM, ""), seconds=SURVEY_S)) as chunks:
        async for chunk in chunks:
            found: dict[str, Any] = json.loads(chunk.data)
            return _Size(int(found["cpus"]), int(found["nodes"]), found["about"])
    raise JobFailed("crashed", "The driver tells nothing of the cluster.")


async def _watch_refusal(driver: Worker) -> None:
    """Ends the wait for a cluster that refuses us: Ray says so on standard error, and then tries for 20 s more."""
    while not driver.ended.is_set():
        await asyncio.sleep(0.1)
        if "InvalidAuthToken" in driver.tail():
            await driver.kill(JobFailed("refused", "The cluster refuses the token."))


def _here(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""

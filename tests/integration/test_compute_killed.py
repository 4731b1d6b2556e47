"""An engine is killed while it works: afterwards it shows what was under way, and what that was paid, once."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from depin_desktop.api.client import EngineClient
from depin_desktop.api.compute import ComputeStatus, JobOutcome, ShareCompute
from depin_desktop.core.home import Home
from depin_desktop.customer.session import Customer

from .compute_village import customer
from .homes import Node

HELLO = wasmtime.wat2wasm(
    """(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 16) "hello")
      (func (export "_start")
        (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 5))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"""
)
ENDLESS = wasmtime.wat2wasm('(module (memory (export "memory") 1) (func (export "_start") (loop $on (br $on))))')


@pytest.fixture
async def node(make_home: Any) -> AsyncIterator[Node]:
    """A provider's engine in a process of its own, which sells WASM jobs."""
    home = await make_home()
    node = Node(home.root)
    await node.start()
    await asyncio.to_thread(node.cli, "controls", "set", "--cpu", "100")  # two jobs at once
    async with EngineClient(home) as client:
        await client.share_compute(ShareCompute(chat=False, embeddings=False, onnx=False))
    try:
        await node.until("compute", lambda data: any(two_at_once(model) for model in data["models"]))
        yield node
    finally:
        node.kill()


def two_at_once(model: dict[str, Any]) -> bool:
    return bool(model["served"]) and int(model["slots"]) >= 2


async def until(node: Node, reached: Any) -> ComputeStatus:
    return ComputeStatus.model_validate(
        await node.until("compute", lambda data: reached(ComputeStatus.model_validate(data)))
    )


async def runs(bought: Customer, folder: Path, module: bytes, **limits: Any) -> Any:
    """A job, with its module from a file as a person would name it."""
    path = folder / f"{hashlib.sha256(module).hexdigest()[:8]}.wasm"
    await asyncio.to_thread(path.write_bytes, bytes(module))
    return await bought.compute.run_wasm(path, b"", **limits)


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor does one job at a time")
async def test_jobs_of_an_engine_that_was_killed_are_shown_with_what_they_were_paid(
    node: Node, network: Any, tmp_path: Path
) -> None:
    async with customer(network, tmp_path / "customer") as bought:
        first = await runs(bought, tmp_path, HELLO)
        endless = asyncio.create_task(runs(bought, tmp_path, ENDLESS, fuel=10**12, seconds=60))
        await until(node, lambda status: status.running == 1 and len(status.jobs) == 2)
        done = [await runs(bought, tmp_path, HELLO) for _ in range(3)]
        node.kill()  # most likely before their rows are written, which takes a moment
        endless.cancel()
        await asyncio.gather(endless, return_exceptions=True)
        paid = first.charged + sum(one.charged for one in done)

        await node.start()
        status = await until(node, lambda status: len(status.jobs) == 5)
        (cut,) = [job for job in status.jobs if job.outcome is JobOutcome.INTERRUPTED]
        assert cut.model == hashlib.sha256(ENDLESS).hexdigest()
        assert (cut.earned, "Nothing was charged" in cut.log) == (0, True)
        assert cut.started_at is not None
        assert cut.ended_at is not None
        assert [job.outcome for job in status.jobs if job is not cut] == [JobOutcome.DONE] * 4
        assert sum(job.earned for job in status.jobs) == status.service.earned_total == paid

        again = await runs(bought, tmp_path, HELLO)  # from the count at which the killed one stopped
        status = await until(node, lambda status: len(status.jobs) == 6)
        assert sum(job.earned for job in status.jobs) == paid + again.charged
    node.kill()
    await node.start()
    assert len((await until(node, lambda status: len(status.jobs) >= 6)).jobs) == 6
    async with EngineClient(Home(node.root)) as client:
        assert (await client.wallet()).earned_total == paid + again.charged

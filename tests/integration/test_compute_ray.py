"""A Ray cluster as a backend: a real head with two nodes on loopback, in processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import random
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy
import pytest
import pytest_asyncio
import wasmtime

from depin_desktop.customer.compute.canaries import wasm_canary
from depin_desktop.services.compute.elsewhere import Elsewhere
from depin_desktop.services.compute.models import Models
from depin_desktop.services.compute.runtimes.base import Chunk, Job, JobFailed, ServedModel, WorkKind
from depin_desktop.services.compute.runtimes.ray_cluster import RayBackend
from tests.integration.ray_child import RayCluster, ray_cluster
from tests.unit.onnx_files import doubling_model

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: it has no wheels for this system"),
    pytest.mark.skipif(sys.platform != "linux", reason="Ray has clusters of several nodes on Linux only"),
]

WAIT_S = 40.0
ENDLESS = wasmtime.wat2wasm('(module (memory (export "memory") 1) (func (export "_start") (loop $on (br $on))))')


@dataclass
class World:
    """The cluster, a model, and the backend under test."""

    cluster: RayCluster
    models: Models
    folder: Path
    backend: RayBackend

    def served(self, kind: WorkKind) -> ServedModel:
        return next(model for model in self.backend.served() if model.kind is kind)

    def wasm(self, module: bytes, stdin: bytes = b"", **limits: Any) -> Job:
        sha256 = hashlib.sha256(module).hexdigest()
        path = self.folder / f"{sha256}.wasm"
        path.write_bytes(module)
        return Job(
            "1" * 32, WorkKind.WASM, sha256, {"fuel": 10**9, "memory": 1 << 24, "seconds": 10.0} | limits, stdin, path
        )

    def doubling(self, numbers: list[float]) -> Job:
        held = io.BytesIO()
        numpy.savez(held, x=numpy.array(numbers, numpy.float32))
        return Job("2" * 32, WorkKind.ONNX, self.served(WorkKind.ONNX).sha256, {}, held.getvalue())


@contextlib.asynccontextmanager
async def backend_of(cluster: RayCluster, models: Models, folder: Path, **changed: str) -> AsyncIterator[RayBackend]:
    address, token = changed.get("address", cluster.address), changed.get("token", cluster.token)
    named = Elsewhere().with_cluster(address, token).cluster
    assert named is not None
    backend = RayBackend(named, models, scratch=folder)
    await backend.start()
    try:
        async with asyncio.timeout(WAIT_S):
            await backend.look()
        yield backend
    finally:
        await backend.stop()
        assert not await asyncio.to_thread(folder.exists)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("ray")
    models = Models(folder / "models", shipped=tuple)
    await models.open()
    file = folder / "doubling.onnx"
    file.write_bytes(doubling_model())
    await models.import_file(file, name="doubling")
    async with ray_cluster() as cluster, backend_of(cluster, models, folder / "scratch") as backend:
        yield World(cluster, models, folder, backend)


async def done(backend: RayBackend, job: Job) -> Chunk:
    async with asyncio.timeout(WAIT_S):
        (chunk,) = [chunk async for chunk in backend.run(job)]
    return chunk


async def failed(backend: RayBackend, job: Job) -> JobFailed:
    with pytest.raises(JobFailed) as caught:
        await done(backend, job)
    return caught.value


async def test_both_nodes_are_offered_with_what_they_were_measured_at(world: World) -> None:
    assert world.backend.problem == ""
    assert world.backend.nodes == 2
    for kind in (WorkKind.WASM, WorkKind.ONNX):
        assert world.served(kind).slots == 2
        assert world.served(kind).rate > 0


async def test_ray_never_enters_this_process(world: World) -> None:
    assert world.backend.served()
    assert "ray" not in sys.modules


async def test_wasm_gives_the_bytes_that_it_gives_everywhere(world: World) -> None:
    canary = wasm_canary(random.Random(7))
    chunk = await done(world.backend, world.wasm(canary.ask.module, canary.ask.stdin))
    assert chunk.data == canary.answer
    assert chunk.last
    assert chunk.usage.fuel > 0
    assert 0 < chunk.usage.seconds < 5


async def test_a_batch_is_spread_over_the_nodes(world: World) -> None:
    answers = await asyncio.gather(*(done(world.backend, world.doubling([float(n), 1.0])) for n in range(12)))
    for n, chunk in enumerate(answers):
        with numpy.load(io.BytesIO(chunk.data)) as found:
            assert found["y"].tolist() == [2.0 * n, 2.0]


async def test_a_job_at_its_limits_is_ended_and_the_next_one_works(world: World) -> None:
    assert (await failed(world.backend, world.wasm(ENDLESS, fuel=10**6))).code == "fuel"
    began = asyncio.get_running_loop().time()
    error = await failed(world.backend, world.wasm(ENDLESS, fuel=10**13, seconds=0.5))
    assert error.code == "time-limit"
    assert asyncio.get_running_loop().time() - began < 10
    assert (await failed(world.backend, world.wasm(b"\0asm no module"))).code == "bad-input"
    await done(world.backend, world.doubling([1.0]))


async def test_a_job_that_is_left_frees_its_node(world: World) -> None:
    running = [
        asyncio.create_task(done(world.backend, world.wasm(ENDLESS, fuel=10**13, seconds=100.0))) for _ in range(2)
    ]
    await asyncio.wait(running, timeout=0.5)
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    await done(world.backend, world.doubling([1.0]))  # both processors were taken


async def test_a_release_ends_what_runs_and_the_next_job_attaches_again(world: World) -> None:
    running = asyncio.create_task(failed(world.backend, world.wasm(ENDLESS, fuel=10**13, seconds=100.0)))
    await asyncio.wait({running}, timeout=0.5)
    began = asyncio.get_running_loop().time()
    await world.backend.release()
    assert (await running).code == "overloaded"
    assert asyncio.get_running_loop().time() - began < 1
    assert world.backend.served()
    await done(world.backend, world.doubling([1.0]))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"token": "another-token-that-is-long-enough-to-be-one"}, "refuses the token"),
        ({"token": ""}, "asks for a token"),
        ({"address": "127.0.0.2:1"}, "Nothing answers at 127.0.0.2:1"),
    ],
    ids=["wrong token", "no token", "wrong address"],
)
async def test_what_to_check_is_said(world: World, changed: dict[str, str], said: str) -> None:
    async with backend_of(world.cluster, world.models, world.folder / "other", **changed) as other:
        assert said in other.problem
        assert "Check" in other.problem
        assert other.served() == ()
        assert (await failed(other, world.doubling([1.0]))).code == "overloaded"


async def test_the_thin_client_works_from_outside_the_cluster(world: World) -> None:
    async with backend_of(world.cluster, world.models, world.folder / "thin", address=world.cluster.thin) as thin:
        assert thin.problem == ""
        assert (await done(thin, world.doubling([4.0]))).last


async def test_losing_a_node_and_then_the_cluster_costs_the_jobs_there_only(world: World) -> None:
    await world.cluster.lose_a_node()
    await done(world.backend, world.doubling([1.0]))
    await world.backend.look()
    assert world.backend.nodes == 1

    running = asyncio.create_task(failed(world.backend, world.wasm(ENDLESS, fuel=10**13, seconds=100.0)))
    await asyncio.wait({running}, timeout=0.5)
    world.cluster.kill()
    async with asyncio.timeout(WAIT_S):
        assert (await running).code == "crashed"
        await world.backend.look()
    assert world.backend.served() == ()
    assert "Nothing answers" in world.backend.problem

    async with ray_cluster(port=int(world.cluster.address.split(":")[1])):
        await world.backend.look()
        assert world.backend.problem == ""
        await done(world.backend, world.doubling([1.0]))

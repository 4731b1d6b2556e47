"""WASM jobs through the backend of this machine: what a module may do, and what contains one that does more."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
import wasmtime

from depin_desktop.controls.allowance import Allowance
from depin_desktop.services.compute.models import Models
from depin_desktop.services.compute.runtimes.base import Job, JobFailed, Usage, WorkKind
from depin_desktop.services.compute.runtimes.local import LocalBackend

pytestmark = pytest.mark.asyncio(loop_scope="module")

GIB = 1 << 30
CANARY = (Path(__file__).parent / "canary.wat").read_text()

WASI = "wasi_snapshot_preview1"
WRITE = f'(import "{WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))'
TELL = """
  (func $tell (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
"""


def program(body: str, imports: str = "", locals_: str = "", memory: int = 2) -> str:
    """A module that may tell bytes of its memory, from 64 on free for use."""
    return f"""(module {WRITE} {imports} (memory (export "memory") {memory}) {TELL}
      (func (export "_start") {locals_} {body}))"""


ENDLESS = program("(loop $again (br $again))")
CALLING = program("(loop $again (call $nothing) (br $again))").replace("(func (export", "(func $nothing) (func (export")
BOMB = program(
    """(loop $again (br_if $again (i32.ne (i32.const -1) (memory.grow (i32.const 16)))))
       (i32.store (i32.const 64) (memory.size)) (call $tell (i32.const 64) (i32.const 4))"""
)
FLOOD = program("(loop $again (call $tell (i32.const 0) (i32.const 131072)) (br $again))")
TRAP = program("unreachable")
SLEEP = program(
    """(i64.store (i32.const 64) (i64.const 1))
       (i32.store8 (i32.const 72) (i32.const 0))
       (i32.store (i32.const 80) (i32.const 1))
       (i64.store (i32.const 88) (i64.const 600000000000))
       (drop (call $poll (i32.const 64) (i32.const 256) (i32.const 1) (i32.const 512)))""",
    f'(import "{WASI}" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))',
)
OPEN = f'(import "{WASI}" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))'
WORLD = program(
    """(drop (call $time (i32.const 0) (i64.const 0) (i32.const 64)))
       (drop (call $time (i32.const 1) (i64.const 0) (i32.const 72)))
       (drop (call $random (i32.const 80) (i32.const 32)))
       (drop (call $random (i32.const 112) (i32.const 32)))
       (i32.store (i32.const 144) (call $random (i32.const -1) (i32.const 32)))
       (call $tell (i32.const 64) (i32.const 84))""",
    f'(import "{WASI}" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))'
    f'(import "{WASI}" "random_get" (func $random (param i32 i32) (result i32)))',
)
SOCKET = program(
    """(i32.store (i32.const 64) (call $send (i32.const 3) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 80)))
       (i32.store (i32.const 68) (call $accept (i32.const 3) (i32.const 0) (i32.const 80)))
       (call $tell (i32.const 64) (i32.const 8))""",
    f'(import "{WASI}" "sock_send" (func $send (param i32 i32 i32 i32 i32) (result i32)))'
    f'(import "{WASI}" "sock_accept" (func $accept (param i32 i32 i32) (result i32)))',
)


def opening(path: str, flags: int = 0) -> str:
    """Tells the error number of opening a path in the private folder."""
    data = f'(data (i32.const 128) "{path}")'
    return program(
        f"""(i32.store (i32.const 64) (call $open (i32.const 3) (i32.const 0) (i32.const 128) (i32.const {len(path)})
             (i32.const {flags}) (i64.const 64) (i64.const 64) (i32.const 0) (i32.const 96)))
           (call $tell (i32.const 64) (i32.const 4))""",
        OPEN,
    ).replace("(func (export", data + " (func (export")


@dataclass
class World:
    backend: LocalBackend
    folder: Path
    allowance: Allowance

    async def run(self, module: str | bytes, stdin: bytes = b"", **limits: Any) -> tuple[bytes, Usage]:
        chunks = [chunk async for chunk in self.backend.run(self.job(module, stdin, **limits))]
        assert chunks[-1].last
        return b"".join(chunk.data for chunk in chunks), chunks[-1].usage

    def job(self, module: str | bytes, stdin: bytes = b"", **limits: Any) -> Job:
        code = bytes(wasmtime.wat2wasm(module)) if isinstance(module, str) else module
        sha256 = hashlib.sha256(code).hexdigest()
        path = self.folder / sha256
        path.write_bytes(code)
        return Job("0" * 32, WorkKind.WASM, sha256, limits, stdin, path)

    async def failure(self, module: str | bytes, **limits: Any) -> JobFailed:
        with pytest.raises(JobFailed) as failed:
            await self.run(module, **limits)
        return failed.value


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("wasm")
    models = Models(folder / "models", shipped=lambda: ())
    await models.open()
    world: World
    backend = LocalBackend(models, scratch=folder / "scratch", allowance=lambda: world.allowance, measuring=False)
    world = World(backend, folder, Allowance(True, cpu_threads=2, memory_bytes=4 * GIB))
    await backend.start()
    yield world
    await backend.stop()
    assert not backend.workers()


async def test_a_module_answers_and_its_fuel_is_counted(world: World) -> None:
    answer, usage = await world.run(CANARY, b"question")
    again, repeated = await world.run(CANARY, b"question")
    other, _ = await world.run(CANARY, b"another")
    assert answer == again != other
    assert len(answer) == 8
    assert usage.fuel == repeated.fuel > 100_000
    assert usage.seconds > 0


async def test_an_endless_loop_ends_with_its_fuel(world: World) -> None:
    failed = await world.failure(ENDLESS, fuel=1_000_000)
    assert failed.code == "fuel"
    assert failed.usage.fuel == 1_000_000


async def test_an_endless_loop_ends_with_its_time_and_the_worker_lives(world: World) -> None:
    await world.run(CANARY)
    before = {worker.pid for worker in world.backend.workers()}
    failed = await world.failure(ENDLESS, fuel=10**13, seconds=0.2)
    assert failed.code == "time-limit"
    assert failed.usage.seconds >= 0.2
    assert {worker.pid for worker in world.backend.workers()} == before


async def test_of_a_loop_that_its_time_ended_the_fuel_is_known_up_to_its_last_call(world: World) -> None:
    assert (await world.failure(ENDLESS, fuel=10**13, seconds=0.2)).usage.fuel == 0
    failed = await world.failure(CALLING, fuel=10**13, seconds=0.2)
    assert failed.code == "time-limit"
    assert 0 < failed.usage.fuel < 10**13


async def test_a_module_that_sleeps_in_the_host_is_killed_at_its_limit(world: World) -> None:
    failed = await world.failure(SLEEP, seconds=0.2)
    assert failed.code == "time-limit"
    assert failed.usage.seconds < 5
    assert await world.run(CANARY)


async def test_memory_grows_to_the_limit_and_no_further(world: World) -> None:
    answer, _ = await world.run(BOMB, memory=64 << 20)
    assert int.from_bytes(answer, "little") * 65536 <= 64 << 20
    failed = await world.failure(program("nop", memory=2048), memory=64 << 20)
    assert failed.code == "memory-limit"


async def test_a_flood_of_output_is_cut_off(world: World) -> None:
    assert (await world.failure(FLOOD)).code == "output-limit"


async def test_a_trap_is_the_modules_own_fault(world: World) -> None:
    failed = await world.failure(TRAP)
    assert failed.code == "bad-input"
    assert "unreachable" in failed.message


@pytest.mark.parametrize(
    "code",
    [b"", b"\0asm\x01\0\0\0\xff\xff\xff", b"GIF89a" * 100, bytes(wasmtime.wat2wasm("(module)"))],
)
async def test_what_is_no_program_is_refused(world: World, code: bytes) -> None:
    assert (await world.failure(code)).code == "bad-input"


async def test_unknown_imports_are_refused(world: World) -> None:
    failed = await world.failure('(module (import "env" "system" (func (param i32))) (func (export "_start")))')
    assert failed.code == "bad-input"
    assert "env" in failed.message


async def test_files_outside_are_out_of_reach_and_those_inside_are_gone_after_the_job(world: World) -> None:
    secret = world.folder / "secret"
    secret.write_text("secret")
    for path in ("../../../secret", str(secret), "../../../../../../../etc/passwd"):
        answer, _ = await world.run(opening(path))
        assert int.from_bytes(answer, "little") != 0
    create = 1
    assert await world.run(opening("mine", create)) == (bytes(4), pytest.approx) if False else True
    made, _ = await world.run(opening("mine", create))
    found, _ = await world.run(opening("mine"))
    assert int.from_bytes(made, "little") == 0
    assert int.from_bytes(found, "little") == 44  # no such file: the next job's folder is empty


async def test_there_is_no_network(world: World) -> None:
    answer, _ = await world.run(SOCKET)
    assert int.from_bytes(answer[:4], "little") != 0
    assert int.from_bytes(answer[4:], "little") != 0


async def test_clock_and_random_numbers_follow_from_the_job(world: World) -> None:
    first, _ = await world.run(WORLD, b"one")
    assert first == (await world.run(WORLD, b"one"))[0]
    other, _ = await world.run(WORLD, b"two")
    assert first[:16] == other[:16]
    assert first[16:80] != other[16:80]
    assert first[16:48] != first[48:80]
    assert int.from_bytes(first[80:], "little") == 21  # an address outside the memory is refused


async def begin(world: World, module: str) -> tuple[asyncio.Task[tuple[bytes, Usage]], int]:
    """A job under way in a warm worker, and that worker's process."""
    await world.run(CANARY)
    task = asyncio.create_task(world.run(module, fuel=10**13, seconds=60))
    await asyncio.sleep(0)  # once around the loop, and a warm worker has the job
    return task, next(worker.pid for worker in world.backend.workers() if worker.running)


async def test_a_killed_worker_costs_its_job_alone(world: World) -> None:
    running, pid = await begin(world, ENDLESS)
    beside = asyncio.create_task(world.run(CANARY, b"beside"))
    psutil.Process(pid).kill()
    with pytest.raises(JobFailed) as failed:
        await running
    assert failed.value.code == "crashed"
    assert (await beside)[0] == (await world.run(CANARY, b"beside"))[0]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
async def test_aborts_in_a_row_leave_the_backend_serving(world: World) -> None:
    expected, _ = await world.run(CANARY, b"question")
    for _ in range(5):
        running, pid = await begin(world, ENDLESS)
        os.kill(pid, signal.SIGABRT)
        with pytest.raises(JobFailed, match="SIGABRT"):
            await running
    assert (await world.run(CANARY, b"question"))[0] == expected


async def test_a_pause_ends_jobs_and_waits_for_nothing(world: World) -> None:
    running, pid = await begin(world, ENDLESS)
    allowed, world.allowance = world.allowance, Allowance.stopped("You paused it.")
    try:
        async with asyncio.timeout(1):
            await world.backend.release()
        with pytest.raises(JobFailed, match="You paused it"):
            await running
        with pytest.raises(JobFailed, match="You paused it"):
            await world.run(CANARY)
        assert not world.backend.workers()
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    finally:
        world.allowance = allowed
    assert await world.run(CANARY)


async def test_an_idle_worker_is_replaced_when_other_limits_hold(world: World) -> None:
    await world.run(CANARY)
    before = {worker.pid for worker in world.backend.workers()}
    allowed, world.allowance = world.allowance, replace(world.allowance, cpu_threads=1)
    try:
        await world.run(CANARY)
        assert not before & {worker.pid for worker in world.backend.workers()}
        assert len(world.backend.workers()) == 1
    finally:
        world.allowance = allowed


async def test_jobs_beyond_the_slots_wait_for_their_turn(world: World) -> None:
    answers = await asyncio.gather(*(world.run(CANARY, b"%d" % number) for number in range(12)))
    assert len({answer for answer, _ in answers}) == 12
    assert len(world.backend.workers()) <= 2

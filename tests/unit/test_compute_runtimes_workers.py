"""Worker processes under what a hostile or broken engine may do: each case costs one job and nothing else."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from depin_desktop.services.compute.runtimes.base import Chunk, Job, JobFailed, Usage, WorkKind
from depin_desktop.services.compute.runtimes.frames import BadFrame, Decoder, Frame, Kind
from depin_desktop.services.compute.runtimes.pool import Pool
from depin_desktop.services.compute.runtimes.watch import MAX_FOLDER_BYTES, Held, Watch, excesses
from depin_desktop.services.compute.runtimes.worker import Plan, Worker

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the hostile engine speaks POSIX")

ROOT = Path(__file__).parents[2]
MIB = 1 << 20


def plan(folder: Path, **settings: Any) -> Plan:
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests" / "unit")))
    return Plan("compute_hostile", settings, folder, threads=2, environment={"PYTHONPATH": path})


def job(do: str, data: bytes = b"") -> Job:
    return Job("0" * 32, WorkKind.WASM, "", {"do": do}, data)


async def whole(worker: Worker, do: str, data: bytes = b"", seconds: float = 20.0) -> bytes:
    return b"".join([chunk.data async for chunk in worker.run(job(do, data), seconds=seconds)])


async def first(chunks: AsyncIterator[Chunk]) -> bytes:
    return (await anext(chunks)).data


async def gone(*pids: int) -> None:
    """Waits until these processes have ended."""
    if sys.platform != "linux":
        _, alive = await asyncio.to_thread(psutil.wait_procs, [psutil.Process(pid) for pid in pids], 5)
        assert not alive
        return
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, ended.set)
        try:
            await asyncio.wait_for(ended.wait(), 5)
        finally:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    worker = Worker(plan(tmp_path / "worker"))
    await worker.start()
    yield worker
    await worker.kill()
    assert not (tmp_path / "worker").exists()


async def test_bytes_go_through_whole(worker: Worker) -> None:
    data = os.urandom(3 * MIB)
    assert await whole(worker, "echo", data) == data
    assert await whole(worker, "echo") == b""


async def test_a_worker_knows_no_secret_and_holds_no_descriptor_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPIN_WALLET_PASSWORD", "secret")
    with (tmp_path / "open").open("wb") as file:
        os.set_inheritable(file.fileno(), True)
        worker = Worker(plan(tmp_path / "worker"))
        await worker.start()
        said = (await whole(worker, "environment")).decode().split("\n")
        await worker.kill()
    assert not [name for name in said if "DEPIN" in name or "PASSWORD" in name]
    assert len([name for name in said if name.isdigit()]) <= 9  # its pipes, its lifeline, and what lists them


async def test_the_owners_own_programs_run_before_a_worker(worker: Worker) -> None:
    assert psutil.Process(worker.pid).nice() > psutil.Process().nice()


@pytest.mark.parametrize(("do", "clause"), [("abort", "SIGABRT"), ("crash", "SIGSEGV")])
async def test_a_native_abort_costs_its_job_alone(worker: Worker, do: str, clause: str) -> None:
    with pytest.raises(JobFailed) as failed:
        await whole(worker, do)
    assert failed.value.code == "crashed"
    assert clause in failed.value.message
    await asyncio.wait_for(worker.ended.wait(), 5)
    if do == "abort":
        assert "the tensor is not a tensor" in failed.value.log


async def test_a_job_that_heeds_nothing_is_killed_at_its_limit(worker: Worker) -> None:
    with pytest.raises(JobFailed) as failed:
        await whole(worker, "hold_the_interpreter", seconds=0.2)
    assert failed.value.code == "time-limit"
    assert failed.value.usage.seconds >= 0.2
    await gone(worker.pid)


async def test_leaving_a_job_ends_it(worker: Worker) -> None:
    chunks = worker.run(job("sleep"), seconds=60)
    assert await first(chunks) == b"asleep"
    await chunks.aclose()
    await asyncio.wait_for(worker.ended.wait(), 5)


async def test_what_a_worker_forked_dies_with_it(worker: Worker) -> None:
    chunks = worker.run(job("fork"), seconds=60)
    pids = [int(pid) for pid in (await first(chunks)).split()]
    assert all(psutil.pid_exists(pid) for pid in pids)
    await worker.kill()
    await gone(worker.pid, *pids)


async def test_what_left_the_workers_session_dies_with_it(worker: Worker) -> None:
    chunks = worker.run(job("spawn_elsewhere"), seconds=60)
    stray = int(await first(chunks))
    await worker.kill()
    await gone(worker.pid, stray)


async def test_a_fork_bomb_is_noticed(worker: Worker) -> None:
    watch = Watch(lambda: (worker,), memory_bytes=lambda: 1 << 40, threads=lambda: 2)
    chunks = worker.run(job("fork"), seconds=60)
    pids = [int(pid) for pid in (await first(chunks)).split()]
    await watch.round()
    with pytest.raises(JobFailed, match="other programs"):
        await first(chunks)
    await gone(*pids)


async def test_memory_beyond_the_owners_share_ends_the_worker(worker: Worker) -> None:
    watch = Watch(lambda: (worker,), memory_bytes=lambda: 200 * MIB, threads=lambda: 2)
    chunks = worker.run(job("grow"), seconds=60)
    assert await first(chunks) == b"begun"
    watch.look()
    with pytest.raises(JobFailed) as failed:
        await first(chunks)
    assert failed.value.code == "memory-limit"
    await watch.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts private memory")
async def test_the_system_itself_holds_a_worker_to_its_memory(tmp_path: Path) -> None:
    worker = Worker(replace(plan(tmp_path / "worker"), memory_bytes=200 * MIB))
    await worker.start()
    with pytest.raises(JobFailed) as failed:
        await whole(worker, "grow")
    assert failed.value.code == "memory-limit"
    assert worker.usable  # Python could still say so
    await worker.kill()


async def test_files_beyond_their_limit_end_the_worker(worker: Worker) -> None:
    watch = Watch(lambda: (worker,), memory_bytes=lambda: 1 << 40, threads=lambda: 2)
    chunks = worker.run(job("fill_the_disk"), seconds=60)
    assert await first(chunks) == b"begun"
    watch.look()
    with pytest.raises(JobFailed) as failed:
        await first(chunks)
    assert failed.value.code == "output-limit"
    await watch.close()


async def test_noise_on_its_outputs_neither_blocks_nor_breaks_a_worker(worker: Worker) -> None:
    assert await whole(worker, "chatter") == b"done"
    assert len(worker.tail()) <= 4096


async def test_an_engine_that_aborts_while_loading_is_a_failed_start(tmp_path: Path) -> None:
    worker = Worker(plan(tmp_path / "worker", abort_on_load=True))
    with pytest.raises(JobFailed, match="while it was being loaded"):
        await worker.start()
    assert worker.ended.is_set()


def pool_of(folder: Path, failures: list[JobFailed], *, most: int = 1, slots: int = 1) -> Pool:
    numbers = itertools.count()
    return Pool(
        "hostile",
        plan=lambda: plan(folder / str(next(numbers)), concurrent=slots > 1),
        most=lambda: most,
        slots=slots,
        begun=lambda: None,
        started=lambda _: None,
        failed=failures.append,
    )


async def test_a_pool_serves_on_after_a_hundred_aborts_in_a_row(tmp_path: Path) -> None:
    failures: list[JobFailed] = []
    pool = pool_of(tmp_path, failures, most=2)

    async def ask(do: str, data: bytes) -> bytes:
        async with pool.lend() as worker:
            return await whole(worker, do, data)

    aborted = await asyncio.gather(*(ask("abort", b"") for _ in range(100)), return_exceptions=True)
    assert [why.code for why in aborted if isinstance(why, JobFailed)] == ["crashed"] * 100
    assert await ask("echo", b"still here") == b"still here"
    await pool.close()
    assert not failures
    assert not pool.workers


async def test_an_abort_in_a_shared_worker_costs_one_job_and_the_others_run_again(tmp_path: Path) -> None:
    pool, told = pool_of(tmp_path / "workers", [], slots=4), list[Usage]()
    (tmp_path / "workers").mkdir()
    names = [str(tmp_path / f"begun-{number}") for number in range(3)]

    async def ask(do: str, data: str) -> bytes:
        one = replace(job(do, data.encode()), told=told.append)
        return b"".join([chunk.data async for chunk in pool.run(one, seconds=60)])

    asked = [asyncio.create_task(ask("hang_once", name)) for name in names]
    culprit = asyncio.create_task(ask("abort_in_company", " ".join(names)))
    assert await asyncio.gather(*asked) == [b"done"] * 3
    with pytest.raises(JobFailed, match="SIGABRT") as failed:
        await culprit
    assert failed.value.code == "crashed"
    # What was read in the worker that went down is taken back: nobody pays for it, or for both times.
    assert told.count(Usage()) == 4
    assert [usage.prompt_tokens for usage in told if usage != Usage()] == [7] * 3
    assert await ask("echo", "still here") == b"still here"
    await pool.close()


async def test_a_job_whose_first_words_are_there_does_not_run_again(tmp_path: Path) -> None:
    pool = pool_of(tmp_path / "workers", [], slots=4)
    (tmp_path / "workers").mkdir()
    name = str(tmp_path / "begun")
    speaking = pool.run(job("speak_and_hang", name.encode()), seconds=60)
    assert await first(speaking) == b"a word"
    aborting = asyncio.create_task(anext(pool.run(job("abort_in_company", name.encode()), seconds=60)))
    with pytest.raises(JobFailed, match="SIGABRT"):
        await first(speaking)
    with pytest.raises(JobFailed, match="SIGABRT"):
        await aborting
    await pool.close()


async def test_new_jobs_wait_until_one_that_runs_again_has_had_its_worker(tmp_path: Path) -> None:
    pool = pool_of(tmp_path, [], slots=2)
    async with AsyncExitStack() as running, AsyncExitStack() as again, AsyncExitStack() as new:
        await running.enter_async_context(pool.lend())
        alone = asyncio.create_task(again.enter_async_context(pool.lend(alone=True)))
        await asyncio.sleep(0)
        later = asyncio.create_task(new.enter_async_context(pool.lend()))
        await asyncio.sleep(0)
        assert not later.done()  # although a slot is free, or the other would never have a worker for itself
        await running.aclose()
        await asyncio.wait_for(alone, 10)
        assert not later.done()
        await again.aclose()
        await asyncio.wait_for(later, 10)
    await pool.close()


_PARENT = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_compute_runtimes_workers import first, job, plan
from depin_desktop.services.compute.runtimes.worker import Worker

async def main():
    worker = Worker(plan(Path({folder!r})))
    await worker.start()
    chunks = worker.run(job("{do}"), seconds=600)
    said = (await first(chunks)).decode()
    print(worker.pid, said if "fork" == "{do}" else "", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("do", ["sleep", "hold_the_interpreter", "fork"])
async def test_workers_and_their_children_die_with_their_parent(tmp_path: Path, do: str) -> None:
    if do == "hold_the_interpreter" and sys.platform != "linux":
        pytest.skip("only Linux ends a process that hangs inside of native code")
    program = _PARENT.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "worker"), do=do)
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in (await asyncio.wait_for(parent.stdout.readline(), 20)).split()]
    assert pids
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    await gone(*pids)


def test_the_largest_worker_ends_until_the_others_fit() -> None:
    held = [Held(1, 300 * MIB), Held(2, 500 * MIB), Held(3, 100 * MIB)]
    assert excesses(held, 1 << 30) == {}
    assert {pid: why.code for pid, why in excesses(held, 450 * MIB).items()} == {2: "memory-limit"}
    assert set(excesses(held, 350 * MIB)) == {1, 2}
    assert excesses([Held(1, 1, folder_bytes=MAX_FOLDER_BYTES + 1)], MIB)[1].code == "output-limit"


def test_frames_survive_any_cut() -> None:
    frames = [
        Frame(Kind.RUN, 7, {"body": {"text": "ü"}}, b"payload"),
        Frame(Kind.CHUNK, 7, data=b"x" * 1000, usage=Usage(1, 2, 3, 4.5)),
        Frame(Kind.END, 7),
    ]
    stream = b"".join(frame.encode() for frame in frames)
    for size in (1, 7, 64, len(stream)):
        decoder = Decoder()
        cut = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert [frame for part in cut for frame in decoder.feed(part)] == frames


@pytest.mark.parametrize("data", [b"\xff" * 64, Frame(Kind.END).encode()[:-8] + b"\xff" * 8, b"\0" * 64])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(BadFrame):
        Decoder().feed(data)

"""Jobs, receipts, choices, customers' modules and busy time, as they are kept."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.api.compute import JobOutcome, JobStatus, ShareCompute
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.services.compute import store as rows
from depin_desktop.services.compute.choices import Choices
from depin_desktop.services.compute.meter import Meter
from depin_desktop.services.compute.modules import Modules
from depin_desktop.services.compute.runtimes.base import WorkKind
from depin_desktop.services.compute.store import Ended, JobStore

from .storage_rig import NETWORK

NOON = 1_800_000_000.0
DAY_S = 86_400.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[JobStore]:
    database = Database(tmp_path / "engine.sqlite")
    await database.open()
    opened = JobStore(database)
    await opened.open()
    yield opened
    await database.close()


def job(number: int, *, at: float = NOON, device: str = "cpu", **changes: object) -> JobStatus:
    fields = {
        "id": f"{number:032x}", "kind": "chat", "model": "m", "customer": "0xc", "device": device,
        "outcome": JobOutcome.DONE, "queued_at": at, "started_at": at, "ended_at": at, "completion_tokens": number,
        "earned": 10**20,
    }  # fmt: skip
    return JobStatus(**{**fields, **changes})


async def test_jobs_come_back_as_they_were_the_newest_first(store: JobStore) -> None:
    written = [job(1), job(2, outcome=JobOutcome.FAILED, log="a\nb", earned=0), job(3, fuel=10**12, seconds=0.25)]
    await store.record([Ended(written[0], {"signature": "0x1"})])
    await store.record([Ended(one) for one in written[1:]])
    books = await store.books(NOON, 10)
    assert list(books.jobs) == written[::-1]
    assert books.done_total == 2
    assert books.last_job_at == NOON
    assert await store.receipt(written[0].id) == {"signature": "0x1"}
    assert await store.receipt(written[1].id) is None
    assert [one.id for one in (await store.books(NOON, 1)).jobs] == [written[2].id]


async def test_each_device_is_summed_by_day_and_in_all(store: JobStore) -> None:
    yesterday = NOON - DAY_S
    await store.record(
        [
            Ended(job(1, at=yesterday), busy_s=2.0),
            Ended(job(2), busy_s=3.0),
            Ended(job(3, device="GPU-1"), busy_s=1.0, energy_wh=0.5),
            Ended(job(4, device="GPU-1", outcome=JobOutcome.STOPPED), busy_s=1.0, energy_wh=0.25),
        ]
    )
    cpu, gpu = sorted((await store.books(NOON, 10)).devices, key=lambda one: one.device, reverse=True)
    assert (cpu.jobs, cpu.busy_s, cpu.energy_wh) == (2, 5.0, None)
    assert (cpu.earned_today, cpu.earned_total) == (10**20, 2 * 10**20)
    assert (gpu.jobs, gpu.energy_wh, gpu.earned_total) == (1, 0.75, 2 * 10**20)


async def test_old_jobs_and_their_receipts_leave_but_sums_stay(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "KEPT_JOBS", 3)
    for number in range(6):
        await store.record([Ended(job(number), {"n": number})])
    books = await store.books(NOON, 10)
    assert [one.completion_tokens for one in books.jobs] == [5, 4, 3]
    assert books.done_total == 6
    assert await store.receipt(job(0).id) is None
    assert await store.receipt(job(5).id) == {"n": 5}


async def test_a_batch_is_written_as_a_whole_or_not_at_all(store: JobStore) -> None:
    with pytest.raises(Exception, match="UNIQUE"):
        await store.record([Ended(job(1)), Ended(job(1))])
    assert (await store.books(NOON, 10)).jobs == ()


async def test_choices_are_kept_and_what_was_never_chosen_is_the_networks(store: JobStore) -> None:
    fresh = Choices.of(await store.choices(), NETWORK)
    assert not fresh.shared
    assert fresh.prices.price_per_gfuel == NETWORK.suggested_price_per_gfuel
    chosen = fresh.with_shared(ShareCompute(wasm=False, price_in_per_mtoken=7))
    await store.choose(chosen.rows())
    again = Choices.of(await store.choices(), NETWORK)
    assert again == chosen
    assert (again.sells(WorkKind.WASM), again.sells(WorkKind.COMPLETION)) == (False, True)
    dearer = again.with_shared(ShareCompute(price_out_per_mtoken=8))
    assert (dearer.prices.price_in_per_mtoken, dearer.wasm) == (7, False)
    assert not again.without_sharing().sells(WorkKind.CHAT)


# --- modules


async def parts(*data: bytes) -> AsyncIterator[bytes]:
    for one in data:
        yield one


def module(number: int, size: int = 100) -> tuple[str, bytes]:
    data = b"\0asm" + bytes([number]) * size
    return hashlib.sha256(data).hexdigest(), data


async def test_only_the_module_that_its_name_says_is_kept_and_it_survives_a_restart(tmp_path: Path) -> None:
    sha256, data = module(1)
    modules = Modules(tmp_path / "m")
    await modules.open()
    for name, content in (("00" * 32, data), (sha256, data[:-1]), (hashlib.sha256(b"x").hexdigest(), b"x")):
        with pytest.raises(UserFacingError):
            await modules.put(name, parts(content))
    assert await modules.put(sha256, parts(data[:7], data[7:]))
    assert not await modules.put(sha256, parts(data))
    (tmp_path / "m" / ".left-behind").write_bytes(b"")
    again = Modules(tmp_path / "m")
    await again.open()
    with again.using(sha256) as path:
        assert path.read_bytes() == data
    assert [path.name for path in (tmp_path / "m").iterdir()] == [f"{sha256}.wasm"]


async def test_the_module_unused_for_longest_leaves_first_and_none_that_is_in_use(tmp_path: Path) -> None:
    modules = Modules(tmp_path / "m", limit=320)
    await modules.open()
    kept = [module(number) for number in range(4)]
    for sha256, data in kept[:3]:
        await modules.put(sha256, parts(data))
    with modules.using(kept[0][0]) as path:
        await modules.put(kept[3][0], parts(kept[3][1]))
        assert path.exists()
        with pytest.raises(UserFacingError, match="does not have"), modules.using(kept[1][0]):
            pass
        with modules.using(kept[2][0]), modules.using(kept[3][0]), pytest.raises(UserFacingError, match="in use"):
            await modules.put(*_content(kept[1]))


def _content(one: tuple[str, bytes]) -> tuple[str, AsyncIterator[bytes]]:
    return one[0], parts(one[1])


# --- busy time


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.001, 10)), min_size=1, max_size=30))
def test_busy_seconds_of_all_jobs_add_up_to_the_time_in_which_any_ran(steps: list[tuple[int, float]]) -> None:
    now, busy = 0.0, 0.0
    meter = Meter(lambda _: 100.0, lambda: now)
    running: dict[int, object] = {}
    sums, energy = 0.0, 0.0
    for number, passes in steps:
        if number in running:
            seconds, watt_hours = meter.end(running.pop(number))  # type: ignore[arg-type]
            sums, energy = sums + seconds, energy + (watt_hours or 0)
        else:
            running[number] = meter.begin("cpu")
        now += passes
        busy += passes if running else 0
    for mark in running.values():
        seconds, watt_hours = meter.end(mark)  # type: ignore[arg-type]
        sums, energy = sums + seconds, energy + (watt_hours or 0)
    assert sums == pytest.approx(busy)
    assert energy == pytest.approx(busy * 100 / 3600)


def test_energy_is_unknown_where_a_device_does_not_tell_and_known_again_later() -> None:
    now, power = 0.0, 100.0
    meter = Meter(lambda _: power, lambda: now)
    mark = meter.begin("GPU-1")
    now, power = 10.0, None  # type: ignore[assignment]
    meter.sample()
    now = 20.0
    assert meter.end(mark) == (20.0, None)
    power = 100.0
    mark = meter.begin("GPU-1")
    now = 56.0
    assert meter.end(mark) == (36.0, pytest.approx(1.0))


async def test_writing_many_jobs_at_once_is_quick(store: JobStore) -> None:
    began = time.monotonic()
    await asyncio.gather(store.record([Ended(job(number), {"n": number}, 0.1) for number in range(500)]))
    assert time.monotonic() - began < 2

"""Put and get through the whole path beside a bare HTTP-over-iroh stream and Tahoe-LAFS, in the same run."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from depin_desktop.customer.session import Customer
from tests.benchmarks import bench_stream, tahoe
from tests.benchmarks.memory import MIB, touch_memory
from tests.benchmarks.table import Row
from tests.benchmarks.village import village


@dataclass(frozen=True)
class Rates:
    """MB/s of the whole path, medians; the chain's part in seconds apart."""

    put: float
    get: float
    chain_s: float


async def whole_path(customer: Customer, folder: Path, size: int, rounds: int) -> Rates:
    """Encrypt, code 1/1, seal, network, fsync; and back: network, check, decrypt, write."""
    puts, gets, chains = [], [], []
    for number in range(rounds + 1):  # the first one opens the data set and the payment channel
        source, out = folder / f"in{number}", folder / f"out{number}"
        data = os.urandom(size if number else 4 * MIB)
        source.write_bytes(data)
        touch_memory(folder, 2 * size)
        began = time.perf_counter()
        stored = await customer.put(source)
        elapsed = time.perf_counter() - began
        touch_memory(folder, 2 * size)
        fetch_began = time.perf_counter()
        await customer.get(stored.locator, out)
        fetched = time.perf_counter() - fetch_began
        assert out.read_bytes() == data
        source.unlink()
        out.unlink()
        if number:
            puts.append(size / (elapsed - stored.chain_s) / 1e6)
            gets.append(size / fetched / 1e6)
            chains.append(stored.chain_s)
    return Rates(statistics.median(puts), statistics.median(gets), statistics.median(chains))


async def rows(size: int, rounds: int, tahoe_program: str | None) -> list[Row]:
    """The table's rows: ours, and what it is held against."""
    with tempfile.TemporaryDirectory(prefix="depin-bench-") as temporary:
        folder = Path(temporary)
        async with village(folder) as place:
            before = await bench_stream.measure(size, rounds)
            async with Customer.open(place.customer) as customer:
                ours = await whole_path(customer, folder, size, rounds)
            async with Customer.open(place.customer, direct=False) as customer:
                quic = await whole_path(customer, folder, size, rounds)
            after = await bench_stream.measure(size, rounds)
        bare_put = statistics.mean((before.put_mb_s, after.put_mb_s))
        bare_get = statistics.mean((before.get_mb_s, after.get_mb_s))
        found = [
            Row("put, whole path", ours.put, "MB/s", bare_put, "bare stream", "≥ 0.6"),
            Row("get, whole path", ours.get, "MB/s", bare_get, "bare stream", "≥ 0.6"),
            Row("put over QUIC alone", quic.put, "MB/s", bare_put, "bare stream"),
            Row("get over QUIC alone", quic.get, "MB/s", bare_get, "bare stream"),
            Row("put, chain part", ours.chain_s, "s"),
        ]
        if tahoe_program:
            (folder / "tahoe").mkdir()
            theirs = await tahoe.measure(Path(tahoe_program), folder / "tahoe", size, rounds)
            found += [
                Row("put, whole path", ours.put, "MB/s", theirs.put, "Tahoe-LAFS 1.20", "≥ 3"),
                Row("get, whole path", ours.get, "MB/s", theirs.get, "Tahoe-LAFS 1.20", "≥ 3"),
            ]
    return found


async def memory_rows(size: int) -> list[Row]:
    """How much more memory both sides take at most while a large file is put and got, than while a small one is."""
    with tempfile.TemporaryDirectory(prefix="depin-bench-") as temporary:
        folder = Path(temporary)
        async with village(folder) as place, Customer.open(place.customer) as customer:
            small = await _peak(customer, place.engine.pid, folder, 256 * MIB)
            large = await _peak(customer, place.engine.pid, folder, size)
    name = f"{size / 2**30:.0f} GiB put and got, peak RSS of the"
    return [
        Row(f"{name} customer", large[0] / 1e6, "MB", small[0] / 1e6, "256 MiB", "≤ 1.15"),
        Row(f"{name} engine", large[1] / 1e6, "MB", small[1] / 1e6, "256 MiB", "≤ 1.15"),
    ]


async def _peak(customer: Customer, engine_pid: int, folder: Path, size: int) -> tuple[int, int]:
    source, out = folder / "large", folder / "back"
    with source.open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
    ours, engine, peak, done = psutil.Process(), psutil.Process(engine_pid), [0, 0], asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            peak[0] = max(peak[0], ours.memory_info().rss)
            peak[1] = max(peak[1], engine.memory_info().rss)
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(watch())
    stored = await customer.put(source)
    await customer.get(stored.locator, out)
    done.set()
    await watching
    same = await asyncio.to_thread(_same, source, out)
    assert same
    source.unlink()
    out.unlink()
    return peak[0], peak[1]


def _same(one: Path, other: Path) -> bool:
    with one.open("rb") as left, other.open("rb") as right:
        while True:
            a, b = left.read(MIB), right.read(MIB)
            if a != b:
                return False
            if not a:
                return True

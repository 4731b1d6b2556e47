"""What the engine costs while nothing happens, and how long the engine and the window take to appear."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.benchmarks.table import Row
from tests.benchmarks.village import answering, launch, village

SETTLE_S = 5.0


async def engine_rows(watch_s: float) -> list[Row]:
    """Start, idle CPU and RSS of a provider's engine that shares a folder."""
    with tempfile.TemporaryDirectory(prefix="depin-bench-") as temporary:
        async with village(Path(temporary)) as place:
            process = psutil.Process(place.engine.pid)
            await asyncio.sleep(SETTLE_S)
            before = sum(process.cpu_times()[:2])
            await asyncio.sleep(watch_s)
            percent = (sum(process.cpu_times()[:2]) - before) / watch_s * 100
            rss = process.memory_info().rss / 1e6
            place.engine.terminate()
            await asyncio.to_thread(place.engine.wait, 20)
            starts = []
            for _ in range(3):
                began = time.perf_counter()
                engine = launch(place.provider)
                await answering(place.provider)
                starts.append(time.perf_counter() - began)
                engine.terminate()
                await asyncio.to_thread(engine.wait, 20)
    return [
        Row("engine, start until its API answers", sorted(starts)[1], "s", bound="≤ 2"),
        Row("engine, CPU while idle", percent, "% of a core", bound="≤ 0.5"),
        Row("engine, RSS while idle", rss, "MB", bound="≤ 150"),
    ]


async def app_rows() -> list[Row]:
    """Time from the start of Python to the visible window (offscreen), and RSS a little later."""
    with tempfile.TemporaryDirectory(prefix="depin-bench-") as temporary:
        async with village(Path(temporary)) as place:
            times, sizes = [], []
            for _ in range(3):
                shown, rss = await asyncio.to_thread(_window, place.provider.root)
                times.append(shown)
                sizes.append(rss)
    return [
        Row("app, Python's start to visible window", sorted(times)[1], "s", bound="≤ 0.9"),
        Row("app, RSS", sorted(sizes)[1], "MB"),
    ]


def _window(home: Path) -> tuple[float, float]:
    environment = os.environ | {"QT_QPA_PLATFORM": os.environ.get("DEPIN_BENCH_QPA", "offscreen")}
    process = subprocess.Popen(
        [sys.executable, "-m", "depin_desktop", "--home", str(home), "--say-when-visible"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("visible "), line
        time.sleep(3)
        return float(line.split()[1]), psutil.Process(process.pid).memory_info().rss / 1e6
    finally:
        process.terminate()
        process.wait(10)

"""What the engine costs while nothing happens, and how long the engine and the window take to appear."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.benchmarks.table import Row
from tests.benchmarks.village import answering, launch, village

SETTLE_S = 5.0
STARTUP = Path(__file__).resolve().parents[1] / "ui" / "startup.py"


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
    """Time from the start of Python to the first painted window (offscreen), and RSS a little later."""
    command = [sys.executable, str(STARTUP)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    median = json.loads(done.stdout)["median"]
    return [
        Row("app, Python's start to visible window", median["visible_s"], "s", bound="≤ 0.9"),
        Row("app, RSS", median["rss_mb"], "MB"),
    ]

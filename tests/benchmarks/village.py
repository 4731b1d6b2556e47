"""A private network with one provider's engine, each in its own process, and a home to buy from."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from depin_desktop.api.client import EngineClient, EngineUnreachable
from depin_desktop.api.models import ShareStorage
from depin_desktop.core.home import Home
from depin_desktop.localnet import control
from depin_desktop.wallet.onboarding import initialise

PASSWORD = "a long enough password"
PERIOD_S = 600  # long, so that no proof falls into a measurement
SHARED_BYTES = 12 << 30
START_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Village:
    """Where things are; `engine` is the provider's process."""

    folder: Path
    provider: Home
    customer: Home
    engine: subprocess.Popen[bytes]
    engine_start_s: float


def launch(home: Home) -> subprocess.Popen[bytes]:
    """Starts a home's engine."""
    return subprocess.Popen([sys.executable, "-m", "depin_desktop.cli", "engine", "--home", str(home.root)])


async def answering(home: Home) -> None:
    """Returns when the home's engine answers."""
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            try:
                async with EngineClient(home):
                    return
            except EngineUnreachable:
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def village(folder: Path) -> AsyncIterator[Village]:
    """Builds it below `folder`, and takes it down."""
    network = await control.up(folder / "network", PERIOD_S, demand=False)
    provider, customer = Home(folder / "provider"), Home(folder / "customer")
    try:
        for home in (provider, customer):
            await initialise(home, network, PASSWORD)
        began = time.perf_counter()
        engine = launch(provider)
        try:
            await answering(provider)
            started = time.perf_counter() - began
            async with EngineClient(provider) as client:
                size = min(SHARED_BYTES, shutil.disk_usage(folder).free // 3)
                await client.share_storage(ShareStorage(path=str(folder / "shared"), size_bytes=size))
                async for event in client.events():
                    if event.topic == "status" and event.data["network"]["connected"] and event.data["hub"]["offers"]:
                        break
            yield Village(folder, provider, customer, engine, started)
        finally:
            engine.terminate()
            await asyncio.to_thread(engine.wait, 20)
    finally:
        await control.down(folder / "network")

"""A private network with one provider of computing power, and a customer's gateway: each in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from depin_desktop.api.client import EngineClient
from depin_desktop.api.compute import ComputeStatus, ShareCompute
from depin_desktop.core.home import Home
from depin_desktop.localnet import control
from depin_desktop.wallet.onboarding import initialise
from tests.benchmarks.village import PASSWORD, PERIOD_S, answering, launch

MEASURED_WITHIN_S = 180.0
KINDS = frozenset({"chat", "embedding", "wasm"})


@dataclass(frozen=True)
class Market:
    """Where things are; `base_url` is the gateway's and takes any key."""

    provider: Home
    engine: psutil.Process
    base_url: str

    def workers(self) -> list[psutil.Process]:
        """The engine's worker processes that live."""
        return [child for child in self.engine.children() if _is_worker(child)]


def _is_worker(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE and any("runtimes.child" in it for it in process.cmdline())
    return False


@contextlib.asynccontextmanager
async def market(folder: Path) -> AsyncIterator[Market]:
    """Builds it below `folder`, with every model measured and offered, and takes it down."""
    network = await control.up(folder / "network", PERIOD_S, demand=False)
    provider, customer = Home(folder / "provider"), Home(folder / "customer")
    try:
        for home in (provider, customer):
            await initialise(home, network, PASSWORD)
        engine = launch(provider)
        try:
            await answering(provider)
            async with EngineClient(provider) as client:
                await client.share_compute(ShareCompute())
                await _until(client, _measured)
            async with _gateway(customer) as base_url:
                yield Market(provider, psutil.Process(engine.pid), base_url)
        finally:
            engine.terminate()
            await asyncio.to_thread(engine.wait, 20)
    finally:
        await control.down(folder / "network")


def _measured(status: ComputeStatus) -> bool:
    return {model.kind for model in status.models if model.served and model.rate > 0} >= KINDS


async def _until(client: EngineClient, reached: Callable[[ComputeStatus], bool]) -> None:
    async with asyncio.timeout(MEASURED_WITHIN_S):
        async for event in client.events():
            if event.topic == "compute" and reached(await client.compute()):
                return


@contextlib.asynccontextmanager
async def _gateway(home: Home) -> AsyncIterator[str]:
    options = ("--home", str(home.root), "--port", "0", "--open", "--budget", "5000", "--checks", "0", "--json")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "depin_desktop.cli", "gateway", *options), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            said = await process.stdout.readuntil(b"}")
        yield str(json.loads(said)["base_url"])
    finally:
        process.terminate()
        await process.wait()

"""What breaks on real machines, on purpose: a killed engine during a put, and a chain that goes away and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from pathlib import Path
from typing import Any

from depin_desktop.api.client import EngineClient
from depin_desktop.api.models import ShareStorage
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.customer.session import Customer
from depin_desktop.engine.engine import Engine
from depin_desktop.localnet.localnet import Localnet
from depin_desktop.wallet.onboarding import initialise
from depin_desktop.wallet.vault import Cost

from .homes import Node

MIB = 2**20


async def test_the_engine_is_killed_during_a_put_and_the_put_goes_on_after_it(make_home: Any, tmp_path: Path) -> None:
    provider = Node((await make_home("provider")).root)
    customer_home: Home = await make_home("customer")
    content = random.Random(3).randbytes(48 * MIB)
    (tmp_path / "file").write_bytes(content)
    await provider.start()
    try:
        async with EngineClient(Home(provider.root)) as client:
            await client.share_storage(ShareStorage(path=str(tmp_path / "shared"), size_bytes=256 * MIB))
        async with Customer.open(customer_home) as customer:
            putting = asyncio.create_task(customer.put(tmp_path / "file", segment_bytes=8 * MIB))
            await provider.until("storage", lambda storage: storage["pieces"] >= 2)
            provider.kill()
            with contextlib.suppress(UserFacingError):
                await putting
            await provider.start()
            stored = await customer.put(tmp_path / "file", segment_bytes=8 * MIB)
            await customer.get(stored.locator, tmp_path / "back")
    finally:
        provider.stop()
    assert hashlib.sha256((tmp_path / "back").read_bytes()).digest() == hashlib.sha256(content).digest()


async def test_the_engine_goes_on_when_the_chain_was_away(tmp_path: Path) -> None:
    async with Localnet(tmp_path / "network", 3600) as net:
        home = Home(tmp_path / "home")
        await initialise(home, net.folder.network, "correct horse battery", cost=Cost(n=16))
        engine = Engine(home)
        await engine.start()
        try:
            async with EngineClient(home) as client, asyncio.timeout(60):
                await _until(client, lambda status: status["network"]["connected"])
                restarts = net.chain_process.restarts
                await net.save()  # SIGKILL loses what was mined since the last save; that is another test
                net.chain_process.kill()
                await net.chain_process.restarted(restarts + 1)
                wallet = None
                while wallet is None:
                    with contextlib.suppress(UserFacingError):
                        wallet = await client.wallet()
                assert wallet.stake > 0
                await _until(client, lambda status: status["network"]["connected"])
        finally:
            await engine.stop()


async def _until(client: EngineClient, reached: Any) -> None:
    async for event in client.events():
        if event.topic == "status" and reached(event.data):
            return

"""What breaks on real machines, on purpose: a killed engine during a put, and a chain that goes away and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from depin_desktop.api.client import EngineClient
from depin_desktop.api.models import ShareStorage
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.customer.session import Customer
from depin_desktop.engine.engine import Engine
from depin_desktop.localnet.localnet import Localnet
from depin_desktop.sealing import seal
from depin_desktop.wallet.onboarding import initialise
from depin_desktop.wallet.vault import Cost

from .homes import Node

MIB = 2**20
KILLS = 20


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


@pytest.mark.timeout(300)
async def test_twenty_sigkills_of_the_engine_during_puts_lose_no_acknowledged_piece(
    make_home: Any, tmp_path: Path
) -> None:
    """One put of many small pieces, killed further and further on; each time it goes on where it was."""
    provider = Node((await make_home("provider")).root)
    customer_home: Home = await make_home("customer")
    seed = random.randrange(2**31)
    chance = random.Random(seed)
    content = chance.randbytes(12 * MIB)
    (tmp_path / "file").write_bytes(content)
    acknowledged: set[str] = set()
    await provider.start()
    try:
        async with EngineClient(Home(provider.root)) as client:
            await client.share_storage(ShareStorage(path=str(tmp_path / "shared"), size_bytes=256 * MIB))
        async with Customer.open(customer_home) as customer:
            for kill in range(KILLS):
                at = len(content) * (kill + chance.random()) / (KILLS + 1)
                await _put_until_killed(customer, tmp_path / "file", provider, at)
                now = _acknowledged(customer_home)
                assert now >= acknowledged, f"seed {seed}: a receipt was forgotten"
                acknowledged = now
                held = {path.stem: path for path in (tmp_path / "shared").rglob("*.piece")}
                for root in acknowledged:
                    assert seal(held[root].read_bytes()).root.hex() == root, f"seed {seed}, kill {kill}"
                await provider.start()
            stored = await customer.put(tmp_path / "file", segment_bytes=MIB // 16)
            await customer.get(stored.locator, tmp_path / "back")
    finally:
        provider.stop()
    assert (tmp_path / "back").read_bytes() == content, f"seed {seed}"
    assert len(acknowledged) >= KILLS


async def _put_until_killed(customer: Customer, file: Path, provider: Node, at: float) -> None:
    """Kills the engine once the put has come so far, and gives the put up."""
    killed = asyncio.Event()

    def progress(done: int, _total: int) -> None:
        if done >= at and not killed.is_set():
            provider.kill()
            killed.set()

    putting = asyncio.create_task(customer.put(file, segment_bytes=MIB // 16, progress=progress))
    await asyncio.wait([putting, waiting := asyncio.create_task(killed.wait())], return_when=asyncio.FIRST_COMPLETED)
    assert killed.is_set(), "the put ended before the engine was killed"
    await waiting
    putting.cancel()
    with contextlib.suppress(asyncio.CancelledError, UserFacingError):
        await putting


def _acknowledged(home: Home) -> set[str]:
    """Roots of the pieces for which the customer holds a receipt."""
    with contextlib.closing(sqlite3.connect(home.customer_database)) as rows:
        return {root.hex() for (root,) in rows.execute("SELECT root FROM upload_pieces")}


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

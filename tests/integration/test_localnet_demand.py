"""Neighbours who buy from a real provider, and what they do when there is none."""

from __future__ import annotations

import asyncio
import logging
import random
from pathlib import Path

import pytest

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.customer.session import Customer
from depin_desktop.localnet.demand import BUDGET, Neighbour
from depin_desktop.localnet.demand_policy import KIB, Act, DemandSettings
from depin_desktop.wallet import hotkeys

from .homes import Node

SETTINGS = DemandSettings(smallest=64 * KIB, largest=256 * KIB, most_files=2, codes=((1, 1),))


async def test_it_stores_reads_back_and_removes(
    localnet, make_home, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="depin_desktop.localnet")
    provider = Node((await make_home("provider")).root)
    await provider.start()
    try:
        await asyncio.to_thread(
            provider.cli, "share", "storage", "--path", str(provider.root / "shared"), "--size", "100MiB"
        )
        neighbour = Neighbour(Home(tmp_path / "neighbour"), localnet.file, SETTINGS, random.Random(3))
        network = await neighbour.prepare()
        done: dict[Act, int] = dict.fromkeys(Act, 0)
        async with Customer.open(Home(tmp_path / "neighbour")) as customer:
            while not all(done.values()):
                done[(await neighbour.act(customer, network)).act] += 1
                assert sum(done.values()) < 40, "some act never comes up"
            assert len(await customer.files()) == done[Act.STORE] - done[Act.REMOVE]
        assert caplog.text.count("unharmed") == done[Act.READ]
        assert "something else" not in caplog.text
    finally:
        provider.stop()


async def test_without_providers_it_says_so_and_has_spent_nothing(localnet, chain, tmp_path: Path) -> None:
    home = Home(tmp_path / "neighbour")
    neighbour = Neighbour(home, localnet.file, SETTINGS, random.Random(3))
    network = await neighbour.prepare()
    async with Customer.open(home) as customer:
        with pytest.raises(UserFacingError):
            await neighbour.act(customer, network)
    await neighbour.prepare()
    assert await chain.token.balance_of(hotkeys.spender(home).address) == BUDGET

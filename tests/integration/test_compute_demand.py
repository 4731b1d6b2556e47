"""Neighbours have work done by a real provider, whose wallet grows by what vouchers and chain say."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import pytest

from depin_desktop.core.home import Home
from depin_desktop.customer.session import Customer
from depin_desktop.localnet.demand import Neighbour
from depin_desktop.localnet.demand_policy import DemandSettings
from depin_desktop.localnet.errands_policy import Errand, Work

from .compute_market import new_home
from .compute_village import seller


async def test_neighbours_ask_for_every_kind_of_work_and_the_provider_is_paid_on_chain(
    localnet, network, chain, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="depin_desktop.localnet")
    async with seller(await new_home(tmp_path / "provider", localnet.file), network) as provider:
        before = await chain.token.balance_of(provider.owner)
        home = Home(tmp_path / "neighbour")
        neighbour = Neighbour(home, localnet.file, DemandSettings(computing=1.0), random.Random(2))
        joined = await neighbour.prepare()
        done: set[Work] = set()
        async with Customer.open(home) as customer:
            for _ in range(30):
                turn = await neighbour.turn(customer, joined)
                assert isinstance(turn, Errand)
                done.add(turn.work)
                if done == set(Work):
                    break
            client = await customer.compute.client()
            await client.checker.done()
            seen = await customer.compute.seen()
        assert done == set(Work)
        assert "it is wrong" not in caplog.text
        spent = seen.spending.answers + seen.spending.checks
        assert provider.earned == spent > 0
        assert await provider.vendor.paywall.claim() == spent
        assert await provider.vendor.paywall.settle() == spent
        assert await chain.token.balance_of(provider.owner) - before == spent
        assert provider.vendor.service.compute_status().checked_wrong == 0


async def test_where_only_work_is_offered_files_are_left_for_later(localnet, network, tmp_path: Path) -> None:
    async with seller(await new_home(tmp_path / "provider", localnet.file), network):
        home = Home(tmp_path / "neighbour")
        neighbour = Neighbour(home, localnet.file, DemandSettings(computing=0.01), random.Random(1))
        joined = await neighbour.prepare()
        async with Customer.open(home) as customer:
            for _ in range(4):
                assert isinstance(await neighbour.turn(customer, joined), Errand)

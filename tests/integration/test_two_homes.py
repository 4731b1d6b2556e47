"""The purpose of the whole, by the command line alone: bytes arrive, are proven, and turn into tokens."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from .homes import CommandFailed, Node, depin

PERIOD_S = 10
SIZE = 64 << 20


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("network")
    yield Path(depin("localnet", "up", "--dir", str(folder), "--period", str(PERIOD_S)))
    depin("localnet", "down", "--dir", str(folder))


@asynccontextmanager
async def providers(network: Path, folder: Path, count: int) -> AsyncIterator[list[Node]]:
    nodes = [Node(folder / f"provider{index}") for index in range(count)]
    try:
        for node in nodes:
            node.init(network)
            await node.start()
            node.cli("share", "storage", "--path", str(node.root / "shared"), "--size", "300MiB")
        yield nodes
    finally:
        for node in nodes:
            node.stop()


def random_file(path: Path, size: int = SIZE) -> str:
    content = random.Random(7).randbytes(size)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def test_a_stored_file_comes_back_and_the_provider_is_paid_what_the_chain_says(
    network: Path, tmp_path: Path
) -> None:
    customer = Node(tmp_path / "customer")
    customer.init(network)
    async with providers(network, tmp_path, 1) as (provider,):
        before = provider.cli("wallet")
        original = random_file(tmp_path / "original")
        locator = (await asyncio.to_thread(customer.cli, "store", "put", str(tmp_path / "original")))["locator"]
        await asyncio.to_thread(customer.cli, "store", "get", locator, str(tmp_path / "back"))
        assert digest(tmp_path / "back") == original

        paid = await provider.until(
            "storage", lambda storage: any(int(proof["paid"]) for proof in storage["proofs"]), timeout_s=5 * PERIOD_S
        )
        proven = sum(int(proof["paid"]) for proof in paid["proofs"])
        after = provider.cli("wallet")
        history = provider.cli("wallet", "history")
        earned = sum(int(entry["amount"]) for entry in history if entry["kind"] in ("storage", "reads"))
        assert int(after["earned_total"]) - int(before["earned_total"]) >= proven > 0
        assert earned <= int(after["earned_total"]) + proven
        assert int(after["balance"]) + int(after["pending"]) > int(before["balance"])
        assert [file["locator"] for file in customer.cli("store", "ls")] == [locator]

        # What was deposited for reading and not used comes back, to the unit.
        budget = int(customer.cli("wallet")["spending_balance"])
        (deposit,) = customer.cli("wallet", "deposits")
        (returned,) = await asyncio.to_thread(customer.cli, "wallet", "reclaim")
        assert (returned["provider"], returned["problem"]) == (deposit["provider"], "")
        assert int(customer.cli("wallet")["spending_balance"]) == budget + int(returned["amount"])
        assert customer.cli("wallet", "deposits") == []


async def test_two_of_four_providers_die_and_the_file_comes_back(network: Path, tmp_path: Path) -> None:
    customer = Node(tmp_path / "customer")
    customer.init(network)
    async with providers(network, tmp_path, 4) as nodes:
        original = random_file(tmp_path / "original")
        stored = await asyncio.to_thread(customer.cli, "store", "put", str(tmp_path / "original"), "--code", "2/4")
        for node in nodes[1:3]:
            node.kill()
        await asyncio.to_thread(customer.cli, "store", "get", stored["locator"], str(tmp_path / "back"))
        assert digest(tmp_path / "back") == original


async def test_clear_errors_before_anything_is_spent(network: Path, tmp_path: Path) -> None:
    customer = Node(tmp_path / "customer")
    customer.init(network)
    before = customer.cli("wallet")["spending_balance"]
    (tmp_path / "original").write_bytes(os.urandom(1000))
    with pytest.raises(CommandFailed, match="provider"):
        customer.cli("store", "put", str(tmp_path / "original"), "--code", "9/9")
    assert customer.cli("wallet")["spending_balance"] == before

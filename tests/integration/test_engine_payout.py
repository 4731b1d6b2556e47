"""The owner has earnings paid elsewhere, and back, while the engine runs: it is told by nobody but the chain."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from eth_account import Account

from depin_desktop.api.client import EngineClient
from depin_desktop.api.models import ShareStorage
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.indexer import Indexer
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.core.home import Home
from depin_desktop.core.tasks import Tasks
from depin_desktop.engine.engine import Engine
from depin_desktop.engine.payout import PayoutWatch
from depin_desktop.wallet.vault import Vault

from .chain_anvil import MIN_STAKE, account, anvil_with_contracts
from .payment_shop import Customer, Shop
from .sender_world import HASTY
from .test_engine_claims import PRICE, a_buyer, counter, running
from .test_wallet_owner import depin

MIB = 2**20


async def pay_to(home: Home, engine: Engine, shop: Shop, address: str) -> None:
    """As the owner does it, from another process; returns when the engine has said that it knows."""
    with engine.bus.subscribe("activity") as news:
        done = await depin(home, "wallet", "payout", address, "--yes", "--password-stdin")
        assert done.returncode == 0, done.stderr
        async with asyncio.timeout(20):
            while True:
                told: Any = (await news.next()).data
                if (told.kind, told.detail) == ("payout", address):
                    break
    shop.payout = address


async def offered_payout(engine: Engine, payout: str) -> None:
    """Returns when the hub has this node's offer with that address to be paid."""
    assert engine.joined is not None
    hub, owner = engine.joined.link.hub, engine.keys.owner
    assert hub is not None
    offers = await hub.wait_for_offers(lambda offers: owner in offers and offers[owner].payout == payout, timeout_s=10)
    assert offers[owner].payout == payout


async def earn(engine: Engine, shop: Shop, buyer: Customer) -> None:
    """One sale, claimed and paid out."""
    assert (await buyer.buy(shop, PRICE)).status == 200
    assert engine.joined is not None
    await shop.paywall.claimer.collect()
    await engine.joined.link.indexer.sync()


async def test_a_change_counts_at_once_for_offers_sales_and_books_and_so_does_the_way_back(
    make_home: Any, new_account: Any, chain: Chain, tmp_path: Path
) -> None:
    home = await make_home()
    owner, elsewhere = Vault.load(home.vault).owner, Account.create().address
    before = await chain.token.balance_of(owner)
    async with (
        running(home) as engine,
        EngineClient(home) as client,
        counter(engine) as shop,
        a_buyer(chain, tmp_path, new_account) as buyer,
    ):
        await client.share_storage(ShareStorage(path=str(tmp_path / "shared"), size_bytes=64 * MIB))
        await offered_payout(engine, owner)
        await earn(engine, shop, buyer)
        await pay_to(home, engine, shop, elsewhere)
        await offered_payout(engine, elsewhere)
        await earn(engine, shop, buyer)
        assert await chain.token.balance_of(elsewhere) == PRICE
        assert await chain.token.balance_of(owner) == before + PRICE
        status = await client.wallet()
        assert (status.payout, status.claimed, status.pending) == (elsewhere, 2 * PRICE, 0)

        # What is owed for either address counts as pending until both are paid out.
        assert (await buyer.buy(shop, PRICE)).status == 200
        await pay_to(home, engine, shop, owner)
        await offered_payout(engine, owner)
        assert (await buyer.buy(shop, PRICE)).status == 200
        await shop.paywall.claim()
        assert (await client.wallet()).pending == 2 * PRICE
        await shop.paywall.settle()
        assert await chain.token.balance_of(elsewhere) == 2 * PRICE
        assert await chain.token.balance_of(owner) == before + 2 * PRICE
        assert engine.joined is not None
        await engine.joined.link.indexer.sync()
        status = await client.wallet()
        assert (status.payout, status.claimed, status.pending) == (owner, 4 * PRICE, 0)
        lines = await client.history(50)
    paid = [(line.counterparty, line.amount) for line in lines if line.kind == "payout"]
    assert sorted(paid) == sorted([(owner, PRICE), (elsewhere, PRICE), (elsewhere, PRICE), (owner, PRICE)])

    async with restarted(home, keep=True) as (status_again, again, height):
        assert height > 0, "the index was kept: it was asked for the same accounts"
        assert (status_again.claimed, status_again.payout) == (4 * PRICE, owner)
        assert [line for line in again if line.kind == "payout"] == [line for line in lines if line.kind == "payout"]
    # A home that was restored from its twelve words learns of both addresses from the chain.
    async with restarted(home, keep=False) as (anew, learnt, height):
        assert height == -1
        assert anew.claimed == 4 * PRICE
        assert [line for line in learnt if line.kind == "payout"] == [line for line in lines if line.kind == "payout"]


@contextlib.asynccontextmanager
async def restarted(home: Home, *, keep: bool) -> AsyncIterator[tuple[Any, Any, int]]:
    """The wallet and its history from another run of the engine, and the height from which its index went on."""
    if not keep:
        for file in home.engine_database.parent.glob("engine.sqlite*"):
            file.unlink()
    heights: list[int] = []
    begin = Indexer.start

    async def noted(self: Indexer) -> None:
        await begin(self)
        heights.append(self.height)

    Indexer.start = noted  # type: ignore[method-assign]
    try:
        async with running(home) as engine:
            assert engine.joined is not None
            indexer = engine.joined.link.indexer
            await indexer.sync()
            await engine.joined.watch.cycle.trigger_and_wait()
            await indexer.sync()
            money = engine.joined.money
            await money.learn_fees()  # as its cycle does, of what the index has just learnt
            yield await money.status(), await money.history(50), heights[0]
    finally:
        Indexer.start = begin  # type: ignore[method-assign]


async def test_a_change_that_the_chain_takes_back_is_taken_back_here(tmp_path: Path) -> None:
    owner, operator = account(1), account(2)
    there, elsewhere = Account.create().address, Account.create().address
    async with (
        anvil_with_contracts(tmp_path, owner, operator) as (anvil, network),
        contextlib.AsyncExitStack() as stack,
    ):
        chain = await Chain.connect(network)
        stack.push_async_callback(chain.close)
        database = Database(tmp_path / "engine.sqlite")
        await database.open()
        stack.push_async_callback(database.close)
        sender = Sender(chain, owner, database, pace=HASTY)
        await sender.start()
        stack.push_async_callback(sender.stop)
        await sender.send_many(
            [
                chain.token.approve(chain.registry.address, 10**30),
                chain.registry.register(operator.address, there, b"\x05" * 32, MIN_STAKE),
            ],
            purpose="register",
        )
        indexer = Indexer(chain, database, accounts=[owner.address])
        told: asyncio.Queue[tuple[str, Mapping[str, int]]] = asyncio.Queue()

        async def found(payout: str, seen: Mapping[str, int]) -> None:
            told.put_nowait((payout, seen))

        watch = PayoutWatch(chain, indexer, owner.address, found)
        await indexer.start()
        stack.push_async_callback(indexer.stop)
        await indexer.sync()
        tasks = Tasks("test")
        tasks.spawn("watch", watch.cycle.run())
        stack.push_async_callback(tasks.close)

        async def until(payout: str) -> Mapping[str, int]:
            async with asyncio.timeout(20):
                while True:
                    now, seen = await told.get()
                    if now == payout:
                        return seen

        registered_in = await until(there)
        assert set(registered_in) == {there}
        await sender.stop()  # it would send again what the chain forgets
        snapshot = await anvil.ask("evm_snapshot")
        another = Sender(chain, owner, Database(tmp_path / "another.sqlite"), pace=HASTY)
        await another._outbox._database.open()
        stack.push_async_callback(another._outbox._database.close)
        await another.start()
        receipt = await another.send(chain.registry.set_payout(elsewhere), purpose="payout")
        await another.stop()
        await indexer.sync()
        assert await until(elsewhere) == registered_in | {elsewhere: receipt.block}
        await anvil.ask("evm_revert", snapshot)
        await anvil.ask("evm_mine")
        await indexer.sync()
        assert set(await until(there)) == {there}

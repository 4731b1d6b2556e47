"""What an engine does about money that customers owe it: when they withdraw, and when it stops."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from depin_desktop.chain.calls import LogEvent
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import RelayerProfile
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.core.home import Home
from depin_desktop.engine.engine import Engine
from depin_desktop.payments import vouchers
from depin_desktop.wallet import hotkeys
from depin_desktop.wallet.vault import Vault

from .payment_shop import Customer, Shop, customer_of

PRICE = 1000
COIN = 10**18


@contextlib.asynccontextmanager
async def running(home: Home) -> AsyncIterator[Engine]:
    """An engine that has joined its network."""
    engine = Engine(home)
    await engine.start()
    try:
        async with asyncio.timeout(20):
            with engine.subscribe() as events:
                while engine.joined is None:
                    await events.next()
        yield engine
    finally:
        await engine.stop()


@contextlib.asynccontextmanager
async def counter(engine: Engine) -> AsyncIterator[Shop]:
    """Goods sold over plain HTTP through the engine's own paywall."""
    assert engine.joined is not None
    link, paywall = engine.joined.link, engine.joined._paywall
    assert paywall is not None
    owner: Any = type("Owner", (), {"address": engine.keys.owner})
    shop = Shop(link.chain, engine.keys.operator, owner, paywall, link.sender, "")
    app = web.Application()
    app.add_routes([web.get("/goods/{price}", shop.goods)])
    server = TestServer(app)
    await server.start_server()
    shop.url = str(server.make_url("/goods/"))
    try:
        yield shop
    finally:
        await server.close()


@contextlib.asynccontextmanager
async def a_buyer(chain: Chain, tmp_path: Path, new_account: Any) -> AsyncIterator[Customer]:
    async with customer_of(chain.network, tmp_path, await new_account()) as buyer:
        yield buyer


async def test_a_customer_who_withdraws_its_deposit_is_claimed_at_once(
    make_home: Any, new_account: Any, chain: Chain, tmp_path: Path
) -> None:
    home = await make_home()
    async with running(home) as engine, counter(engine) as shop, a_buyer(chain, tmp_path, new_account) as buyer:
        assert (await buyer.buy(shop, PRICE)).status == 200
        assert engine.joined is not None
        (channel,) = shop.paywall.store.channels.values()
        assert channel.unclaimed == PRICE

        claimed: asyncio.Queue[LogEvent] = asyncio.Queue()
        engine.joined.link.indexer.on("Claimed", claimed.put, contract="settlement")
        database = Database(tmp_path / "withdrawing.sqlite")
        await database.open()
        sender = Sender(chain, buyer.account, database)
        await sender.start()
        config = vouchers.chain_config(channel.config)
        await sender.send(chain.settlement.initiate_withdraw(config, 1), purpose="leave")
        event = await asyncio.wait_for(claimed.get(), 10)
        assert (event.args["channel_id"], event.args["claim_amount"]) == (channel.id, PRICE)
        assert shop.paywall.store.channels[channel.id].withdraw_at > 0
        await sender.stop()
        await database.close()


async def test_what_customers_owe_is_claimed_and_paid_out_when_the_engine_stops(
    make_home: Any, new_account: Any, chain: Chain, tmp_path: Path
) -> None:
    home = await make_home()
    owner = Vault.load(home.vault).owner
    before = await chain.token.balance_of(owner)
    async with running(home) as engine, a_buyer(chain, tmp_path, new_account) as buyer:
        assert engine.keys.operator.address == hotkeys.operator(home).address
        async with counter(engine) as shop:
            assert (await buyer.buy(shop, PRICE)).status == 200
        assert await chain.token.balance_of(owner) == before
    assert await chain.token.balance_of(owner) == before + PRICE


@contextlib.asynccontextmanager
async def a_relayer(chain: Chain, folder: Path, new_account: Any) -> AsyncIterator[RelayerProfile]:
    """`depin relay` as its operator runs it."""
    account = await new_account(tokens=0)
    home, key = Home(folder / "relayer"), folder / "relayer.key"
    home.root.mkdir()
    home.network.write_text(chain.network.model_copy(update={"tokens_per_coin": COIN}).model_dump_json())
    key.write_text(account.key.hex())
    arguments = ("relay", "--key-file", str(key), "--port", "0", "--home", str(home.root))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "depin_desktop.cli", *arguments), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        said = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().split()
        assert said[-1] == account.address
        yield RelayerProfile(url=said[2], operator=account.address, payout=account.address)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 20) == 130
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_an_engine_without_gas_has_its_claims_sent_by_the_networks_relayer(
    make_home: Any, new_account: Any, chain: Chain, tmp_path: Path
) -> None:
    home = await make_home()
    owner, operator = Vault.load(home.vault).owner, hotkeys.operator(home).address
    before = await chain.token.balance_of(owner)
    async with a_relayer(chain, tmp_path, new_account) as relayer:
        profile = chain.network.model_copy(update={"relayer": relayer, "tokens_per_coin": COIN})
        home.network.write_text(profile.model_dump_json())
        async with running(home) as engine, counter(engine) as shop, a_buyer(chain, tmp_path, new_account) as buyer:
            assert engine.joined is not None
            assert (await buyer.buy(shop, 3 * COIN)).status == 200
            await chain.rpc.request("anvil_setBalance", operator, "0x0")
            await engine.joined.claiming.trigger_and_wait()
            assert await chain.token.balance_of(owner) == before + 3 * COIN
            assert shop.paywall.pending() == 0

            await engine.joined.link.indexer.sync()
            payout = next(line for line in await engine.joined.money.history(20) if line.kind == "payout")
            assert payout.detail == "vouchers, sent by a relayer"
            assert (payout.amount, payout.fee) == (3 * COIN, 0)
            assert 0 < payout.fee_worth <= 3 * COIN // 20
            assert payout.net == payout.amount - payout.fee_worth

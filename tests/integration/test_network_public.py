"""A network founded on a chain that others run: another chain id, a block every two seconds, no faucet."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount

from depin_desktop.chain.calls import Call
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.checkup import check
from depin_desktop.chain.deploy import SETTLEMENT
from depin_desktop.chain.founding import Terms, found
from depin_desktop.chain.network import Network, RelayerProfile
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.core.units import BASE_UNITS_PER_TOKEN as TOKEN
from depin_desktop.services.storage.folders import FolderConfig
from depin_desktop.services.storage.store import Piece, PieceState, PieceStore
from depin_desktop.wallet import hotkeys, networks
from depin_desktop.wallet.onboarding import initialise
from depin_desktop.wallet.vault import Cost, Vault

from .chain_anvil import Anvil, account
from .homes import CommandFailed, depin, depin_json
from .payment_shop import customer_of, shop_of

FOUNDER, CUSTOMER = account(1), account(2)
CHAIN_ID = 424242
BLOCK_S = 2
PASSWORD = "correct horse battery"
PRICE = 3 * TOKEN


@contextlib.asynccontextmanager
async def public_chain(folder: Path, *, block_s: int | None = None) -> AsyncIterator[Anvil]:
    """A chain where x402's contracts are, as on public ones; founder and customer hold its coin."""
    await asyncio.to_thread(folder.mkdir)
    anvil = Anvil(folder, FOUNDER, CUSTOMER, chain_id=CHAIN_ID, block_s=block_s)
    await anvil.start()
    try:
        yield anvil
    finally:
        await anvil.rpc.close()
        await anvil.kill()


@contextlib.asynccontextmanager
async def sending(chain: Chain, who: LocalAccount, folder: Path) -> AsyncIterator[Sender]:
    database = Database(folder / "sending.sqlite")
    await database.open()
    sender = Sender(chain, who, database)
    await sender.start()
    try:
        yield sender
    finally:
        await sender.stop()
        await database.close()


def terms(anvil: Anvil, **changes: Any) -> Terms:
    fields: dict[str, Any] = {
        "name": "Test Commons", "token_holder": FOUNDER.address, "token_supply": 10**6 * TOKEN,
        "beneficiary": CUSTOMER.address,
        "min_stake": 100 * TOKEN, "period_s": 3600, "window_s": 600, "confirmations": 1, "rpc_url": anvil.url,
        "ws_url": "", "hub_urls": ("nats://hub.example:4222",), "price_per_tib_month": 5 * TOKEN,
        "price_per_gib_read": TOKEN // 100,
    }  # fmt: skip
    return Terms(**{**fields, **changes})


async def test_a_provider_and_a_customer_trade_on_a_public_chain(tmp_path: Path, network: Network) -> None:
    key_file = tmp_path / "founder.key"
    await asyncio.to_thread(key_file.write_text, FOUNDER.key.hex())
    profile, home = tmp_path / "commons.json", Home(tmp_path / "home")
    async with public_chain(tmp_path / "chain", block_s=BLOCK_S) as anvil, contextlib.AsyncExitStack() as stack:
        deployed = await asyncio.to_thread(
            depin,
            *("network", "deploy", "--rpc", anvil.url, "--ws", anvil.url.replace("http", "ws")),
            *("--key-file", str(key_file), "--out", str(profile), "--name", "Test Commons"),
            *("--hub", network.hub_urls[0], "--period", "3600", "--window", "600", "--confirmations", "1", "--json"),
            *("--tokens-per-coin", "100", "--relayer", "https://relay.example/", "--relayer-address", CUSTOMER.address),
        )
        assert json.loads(deployed)["chain_id"] == CHAIN_ID
        founded = Network.load(profile)
        assert founded.fee_in_token(10**18) == 100 * TOKEN
        assert founded.relayer == RelayerProfile(
            url="https://relay.example", operator=CUSTOMER.address, payout=CUSTOMER.address
        )
        added = await asyncio.to_thread(depin_json, "network", "add", str(profile), home=home.root)
        assert (added["name"], added["chain_id"], added["in_use"]) == ("test-commons", CHAIN_ID, True)
        findings = await asyncio.to_thread(depin_json, "network", "check", home=home.root)
        assert {one["subject"]: one["ok"] for one in findings if one["ok"] is not True} == {}
        assert {"node", "head", "fees", "logs", "heads", "token", "deals", "terms", "hub"} <= {
            one["subject"] for one in findings
        }

        # Nobody gives anything away here: the home says what it lacks, gets it, and registers.
        asked = await initialise(home, home.network, PASSWORD, cost=Cost(n=16))
        assert not asked.registered
        assert asked.to_do
        chain = await Chain.connect(Network.load(profile))
        stack.push_async_callback(chain.close)
        founder = await stack.enter_async_context(sending(chain, FOUNDER, tmp_path))
        owner, operator = Vault.load(home.vault).owner, hotkeys.operator(home)
        stake, gas = chain.network.min_stake, 10**18
        await founder.send_many(
            [
                chain.token.transfer(owner, stake),
                chain.token.transfer(CUSTOMER.address, 1000 * TOKEN),
                Call(owner, b"", "gas", gas),
                Call(operator.address, b"", "gas", gas),
            ],
            purpose="a beginning",
        )
        assert (await initialise(home, home.network, PASSWORD, cost=Cost(n=16))).registered
        provider = await chain.registry.provider(owner)
        assert (provider.stake, provider.operator) == (stake, operator.address)

        # A customer without any dealings before buys, the provider claims, and is paid.
        seller: Any = type("Owner", (), {"address": owner})
        shop = await stack.enter_async_context(shop_of(chain.network, tmp_path, operator, seller))
        buyer = await stack.enter_async_context(customer_of(chain.network, tmp_path, CUSTOMER))
        for _ in range(3):
            assert (await buyer.buy(shop, PRICE)).status == 200
        (channel,) = shop.paywall.store.channels.values()
        assert (await chain.settlement.channels(channel.id)).balance == channel.balance
        assert await shop.paywall.claim() == 3 * PRICE
        assert await shop.paywall.settle() == 3 * PRICE
        assert await chain.token.balance_of(owner) == 3 * PRICE
        # The clock is the chain's own, and there were blocks without any transaction.
        head = await chain.block()
        assert head.number > 8
        assert (await chain.block(head.number - 1)).time <= head.time - BLOCK_S


async def test_an_interrupted_founding_goes_on_and_deploys_nothing_twice(tmp_path: Path) -> None:
    async def spent(anvil: Anvil) -> int:
        return int(await anvil.ask("eth_getTransactionCount", FOUNDER.address, "latest"), 16)

    async with public_chain(tmp_path / "whole") as anvil:
        await found(anvil.url, FOUNDER, terms(anvil), tmp_path / "whole.json")
        needed = await spent(anvil)
        assert needed >= 4

    async with public_chain(tmp_path / "broken") as anvil:
        profile = tmp_path / "broken.json"
        for mined in range(needed):
            await anvil.ask("evm_setAutomine", False)
            founding = asyncio.create_task(found(anvil.url, FOUNDER, terms(anvil), profile))
            async with asyncio.timeout(20):
                while True:
                    if int((await anvil.ask("txpool_status"))["pending"], 16):
                        break
                    await asyncio.sleep(0.01)  # another program's pool tells nobody
            founding.cancel()
            await asyncio.gather(founding, return_exceptions=True)
            assert not profile.exists()
            await anvil.ask("evm_mine")
            assert await spent(anvil) == mined + 1
        await anvil.ask("evm_setAutomine", True)
        made = await found(anvil.url, FOUNDER, terms(anvil), profile)
        assert await spent(anvil) == needed
        assert made == await found(anvil.url, FOUNDER, terms(anvil), profile) == Network.load(profile)
        assert all(one.ok is not False for one in await check(made)), await check(made)

        with pytest.raises(UserFacingError) as told:
            await found(anvil.url, FOUNDER, terms(anvil, min_stake=1), profile)
        assert told.value.code == "terms-differ"


async def test_a_chain_without_x402_costs_nothing_and_is_told_so(tmp_path: Path) -> None:
    async with public_chain(tmp_path / "chain") as anvil:
        await anvil.ask("anvil_setCode", SETTLEMENT, "0x")
        before = await anvil.ask("eth_getBalance", FOUNDER.address, "latest")
        with pytest.raises(UserFacingError) as told:
            await found(anvil.url, FOUNDER, terms(anvil), tmp_path / "network.json")
        assert told.value.code == "no-settlement"
        assert await anvil.ask("eth_getBalance", FOUNDER.address, "latest") == before


async def test_a_profile_that_does_not_fit_its_chain_fails_the_check(tmp_path: Path) -> None:
    async with public_chain(tmp_path / "chain") as anvil:
        made = await found(anvil.url, FOUNDER, terms(anvil), tmp_path / "network.json")

        async def failing(**changes: Any) -> dict[str, str]:
            findings = await check(made.model_copy(update=changes))
            return {one.subject: one.detail for one in findings if one.ok is False}

        assert await failing() == {}
        assert "is chain 1." in (await failing(chain_id=1))["node"]
        assert "period is 3600, not 60" in (await failing(period_s=60))["terms"]
        swapped = made.addresses.model_copy(update={"registry": made.addresses.token})
        assert "another contract" in (await failing(addresses=swapped))["registry"]
        nobody = made.addresses.model_copy(update={"token": CUSTOMER.address})
        assert "no contract" in (await failing(addresses=nobody))["token"]
        assert "far behind" in (await failing(start_block=10**6))["head"]
        await anvil.kill()
        assert set(await failing(rpc_url=anvil.url)) == {"node"}


def test_the_command_line_refuses_in_sentences(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with pytest.raises(CommandFailed, match="has no network"):
        depin("network", "check", home=home)
    with pytest.raises(CommandFailed, match="must come over https"):
        depin("network", "add", "http://network.example/n.json", home=home)
    with pytest.raises(CommandFailed, match="knows no network called moon"):
        depin("network", "use", "moon", home=home)
    deploy = ("network", "deploy", "--rpc", "http://u:p@127.0.0.1:9", "--out", str(tmp_path / "n.json"), "--name", "n")
    with pytest.raises(CommandFailed, match="There is no file"):
        depin(*deploy, "--hub", "nats://h:1", "--key-file", str(tmp_path / "none"), home=home)
    (tmp_path / "key").write_text("7" * 64)
    with pytest.raises(CommandFailed, match="password"):
        depin(*deploy, "--hub", "nats://h:1", "--key-file", str(tmp_path / "key"), home=home)
    assert networks.known(Home(home)) == ()


async def test_a_home_that_keeps_pieces_for_customers_does_not_leave_them_unasked(tmp_path: Path) -> None:
    async with public_chain(tmp_path / "chain") as anvil:
        first = await found(anvil.url, FOUNDER, terms(anvil), tmp_path / "first.json")
    home = Home(tmp_path / "home")
    networks.add(home, first)
    networks.add(home, first.model_copy(update={"name": "Second", "chain_id": 2}))
    database = Database(home.engine_database)
    await database.open()
    store = PieceStore(database)
    await store.open()
    await store.save_folder(FolderConfig("f", str(tmp_path), 10**9, 0))
    await store.adopt([Piece("00" * 32, "f", 256, 1, PieceState.HELD, 0.0)], until=2**40)
    await database.close()
    with pytest.raises(CommandFailed, match="keeps 1 piece for customers on test-commons"):
        await asyncio.to_thread(depin, "network", "use", "second", home=home.root)
    chosen = await asyncio.to_thread(depin_json, "network", "use", "second", "--leave", home=home.root)
    assert chosen["in_use"]
    listed = await asyncio.to_thread(depin_json, "network", "list", home=home.root)
    assert [(one["name"], one["in_use"]) for one in listed] == [("test-commons", False), ("second", True)]
    await asyncio.to_thread(depin, "network", "use", "test-commons", home=home.root)  # nothing is kept on the second

"""A provider without gas is paid: a relayer sends its claims, for a fee that is capped before and shown afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from eth_account import Account

from depin_desktop.chain import typed_data
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.core.errors import UserFacingError
from depin_desktop.payments import relay_wire
from depin_desktop.payments.claims import RETRY_RELAY_S
from depin_desktop.payments.relay import Relay
from depin_desktop.payments.relayer import Relayer

from .payment_shop import Customer, Shop, customer_of, open_shop, shop_of

COIN = 10**18


@dataclass
class Scene:
    """A provider that has earned and has no gas left, its spending budget, and a relayer."""

    provider: Shop
    budget: Customer
    relayer: Shop
    url: str

    def relay(self, share: Fraction) -> Relay:
        return Relay(
            self.provider.chain.network,
            self.provider.operator,
            self.budget.payer,
            self.budget.session,
            self.relayer.offer,
            self.url,
            max_share=share,
        )


@pytest.fixture
async def scene(network: Network, tmp_path: Path, fund, new_account) -> AsyncIterator[Scene]:
    network = network.model_copy(update={"tokens_per_coin": COIN})
    operator, owner = Account.create(), Account.create()
    await fund(operator.address, tokens=0, gas=10**16)
    async with (
        open_shop(network, tmp_path / "relayer", fund) as relayer,
        shop_of(network, tmp_path / "provider", operator, owner) as provider,
        customer_of(network, tmp_path / "budget", await new_account(gas=0)) as budget,
        customer_of(network, tmp_path / "customer", await new_account(gas=0)) as customer,
    ):
        for price in (COIN, 2 * COIN):
            assert (await customer.buy(provider, price)).status == 200
        await provider.chain.rpc.request("anvil_setBalance", operator.address, "0x0")
        app = web.Application()
        app.add_routes(Relayer(relayer.chain, relayer.sender, relayer.paywall).routes())
        server = TestServer(app)
        await server.start_server()
        try:
            yield Scene(provider, budget, relayer, str(server.make_url("")).rstrip("/"))
        finally:
            await server.close()


async def test_a_provider_without_gas_is_paid_and_the_fee_is_what_the_gas_cost(scene: Scene, chain: Chain) -> None:
    provider, owner = scene.provider, scene.provider.owner.address
    with pytest.raises(UserFacingError) as broke:
        await provider.paywall.maintain()
    assert broke.value.code == "no-gas"
    provider.paywall.claimer.relay = scene.relay(Fraction(1, 20))
    assert await provider.paywall.maintain() == "cheap"
    assert await chain.token.balance_of(owner) == 3 * COIN
    assert provider.paywall.pending() == 0
    fee = scene.relayer.paywall.pending()
    assert 0 < fee <= 3 * COIN // 20
    assert await scene.relayer.paywall.claim() == await scene.relayer.paywall.settle() == fee
    assert await chain.token.balance_of(scene.relayer.owner.address) == fee


async def test_a_fee_above_the_cap_is_not_paid_and_nothing_is_claimed(scene: Scene, chain: Chain) -> None:
    scene.provider.paywall.claimer.relay = scene.relay(Fraction(1, 10**9))
    with pytest.raises(UserFacingError) as dear:
        await scene.provider.paywall.maintain()
    assert dear.value.code == "price-changed"
    assert scene.relayer.paywall.pending() == 0
    assert await chain.token.balance_of(scene.provider.owner.address) == 0


async def test_a_relayer_that_takes_its_fee_and_sends_nothing_is_paid_once_and_believed_in_nothing(
    scene: Scene, chain: Chain
) -> None:
    async def lie(request: web.Request) -> web.Response:
        async with await scene.relayer.paywall.hold(request, COIN // 100, "relay") as hold:
            payment = await hold.charge(COIN // 100)
        answer = relay_wire.RelayAnswer(transaction=bytes(31) + b"\1")
        return web.json_response(text=answer.model_dump_json(by_alias=True), headers=payment.headers)

    app = web.Application()
    app.add_routes([web.post(relay_wire.PATH, lie)])
    async with TestServer(app) as server:
        scene.url = str(server.make_url("")).rstrip("/")
        provider, now = scene.provider.paywall, 1_000_000.0
        provider.claimer._clock = lambda: now
        provider.claimer.relay = scene.relay(Fraction(1, 20))
        for code in ("relay-failed", "no-gas", "no-gas"):
            with pytest.raises(UserFacingError) as refused:
                await provider.maintain()
            assert refused.value.code == code
        assert provider.pending() == 3 * COIN
        assert scene.relayer.paywall.pending() == COIN // 100
        now += RETRY_RELAY_S  # whoever mends its ways is asked again
        with pytest.raises(UserFacingError) as refused:
            await provider.maintain()
        assert refused.value.code == "relay-failed"


async def test_one_voucher_that_the_chain_refuses_does_not_keep_the_others_from_the_relayer(
    scene: Scene, chain: Chain
) -> None:
    provider = scene.provider.paywall
    (good,) = provider.store.channels.values()
    bad = type(good)(
        **{**good.__dict__, "id": bytes(32), "config": good.config.model_copy(update={"salt": b"\7" * 32})}
    )
    provider.store.channels[bad.id] = bad  # as if a fault on our own disk had made it
    provider.claimer.relay = scene.relay(Fraction(1, 20))
    assert await provider.claimer.maintain() == "cheap"
    assert await chain.token.balance_of(scene.provider.owner.address) == 3 * COIN


async def test_a_batch_that_arrives_in_pieces_is_read_to_its_end_and_one_that_never_ends_is_not(scene: Scene) -> None:
    claims = tuple(relay_wire.RelayedClaim.of(one) for one in scene.provider.paywall.store.channels.values())
    signature = typed_data.sign_claim_batch(
        scene.provider.operator, scene.provider.chain.network, [claim.for_chain() for claim in claims]
    )
    body = relay_wire.RelayRequest(claims=claims, signature=signature).model_dump_json(by_alias=True).encode()

    async def in_pieces(padding: int) -> AsyncIterator[bytes]:
        yield body[:100]
        await asyncio.sleep(0)
        yield body[100:] + b" " * padding

    async with aiohttp.ClientSession() as session:
        for padding, status in ((0, 402), (10_000_000, 413)):
            headers = {"Content-Length": str(len(body) + padding)}
            url = scene.url + relay_wire.PATH
            async with session.post(url, data=in_pieces(padding), headers=headers) as response:
                assert response.status == status


async def test_a_batch_that_its_provider_did_not_sign_is_not_sent(scene: Scene) -> None:
    relay = Relay(
        scene.provider.chain.network,
        Account.create(),
        scene.budget.payer,
        scene.budget.session,
        scene.relayer.offer,
        scene.url,
    )
    with pytest.raises(UserFacingError) as refused:
        await relay.claim(list(scene.provider.paywall.store.channels.values()))
    assert refused.value.code == "relay-failed"
    assert scene.relayer.paywall.pending() == 0

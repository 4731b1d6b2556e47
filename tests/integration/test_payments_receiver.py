"""A provider is paid to another address from now on: what began before ends as it was agreed, nothing new begins so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from eth_account import Account

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.payments import headers as wire
from depin_desktop.payments.headers import REFUND_PATH
from depin_desktop.payments.payer import PaymentFailed
from depin_desktop.payments.refusals import Refusal

from .payment_shop import Customer, Shop, customer_of, open_shop


@pytest.fixture
async def shop(network: Network, tmp_path: Path, fund) -> AsyncIterator[Shop]:
    async with open_shop(network, tmp_path, fund) as opened:
        yield opened


@pytest.fixture
async def customer(network: Network, tmp_path: Path, new_account) -> AsyncIterator[Customer]:
    async with customer_of(network, tmp_path, await new_account(gas=0)) as opened:
        yield opened


def moves(shop: Shop) -> str:
    """The shop is paid to a new address, and its offer says so."""
    shop.payout = Account.create().address
    shop.paywall.pay_to(shop.payout)
    return shop.payout


async def test_what_is_bought_afterwards_is_paid_to_the_new_address_and_what_was_owed_to_the_old(
    shop: Shop, customer: Customer, chain: Chain
) -> None:
    await customer.buy(shop, 100)
    await customer.use(shop, 100, 60)
    new = moves(shop)
    await customer.buy(shop, 7)
    assert await customer.use(shop, 100, 5) == 5
    assert shop.paywall.pending() == 172
    await shop.paywall.claimer.collect()
    assert await chain.token.balance_of(shop.owner.address) == 160
    assert await chain.token.balance_of(new) == 12

    shop.payout = shop.owner.address  # and back: the channels from before are used again
    shop.paywall.pay_to(shop.payout)
    deposited = await customer.payer.store.deposited()
    await customer.buy(shop, 3)
    assert await customer.payer.store.deposited() == deposited
    await shop.paywall.claimer.collect()
    assert await chain.token.balance_of(shop.owner.address) == 163


async def test_a_customer_who_knows_only_the_old_offer_pays_nobody(shop: Shop, customer: Customer) -> None:
    await customer.buy(shop, 100)
    old = shop.offer
    moves(shop)
    with pytest.raises(PaymentFailed) as refused:
        await customer.payer.request(customer.session, "GET", f"{shop.url}5", old)
    assert refused.value.code == "payment-redirected"
    assert shop.served == [100]


async def test_work_under_way_is_paid_to_its_end_as_it_began(shop: Shop, customer: Customer, chain: Chain) -> None:
    shop.go_on.clear()
    response = await customer.ask(shop, "work/100/250?stream")
    new = moves(shop)
    await customer.payer.extend(customer.session, f"{shop.base}pay/200", response, 200)
    shop.go_on.set()
    text = await response.text()
    receipt = next(line[6:] for line in text.splitlines() if line.startswith("data: ey"))
    assert await customer.payer.settled(response, receipt) == 250
    await shop.paywall.claimer.collect()
    assert await chain.token.balance_of(shop.owner.address) == 250
    assert await chain.token.balance_of(new) == 0


async def test_only_the_channel_that_is_being_worked_on_may_go_on(shop: Shop, customer: Customer) -> None:
    await customer.buy(shop, 100)
    held = shop.sent[-1]
    shop.go_on.clear()
    response = await customer.ask(shop, "work/100/50?stream")
    moves(shop)
    for path, method in (("pay/100", "POST"), ("goods/100", "GET")):
        async with customer.session.request(method, shop.base + path, headers={wire.PAYMENT_SIGNATURE: held}) as answer:
            assert answer.status == 402
            assert (await answer.json())["error"] == Refusal.RECEIVER
    shop.go_on.set()
    await response.read()


async def test_the_rest_of_a_deposit_for_the_old_address_comes_back(
    shop: Shop, customer: Customer, chain: Chain
) -> None:
    before = await chain.token.balance_of(customer.account.address)
    await customer.buy(shop, 100)
    new = moves(shop)
    async with aiohttp.ClientSession() as session:
        returned = await customer.payer.reclaim(session, shop.base.rstrip("/") + REFUND_PATH, shop.offer)
    assert returned > 0
    assert await chain.token.balance_of(customer.account.address) == before - 100
    assert await shop.paywall.settle() == 100
    assert await chain.token.balance_of(shop.owner.address) == 100
    assert await chain.token.balance_of(new) == 0

"""Work whose price is known only at its end: a ceiling is signed, what was used is charged, and channels are pooled."""

from __future__ import annotations

import asyncio
import gc
import random
from pathlib import Path

import aiohttp
import pytest

from depin_desktop.chain.network import Network
from depin_desktop.core.errors import UserFacingError
from depin_desktop.payments import headers as wire
from depin_desktop.payments.payer import Budget, PaymentFailed
from depin_desktop.payments.refusals import Refusal

from .payment_shop import Customer, Shop, customer_of, open_shop


@pytest.fixture
async def shop(network: Network, tmp_path: Path, fund):  # type: ignore[no-untyped-def]
    async with open_shop(network, tmp_path, fund) as opened:
        yield opened


@pytest.fixture
async def customer(network: Network, tmp_path: Path, new_account):  # type: ignore[no-untyped-def]
    async with customer_of(network, tmp_path, await new_account(gas=0)) as opened:
        yield opened


async def receipt_of(response: aiohttp.ClientResponse) -> str:
    """The receipt that ends a stream."""
    lines = (await response.text()).splitlines()
    return lines[lines.index("event: x402.payment-response") + 1].removeprefix("data: ")


async def test_what_was_used_is_charged_and_the_rest_of_the_ceiling_is_used_again(
    shop: Shop, customer: Customer, new_account
) -> None:
    dice = random.Random(11)
    used = [dice.randrange(0, 1001) for _ in range(30)]
    for each in used:
        assert await customer.use(shop, 1000, each) == each
    (channel,) = shop.paywall.store.channels.values()
    assert channel.book.charged == sum(used)
    assert channel.book.signed <= sum(used) + 1000  # no gaps: the money of unused ceilings is not lost to the channel
    assert [gap for gap in channel.book.gaps if gap[0] < channel.book.charged] == []
    assert await shop.paywall.claim() == await shop.paywall.settle() == sum(used)


async def test_a_known_ceiling_takes_one_round_trip_and_may_exceed_what_is_asked(
    shop: Shop, customer: Customer
) -> None:
    for each in (10, 20, 30):
        assert await customer.use(shop, 100, each, price=150) == each
    assert len(shop.sent) == 4  # the terms once, then each request alone
    with pytest.raises(PaymentFailed) as refused:
        await customer.use(shop, 200, 1, price=150)
    assert refused.value.code == "price-changed"
    assert await customer.use(shop, 100, 40, price=150) == 40
    assert shop.paywall.pending() == 100


async def test_requests_in_flight_have_a_channel_each_and_the_next_ones_use_them_again(
    shop: Shop, customer: Customer
) -> None:
    async def wave() -> None:
        shop.go_on.clear()
        responses = await asyncio.gather(*(customer.ask(shop, "work/100/60?stream") for _ in range(6)))
        shop.go_on.set()
        for response in responses:
            assert await customer.payer.settled(response, await receipt_of(response)) == 60

    await wave()
    assert len(shop.paywall.store.channels) == 6
    deposited = await customer.payer.store.deposited()
    await wave()
    await customer.buy(shop, 7)  # what has a fixed price keeps to a channel of its own
    assert [channel.book.charged for channel in shop.paywall.store.channels.values()] == [120] * 6 + [7]
    assert await customer.payer.store.deposited() == deposited + 7 * 16
    assert await shop.paywall.claim() == 727


async def test_a_later_process_goes_on_with_the_pool_that_an_earlier_one_left(
    network: Network, tmp_path: Path, shop: Shop, new_account
) -> None:
    account = await new_account(gas=0)
    for each in (30, 40):
        async with customer_of(network, tmp_path, account) as customer:
            assert await customer.use(shop, 100, each) == each
    (channel,) = shop.paywall.store.channels.values()
    assert channel.book.charged == 70
    assert channel.book.gaps == ((70, 130),)


async def test_a_busy_channel_takes_nothing_else_until_its_work_has_ended(shop: Shop, customer: Customer) -> None:
    await customer.use(shop, 100, 50)
    response = await customer.ask(shop, "work/100/100?stream")
    for path in ("work/100/100", "goods/100"):
        same = {wire.PAYMENT_SIGNATURE: shop.sent[-1]}
        async with customer.session.get(f"{shop.base}{path}", headers=same) as refused:
            assert refused.status == 402
            assert (await refused.json())["code"] == Refusal.BUSY
    assert await customer.use(shop, 100, 5) == 5  # our customer takes another channel
    shop.go_on.set()
    assert await customer.payer.settled(response, await receipt_of(response)) == 100
    assert shop.paywall.pending() == 155


async def test_work_that_fails_costs_nothing(shop: Shop, customer: Customer) -> None:
    response = await customer.ask(shop, "work/100/100?fail")
    assert response.status == 500
    assert await customer.payer.settled(response) == 0
    assert shop.paywall.pending() == 0
    assert await customer.use(shop, 100, 100) == 100
    (channel,) = shop.paywall.store.channels.values()
    assert channel.book.signed == 100


async def test_a_running_answer_is_topped_up_and_charged_across_its_vouchers(shop: Shop, customer: Customer) -> None:
    response = await customer.ask(shop, "work/100/1000?stream", price=130)
    for more in (100, 2000):  # the second needs a deposit of its own, which comes along
        await customer.payer.extend(customer.session, f"{shop.base}pay/{more}", response, more)
    shop.drop_answers = 1
    await customer.payer.extend(customer.session, f"{shop.base}pay/5", response, 5)  # the lost answer is asked again
    (hold,) = shop.holds
    assert hold.ceiling == 100 + 100 + 2000 + 5
    shop.go_on.set()
    assert await customer.payer.settled(response, await receipt_of(response)) == 1000
    assert await customer.use(shop, 100, 30) == 30
    (channel,) = shop.paywall.store.channels.values()
    assert channel.book.charged == 1030
    assert await shop.paywall.claim() == await shop.paywall.settle() == 1030


async def test_who_does_not_pay_on_gets_no_more_than_the_ceiling(
    network: Network, tmp_path: Path, shop: Shop, new_account
) -> None:
    async with customer_of(network, tmp_path, await new_account(gas=0), Budget(limit=1700)) as customer:
        response = await customer.ask(shop, "work/100/5000?stream")
        with pytest.raises(PaymentFailed) as refused:
            await customer.payer.extend(customer.session, f"{shop.base}pay/4000", response, 4000)
        assert refused.value.code == "budget-exhausted"
        with pytest.raises(PaymentFailed) as refused:  # less than the provider asks for
            await customer.payer.extend(customer.session, f"{shop.base}pay/100", response, 50)
        assert refused.value.code == Refusal.TOTAL
        async with customer.session.post(f"{shop.base}pay/100") as unpaid:
            assert unpaid.status == 402
        foreign = await customer.ask(shop, "work/10/1")
        header = {wire.PAYMENT_SIGNATURE: shop.sent[-1]}
        shop.holds.pop()
        async with customer.session.post(f"{shop.base}pay/10", headers=header) as other:
            assert (await other.json())["code"] == Refusal.CHANNEL_ID
        await customer.payer.settled(foreign)
        shop.go_on.set()
        assert await customer.payer.settled(response, await receipt_of(response)) == 100
        with pytest.raises(PaymentFailed):
            await customer.payer.extend(customer.session, f"{shop.base}pay/1", response, 1)


async def test_a_lost_answer_is_not_repeated_and_both_sides_go_on_from_the_providers_count(
    shop: Shop, customer: Customer
) -> None:
    await customer.use(shop, 100, 10)
    shop.drop_answers = 1
    with pytest.raises(aiohttp.ClientConnectionError):
        await customer.use(shop, 100, 20)
    assert len(shop.holds) == 2
    assert await customer.use(shop, 100, 30) == 30
    shop.go_on.set()
    response = await customer.ask(shop, "work/100/40?stream")
    await response.read()
    assert await customer.payer.settled(response) is None  # the receipt was thrown away
    assert await customer.use(shop, 100, 50, price=300) == 50
    (channel,) = shop.paywall.store.channels.values()
    assert channel.book.charged == 150
    assert await customer.payer.store.deposited() == 1600  # no deposit was needed to find that out


async def test_a_customer_who_lost_its_files_goes_on_from_the_providers_count(
    network: Network, tmp_path: Path, shop: Shop, new_account
) -> None:
    account = await new_account(gas=0)
    for folder, each in (("before", 30), ("after", 40)):
        async with customer_of(network, tmp_path / folder, account) as customer:
            assert await customer.use(shop, 100, each) == each
    (channel,) = shop.paywall.store.channels.values()
    assert channel.book.charged == 70


async def test_a_crash_of_the_customer_strands_no_money_that_a_refund_does_not_return(
    network: Network, tmp_path: Path, shop: Shop, new_account
) -> None:
    account = await new_account(gas=0)
    async with customer_of(network, tmp_path, account) as customer:
        await customer.use(shop, 100, 30)
        await customer.payer.store.release()  # as if the process had died: nothing is written at its end
        customer.payer._pools.clear()
    async with customer_of(network, tmp_path, account) as customer:
        assert await customer.use(shop, 100, 40) == 40
        shop.drop_answers = 1
        with pytest.raises(aiohttp.ClientConnectionError):
            await customer.use(shop, 100, 20)
        assert await customer.use(shop, 100, 50) == 50
    (channel,) = shop.paywall.store.channels.values()
    assert channel.book.charged == 140
    assert await shop.paywall.claim() == 140


async def test_a_hold_that_nobody_ends_is_given_up(network: Network, tmp_path: Path, fund, new_account) -> None:
    now = 1_000_000.0
    async with (
        open_shop(network, tmp_path, fund, clock=lambda: now, hold_timeout_s=60) as shop,
        customer_of(network, tmp_path, await new_account(gas=0)) as customer,
    ):
        response = await customer.ask(shop, "work/100/100?stream")
        (stuck,) = shop.holds
        now += 59
        await customer.payer.settled(response)
        assert await customer.use(shop, 100, 1) == 1
        assert len(shop.paywall.store.channels) == 2  # the first was busy still
        now += 1
        same = {wire.PAYMENT_SIGNATURE: shop.sent[1]}
        async with customer.session.get(f"{shop.base}work/100/2", headers=same) as free:
            assert free.status == 200
        with pytest.raises(UserFacingError) as ended:
            await stuck.charge(100)
        assert ended.value.code == "hold-ended"
        assert shop.paywall.pending() == 3


async def test_a_hold_ends_once_and_never_above_its_ceiling(shop: Shop, customer: Customer) -> None:
    await customer.ask(shop, "work/100/1?stream")
    (hold,) = shop.holds
    for wrong in (-1, 101):
        with pytest.raises(ValueError, match="ceiling"):
            await hold.charge(wrong)
    first, second = await asyncio.gather(hold.charge(60), hold.charge(60), return_exceptions=True)
    assert not isinstance(first, BaseException)
    assert isinstance(second, UserFacingError)
    await hold.cancel()
    assert shop.paywall.pending() == 60


async def test_work_under_way_counts_against_the_cap(network: Network, tmp_path: Path, fund, new_account) -> None:
    async with (
        open_shop(network, tmp_path, fund, exposure_cap=250) as shop,
        customer_of(network, tmp_path, await new_account(gas=0)) as customer,
    ):
        responses = [await customer.ask(shop, "work/100/100?stream") for _ in range(2)]
        with pytest.raises(PaymentFailed) as refused:
            await customer.ask(shop, "work/100/100?stream")
        assert refused.value.code == Refusal.EXPOSURE
        shop.go_on.set()
        for response in responses:
            await customer.payer.settled(response, await receipt_of(response))
        assert await customer.use(shop, 100, 100) == 100  # a claim came first


async def test_an_answer_that_is_dropped_unsettled_frees_its_channel(shop: Shop, customer: Customer) -> None:
    response = await customer.ask(shop, "work/100/20")
    await response.read()
    del response
    gc.collect()
    await asyncio.sleep(0)
    assert await customer.use(shop, 100, 30) == 30
    (channel,) = shop.paywall.store.channels.values()
    assert channel.book.charged == 50


async def test_a_voucher_asks_the_chain_nothing(shop: Shop, customer: Customer, monkeypatch) -> None:
    await customer.use(shop, 100, 10)
    await customer.buy(shop, 10)
    asked: list[object] = []
    for chain in (shop.chain, customer.chain):
        for name in ("request", "batch"):
            monkeypatch.setattr(chain.rpc, name, lambda *arguments: asked.append(arguments))
    for _ in range(5):
        assert await customer.use(shop, 100, 50) == 50
        assert (await customer.buy(shop, 10)).status == 200
    assert asked == []

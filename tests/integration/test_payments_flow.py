"""A customer pays per request and the provider is paid what was charged, to the base unit."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.payments import headers as wire
from depin_desktop.payments.payer import Budget, PaymentFailed, TopUp
from depin_desktop.payments.payer_store import LEASE_S

from .payment_shop import customer_of, open_shop, shop_of

ETHER = 10**18


async def test_fifty_requests_then_claim_and_settle_pay_exactly_what_was_charged(
    network: Network, chain: Chain, tmp_path: Path, fund, new_account
) -> None:
    account = await new_account(gas=0)
    async with open_shop(network, tmp_path, fund) as shop, customer_of(network, tmp_path, account) as customer:
        prices = [random.Random(3).randrange(1, ETHER) for _ in range(50)]
        charged: list[tuple[str, int, str]] = []
        shop.paywall.on_paid = lambda *paid: charged.append(paid)
        before = await chain.token.balance_of(account.address)
        for price in prices:
            response = await customer.buy(shop, price)
            assert response.status == 200
            receipt = wire.decode_response(response.headers[wire.PAYMENT_RESPONSE])
            assert receipt.extra is not None
            assert receipt.extra.charged_amount == price

        assert charged == [(account.address, price, "reads") for price in prices]
        assert shop.paywall.pending() == sum(prices)
        assert sum(taking.amount for taking in await shop.paywall.takings()) == sum(prices)
        assert await shop.paywall.claim() == sum(prices)
        assert shop.paywall.pending() == 0
        assert await shop.paywall.settle() == sum(prices)
        assert await chain.token.balance_of(shop.owner.address) == sum(prices)
        assert await shop.paywall.claim() == 0
        assert await shop.paywall.settle() == 0

        deposited = before - await chain.token.balance_of(account.address)
        assert await customer.payer.reclaim(customer.session, f"{shop.url}1", shop.offer) == deposited - sum(prices)
        assert await chain.token.balance_of(account.address) == before - sum(prices)
        assert await chain.gas_balance(account.address) == 0


async def test_a_known_price_takes_one_round_trip_once_the_channel_is_open(
    network: Network, tmp_path: Path, fund, new_account
) -> None:
    account = await new_account(gas=0)
    async with open_shop(network, tmp_path, fund) as shop:
        async with customer_of(network, tmp_path, account) as customer:
            await customer.buy(shop, 10, price=10)
            assert len(shop.sent) == 2  # the terms, then the deposit
            for _ in range(5):
                await customer.buy(shop, 10, price=10)
            assert len(shop.sent) == 7
        async with customer_of(network, tmp_path, account) as customer:  # a new process of the same customer
            await customer.buy(shop, 10, price=10)
            assert len(shop.sent) == 8


async def test_requests_in_flight_together_on_one_channel_are_each_charged_once(
    network: Network, tmp_path: Path, fund, new_account
) -> None:
    account = await new_account(gas=0)
    async with open_shop(network, tmp_path, fund) as shop, customer_of(network, tmp_path, account) as customer:
        prices = [random.Random(5).randrange(1, 1000) for _ in range(60)]
        responses = await asyncio.gather(*(customer.buy(shop, price) for price in prices))
        assert {response.status for response in responses} == {200}
        (channel,) = shop.paywall.store.channels.values()
        assert channel.book.charged == sum(prices) == channel.book.signed
        assert await shop.paywall.claim() == sum(prices)


async def test_two_processes_never_share_a_channel(network: Network, tmp_path: Path, fund, new_account) -> None:
    account = await new_account(gas=0)
    async with (
        open_shop(network, tmp_path, fund) as shop,
        customer_of(network, tmp_path, account) as first,
        customer_of(network, tmp_path, account) as second,
    ):
        await asyncio.gather(*(customer.buy(shop, 100) for customer in (first, second) for _ in range(10)))
        books = [channel.book for channel in shop.paywall.store.channels.values()]
        assert [book.charged for book in books] == [1000, 1000]


async def test_a_process_that_slept_through_its_lease_takes_another_channel(
    network: Network, tmp_path: Path, fund, new_account
) -> None:
    account, now = await new_account(gas=0), 1_000_000.0
    async with (
        open_shop(network, tmp_path, fund) as shop,
        customer_of(network, tmp_path, account, clock=lambda: now) as sleeper,
        customer_of(network, tmp_path, account, clock=lambda: now + 2 * LEASE_S) as other,
    ):
        await sleeper.buy(shop, 100)
        await other.buy(shop, 100)  # the sleeper's lease has ended: its channel is free to be used
        assert [channel.book.charged for channel in shop.paywall.store.channels.values()] == [200]
        await sleeper.buy(shop, 100)
        await other.buy(shop, 100)
        assert sorted(channel.book.charged for channel in shop.paywall.store.channels.values()) == [100, 300]
        assert shop.paywall.pending() == 400


async def test_a_lost_answer_is_asked_for_again_and_paid_once(
    network: Network, tmp_path: Path, fund, new_account
) -> None:
    account = await new_account(gas=0)
    async with open_shop(network, tmp_path, fund) as shop, customer_of(network, tmp_path, account) as customer:
        await customer.buy(shop, 5)
        shop.drop_answers = 1
        assert (await customer.buy(shop, 7)).status == 200
        (channel,) = shop.paywall.store.channels.values()
        assert channel.book.charged == 12
        # Lost with the deposit that it came with: the deposit is not made twice either.
        shop.drop_answers = 1
        price = 10 * ETHER
        assert (await customer.buy(shop, price)).status == 200
        (channel,) = shop.paywall.store.channels.values()
        assert channel.book.charged == 12 + price
        assert channel.balance == await customer.payer.store.deposited()


async def test_an_answer_lost_for_good_is_not_paid_again(network: Network, tmp_path: Path, fund, new_account) -> None:
    account = await new_account(gas=0)
    async with open_shop(network, tmp_path, fund) as shop, customer_of(network, tmp_path, account) as customer:
        await customer.buy(shop, 5)
        shop.drop_answers = 9
        with pytest.raises(PaymentFailed) as lost:
            await customer.buy(shop, 7)
        assert lost.value.code == "payment-lost"
        shop.drop_answers = 0
        await customer.buy(shop, 5)
        (channel,) = shop.paywall.store.channels.values()
        assert channel.book.charged == channel.book.signed == 17


async def test_a_crash_between_voucher_and_answer_loses_and_doubles_nothing(
    network: Network, tmp_path: Path, fund, new_account
) -> None:
    account = await new_account(gas=0)
    async with customer_of(network, tmp_path, account) as customer:
        async with open_shop(network, tmp_path, fund) as shop:
            await customer.buy(shop, 100)
            signed = shop.sent[-1]
            operator, owner = shop.operator, shop.owner
            shop.drop_answers = 9  # charged, on disk, and then the provider dies with the answer
            with pytest.raises(PaymentFailed):
                await customer.buy(shop, 100)
        async with shop_of(network, tmp_path, operator, owner) as shop:
            assert shop.paywall.pending() == 200
            statuses = []
            for _ in range(3):  # our payer names its payments: a bounded number of repeats is served, none is charged
                headers = {wire.PAYMENT_SIGNATURE: signed}
                async with customer.session.get(f"{shop.url}100", headers=headers) as replay:
                    statuses.append(replay.status)
            assert statuses == [200, 200, 402]
            assert shop.paywall.pending() == 200
            assert (await customer.buy(shop, 100)).status == 200
            assert await shop.paywall.claim() == 300


async def test_a_customer_who_lost_its_files_goes_on_with_its_channel(
    network: Network, tmp_path: Path, fund, new_account
) -> None:
    account = await new_account(gas=0)
    async with open_shop(network, tmp_path, fund) as shop:
        async with customer_of(network, tmp_path / "before", account) as customer:
            for _ in range(3):
                await customer.buy(shop, 100)
        balance = await shop.chain.token.balance_of(account.address)
        async with customer_of(network, tmp_path / "after", account) as customer:
            assert (await customer.buy(shop, 100)).status == 200
        (channel,) = shop.paywall.store.channels.values()
        assert channel.book.charged == 400
        assert await shop.chain.token.balance_of(account.address) == balance  # no second deposit


async def test_a_budget_is_asked_and_never_passed(network: Network, tmp_path: Path, fund, new_account) -> None:
    account = await new_account(gas=0)
    asked: list[TopUp] = []

    async def allow(wish: TopUp) -> bool:
        asked.append(wish)
        return wish.deposited_before == 0

    async with open_shop(network, tmp_path, fund) as shop:
        async with customer_of(network, tmp_path, account, Budget(limit=2000, ask=allow)) as customer:
            await customer.buy(shop, 100)
            assert [wish.amount for wish in asked] == [1600]
            for _ in range(15):
                await customer.buy(shop, 100)
            with pytest.raises(PaymentFailed) as refused:
                await customer.buy(shop, 100)
            assert refused.value.code == "budget-refused"
            with pytest.raises(PaymentFailed) as refused:
                await customer.buy(shop, 500)
            assert refused.value.code == "budget-exhausted"
        assert await shop.chain.token.balance_of(account.address) == 10_000 * ETHER - 1600


async def test_requests_and_processes_together_stay_within_the_budget(
    network: Network, tmp_path: Path, fund, new_account
) -> None:
    account, asked = await new_account(gas=0), []

    async def allow(wish: TopUp) -> bool:
        asked.append(wish)
        await asyncio.sleep(0)  # as a person does, it lets others go on meanwhile
        return True

    budget = Budget(limit=5000, ask=allow)
    async with (
        open_shop(network, tmp_path, fund) as shop,
        customer_of(network, tmp_path, account, budget) as first,
        customer_of(network, tmp_path, account, budget) as second,
    ):
        uses = [customer.use(shop, 100, 100) for customer in (first, second) for _ in range(6)]
        outcomes = await asyncio.gather(*uses, return_exceptions=True)
        refused = [one.code for one in outcomes if isinstance(one, PaymentFailed)]
        assert set(refused) == {"budget-exhausted"}
        assert outcomes.count(100) == len(outcomes) - len(refused) == 3
        assert await first.payer.store.deposited() == 3 * 1600 <= 5000
        assert await shop.chain.token.balance_of(account.address) == 10_000 * ETHER - 3 * 1600
        assert {wish.deposited_before for wish in asked} <= {0, 1600, 3200}


async def test_no_more_than_the_agreed_price_is_paid(network: Network, tmp_path: Path, fund, new_account) -> None:
    account = await new_account(gas=0)
    async with open_shop(network, tmp_path, fund) as shop, customer_of(network, tmp_path, account) as customer:
        with pytest.raises(PaymentFailed) as refused:
            await customer.buy(shop, 101, price=100)
        assert refused.value.code == "price-changed"
        await customer.buy(shop, 100, price=100)
        with pytest.raises(PaymentFailed) as refused:
            await customer.buy(shop, 101, price=100)
        assert refused.value.code == "price-changed"
        assert shop.served == [100]
        await customer.buy(shop, 100, price=100)
        elsewhere = shop.offer.model_copy(update={"payout": account.address, "owner": account.address})
        with pytest.raises(PaymentFailed) as refused:
            await customer.payer.request(customer.session, "GET", f"{shop.url}5", elsewhere)
        assert refused.value.code == "payment-redirected"


async def test_without_funds_nothing_is_signed(network: Network, tmp_path: Path, fund, new_account) -> None:
    account = await new_account(tokens=0, gas=0)
    async with open_shop(network, tmp_path, fund) as shop, customer_of(network, tmp_path, account) as customer:
        with pytest.raises(PaymentFailed) as refused:
            await customer.buy(shop, 100)
        assert refused.value.code == "insufficient-funds"
        assert shop.sent == [""]

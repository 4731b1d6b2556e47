"""What a provider does not accept, and that nothing refused is ever charged or in the way of a claim."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from eth_account import Account

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.payments import vouchers
from depin_desktop.payments.payer import Budget, PaymentFailed
from depin_desktop.payments.refusals import Refusal
from depin_desktop.payments.store import ChannelStore

from .payment_forger import Forger
from .payment_shop import DELAY_S, Shop, customer_of, open_shop

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture
async def shop(network: Network, tmp_path: Path, fund):  # type: ignore[no-untyped-def]
    async with open_shop(network, tmp_path, fund) as opened:
        yield opened


@pytest.fixture
async def forger(shop: Shop, new_account):  # type: ignore[no-untyped-def]
    account = await new_account(gas=0)
    async with aiohttp.ClientSession() as session:
        yield Forger(shop, account, session)


async def test_totals_that_do_not_continue_the_channel_are_refused(forger: Forger, shop: Shop) -> None:
    config = await forger.open()
    first = forger.payment(config, forger.voucher(config, 100), 100)
    assert await forger.send(first, 100) == (402, Refusal.TOTAL)  # a replay
    for total in (0, 1, 50, 99, 100, 199):
        assert await forger.send(forger.payment(config, forger.voucher(config, total), 100), 100) == (
            402,
            Refusal.TOTAL,
        )
    lowered = forger.payment(config, forger.voucher(config, 110), 10)
    assert await forger.send(lowered, 100) == (402, Refusal.TOTAL)  # signed for less than it costs
    assert await forger.send(forger.payment(config, forger.voucher(config, 200), 100), 100) == (200, None)
    assert shop.paywall.pending() == 200
    assert shop.served == [100, 100]


async def test_a_channel_that_is_not_ours_to_claim_is_refused(forger: Forger) -> None:
    stranger = Account.create().address
    for changes, code in (
        ({"receiver": stranger}, Refusal.RECEIVER),
        ({"receiver_authorizer": stranger}, Refusal.AUTHORIZER),
        ({"token": stranger}, Refusal.TOKEN),
        ({"withdraw_delay": 901}, Refusal.DELAY),
    ):
        config = forger.config(**changes)
        payment = forger.payment(config, forger.voucher(config, 100), 100, await forger.deposit(config, 10_000))
        assert await forger.send(payment, 100) == (402, code)
    config, foreign = forger.config(), forger.voucher(forger.config(salt=b"\x01" * 32), 100)
    assert await forger.send(forger.payment(config, foreign, 100), 100) == (402, Refusal.CHANNEL_ID)
    voucher = forger.voucher(config, 100)
    assert await forger.send(forger.payment(config, voucher, 100, network="eip155:1"), 100) == (402, Refusal.NETWORK)
    assert await forger.send(forger.payment(config, voucher, 100, scheme="exact"), 100) == (402, Refusal.SCHEME)
    assert await forger.send(forger.payment(config, voucher, 100), 100) == (402, Refusal.CHANNEL)  # no deposit
    assert await forger.send("garbage", 100) == (402, Refusal.PAYLOAD)


async def test_signatures_that_the_chain_would_not_accept_are_refused(forger: Forger) -> None:
    config = await forger.open()
    good = forger.voucher(config, 200)
    high = ORDER - int.from_bytes(good.signature[32:64], "big")
    for signature in (
        good.signature[:64] + bytes([good.signature[64] - 27]),
        good.signature[:32] + high.to_bytes(32, "big") + bytes([55 - good.signature[64]]),
        forger.voucher(config, 100).signature,
        forger.voucher(config, 200, signer=Account.create()).signature,
        b"",
    ):
        forged = forger.payment(config, good.model_copy(update={"signature": signature}), 100)
        assert await forger.send(forged, 100) == (402, Refusal.SIGNATURE)
    assert await forger.send(forger.payment(config, good, 100), 100) == (200, None)


async def test_a_used_up_deposit_is_refused(forger: Forger) -> None:
    config = await forger.open(amount=1000)
    assert await forger.send(forger.payment(config, forger.voucher(config, 1000), 900), 900) == (200, None)
    assert await forger.send(forger.payment(config, forger.voucher(config, 1001), 1), 1) == (402, Refusal.BALANCE)


async def test_deposits_that_cannot_be_collected_are_refused_and_cost_no_gas(
    forger: Forger, shop: Shop, chain: Chain, new_account
) -> None:
    config, now = forger.config(), await chain.now()
    voucher = forger.voucher(config, 100)
    gas = await chain.gas_balance(shop.operator.address)
    good = await forger.deposit(config, 10_000)
    poor = await forger.deposit(config, 10**30)
    for deposit, code in (
        (await forger.deposit(config, 999), Refusal.DEPOSIT_SMALL),
        (await forger.deposit(config, 10_000, until=now), Refusal.DEPOSIT_EXPIRED),
        (await forger.deposit(config, 10_000, after=now + 100), Refusal.DEPOSIT_EARLY),
        (good.model_copy(update={"amount": 10_001}), Refusal.DEPOSIT_SIGNATURE),
        (poor, Refusal.DEPOSIT_FUNDS),
    ):
        assert await forger.send(forger.payment(config, voucher, 100, deposit), 100) == (402, code)
    assert await chain.gas_balance(shop.operator.address) == gas
    assert await forger.send(forger.payment(config, voucher, 100, good), 100) == (200, None)
    # The same authorisation again, with a voucher that goes on: it is not collected twice.
    again = forger.payment(config, forger.voucher(config, 200), 100, good)
    assert await forger.send(again, 100) == (200, None)
    assert (await chain.settlement.channels(voucher.channel_id)).balance == 10_000


async def test_a_payer_who_withdraws_is_refused_and_claimed_in_time(
    network: Network, tmp_path: Path, shop: Shop, chain: Chain, warp, new_account
) -> None:
    account = await new_account()
    async with customer_of(network, tmp_path, account) as customer:
        await customer.buy(shop, 1000)
        (channel,) = shop.paywall.store.channels.values()
        database = Database(tmp_path / "payer-gas.sqlite")
        await database.open()
        sender = Sender(chain, account, database)
        await sender.start()
        config = vouchers.chain_config(channel.config)
        await sender.send(chain.settlement.initiate_withdraw(config, 15_000), purpose="test")
        await shop.paywall.withdrawal_began(channel.id)
        (known,) = shop.paywall.store.channels.values()
        assert known.withdraw_at > 0
        # The customer's next request is refused on that channel and goes on with a new one.
        assert (await customer.buy(shop, 1000)).status == 200
        books = [known.book.charged for known in shop.paywall.store.channels.values()]
        assert books == [1000, 1000]
        assert await shop.paywall.maintain() == "withdrawal"
        await warp.by(DELAY_S + 1)
        await sender.send(chain.settlement.finalize_withdraw(config), purpose="test")
        assert await chain.token.balance_of(shop.owner.address) == 2000
        await sender.stop()
        await database.close()


async def test_one_bad_voucher_does_not_hold_up_the_others(
    network: Network, tmp_path: Path, shop: Shop, new_account
) -> None:
    accounts = [await new_account(gas=0) for _ in range(5)]
    for index, account in enumerate(accounts):
        async with customer_of(network, tmp_path / str(index), account) as customer:
            await customer.buy(shop, 1000 + index)
    store = shop.paywall.store
    bad = next(channel for channel in store.channels.values() if channel.config.payer == accounts[2].address)
    # As if a fault on our own disk had changed it: the paywall lets none through.
    store.channels[bad.id] = type(bad)(**{**bad.__dict__, "signature": bytes(64) + b"\x1b"})
    assert await shop.paywall.claim() == sum(1000 + index for index in (0, 1, 3, 4))
    assert await shop.paywall.settle() == 4008
    assert await shop.paywall.claim() == 0
    assert shop.paywall.pending() == 1002


async def test_more_channels_than_fit_into_one_transaction_are_claimed_in_few_and_a_bad_one_costs_no_gas(
    forger: Forger, shop: Shop, chain: Chain
) -> None:
    for number in range(45):
        config = forger.config(salt=number.to_bytes(32, "big"))
        payment = forger.payment(config, forger.voucher(config, 100), 100, await forger.deposit(config, 1000))
        assert await forger.send(payment, 100) == (200, None)
    store = shop.paywall.store
    bad = sorted(store.channels)[7]
    good = store.channels[bad]
    store.channels[bad] = type(good)(**{**good.__dict__, "signature": bytes(64) + b"\x1b"})
    used = await sent_by(chain, shop)
    assert await shop.paywall.claim() == 4400
    assert await sent_by(chain, shop) - used <= 7  # 5 of the second batch; of the first 20, 10, … down to the bad one
    failed = await store._database.rows("SELECT * FROM sender_transactions WHERE state != 'mined'")
    assert failed == []  # what the chain would refuse is found out without sending it
    assert await shop.paywall.settle() == 4400
    assert shop.paywall.pending() == 100


async def sent_by(chain: Chain, shop: Shop) -> int:
    return int(await chain.rpc.request("eth_getTransactionCount", shop.operator.address, "latest"), 16)


async def test_claims_run_together_pay_once(
    network: Network, tmp_path: Path, shop: Shop, chain: Chain, new_account
) -> None:
    async with customer_of(network, tmp_path, await new_account(gas=0)) as customer:
        await customer.buy(shop, 1000)
        claims = await asyncio.gather(*(shop.paywall.claim() for _ in range(3)))
        assert sorted(claims) == [0, 0, 1000]
        assert sorted(await asyncio.gather(*(shop.paywall.settle() for _ in range(3)))) == [0, 0, 1000]
        assert await chain.token.balance_of(shop.owner.address) == 1000


async def test_beyond_the_cap_a_claim_comes_before_the_next_answer(
    network: Network, tmp_path: Path, fund, new_account
) -> None:
    account = await new_account(gas=0)
    async with (
        open_shop(network, tmp_path, fund, exposure_cap=250) as shop,
        customer_of(network, tmp_path, account) as customer,
    ):
        for _ in range(4):
            assert (await customer.buy(shop, 100)).status == 200
            assert shop.paywall.claimer.owed_by(account.address) <= 250
        assert (
            await shop.chain.settlement.receivers(shop.owner.address, shop.chain.token.address)
        ).total_claimed == 200
        with pytest.raises(PaymentFailed) as refused:
            await customer.buy(shop, 300)
        assert refused.value.code == Refusal.EXPOSURE


async def test_requests_that_come_together_do_not_pass_the_cap_together(
    network: Network, tmp_path: Path, fund, new_account
) -> None:
    account, owed = await new_account(gas=0), []
    async with (
        open_shop(network, tmp_path, fund, exposure_cap=250) as shop,
        customer_of(network, tmp_path, account) as customer,
    ):
        await customer.buy(shop, 100)
        shop.paywall.on_paid = lambda *_: owed.append(shop.paywall.claimer.owed_by(account.address))
        outcomes = await asyncio.gather(*(customer.buy(shop, 100) for _ in range(12)), return_exceptions=True)
        assert max(owed) <= 250
        refused = [one for one in outcomes if isinstance(one, PaymentFailed)]
        assert {one.code for one in refused} <= {Refusal.EXPOSURE}
        assert shop.served == [100] * (1 + len(outcomes) - len(refused))


async def test_who_buys_little_cannot_make_the_provider_burn_gas(
    network: Network, tmp_path: Path, fund, new_account, chain: Chain
) -> None:
    price = int(await chain.rpc.request("eth_gasPrice"), 16)
    dear = network.model_copy(update={"tokens_per_coin": 10**18 // (30_000 * price) * 100})  # a deposit costs about 430
    account = await new_account(gas=0)
    async with open_shop(dear, tmp_path, fund) as shop:

        async def sent() -> int:
            return int(await chain.rpc.request("eth_getTransactionCount", shop.operator.address, "latest"), 16)

        async with customer_of(dear, tmp_path, account, Budget(limit=5000)) as thrifty:
            with pytest.raises(PaymentFailed) as refused:
                await thrifty.buy(shop, 100)
            assert refused.value.code == "budget-exhausted"
        assert await sent() == 0
        async with customer_of(dear, tmp_path, account) as customer:
            assert (await customer.buy(shop, 100)).status == 200
            (channel,) = shop.paywall.store.channels.values()
            assert channel.balance > 8000
            assert await sent() == 1
            with pytest.raises(PaymentFailed) as refused:
                await customer.payer.reclaim(customer.session, f"{shop.url}1", shop.offer)
            assert refused.value.code == Refusal.REFUND_SMALL
            assert await sent() == 1
            assert (await customer.buy(shop, 1000)).status == 200
            left = channel.balance - 1100
            assert await customer.payer.reclaim(customer.session, f"{shop.url}1", shop.offer) == left


async def test_a_round_of_claiming_waits_for_its_fee_and_pays_out_in_one_transaction(
    network: Network, tmp_path: Path, fund, new_account, chain: Chain
) -> None:
    price = int(await chain.rpc.request("eth_gasPrice"), 16)
    dear = network.model_copy(update={"tokens_per_coin": 10**18 // (30_000 * price) * 100})  # a claim costs about 100
    async with (
        open_shop(dear, tmp_path, fund) as shop,
        customer_of(dear, tmp_path, await new_account(gas=0)) as customer,
    ):
        await customer.buy(shop, 100)
        assert await shop.paywall.maintain() is None  # the fee would be more than its share
        await customer.buy(shop, 100_000)
        nonce = await chain.rpc.request("eth_getTransactionCount", shop.operator.address, "latest")
        assert await shop.paywall.maintain() == "cheap"
        after = await chain.rpc.request("eth_getTransactionCount", shop.operator.address, "latest")
        assert int(after, 16) == int(nonce, 16) + 1
        assert await chain.token.balance_of(shop.owner.address) == 100_100


async def test_who_has_deposited_nothing_leaves_nothing_behind(forger: Forger, shop: Shop) -> None:
    for number in range(5):
        config = forger.config(salt=number.to_bytes(32, "big"))
        payment = forger.payment(config, forger.voucher(config, 100), 100)
        assert await forger.send(payment, 100) == (402, Refusal.CHANNEL)
    assert shop.paywall.store.channels == {}
    reopened = ChannelStore(shop.paywall.store._database)
    await reopened.open()
    assert reopened.channels == {}


async def test_a_provider_that_cannot_claim_tells_customers_no_more_than_that(
    network: Network, tmp_path: Path, fund, new_account, chain: Chain
) -> None:
    account = await new_account(gas=0)
    async with (
        open_shop(network, tmp_path, fund, exposure_cap=250) as shop,
        customer_of(network, tmp_path, account) as customer,
    ):
        for _ in range(2):
            await customer.buy(shop, 100)
        await chain.rpc.request("anvil_setBalance", shop.operator.address, "0x0")
        with pytest.raises(PaymentFailed) as refused:
            await customer.buy(shop, 100)
        assert refused.value.code == Refusal.EXPOSURE

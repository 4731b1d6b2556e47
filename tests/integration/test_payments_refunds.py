"""Unused deposits come back: from the provider at once, or without it after the channel's delay."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer.deposits import deposits, withdraw_alone
from depin_desktop.payments.headers import REFUND_PATH
from depin_desktop.payments.payer import PaymentFailed
from depin_desktop.payments.payer_refunds import open_deposits

from .payment_shop import DELAY_S, customer_of, open_shop


async def test_all_channels_to_a_provider_are_given_back_and_can_be_used_again(
    network: Network, chain: Chain, tmp_path: Path, fund, new_account
) -> None:
    account = await new_account(gas=0)
    before = await chain.token.balance_of(account.address)
    async with open_shop(network, tmp_path, fund) as shop:
        url = shop.base.rstrip("/") + REFUND_PATH
        async with customer_of(network, tmp_path, account) as customer:
            await customer.buy(shop, 100)
            await asyncio.gather(*(customer.use(shop, 100, 30) for _ in range(3)))
        async with customer_of(network, tmp_path, account) as customer:  # a later process: the channels are all idle
            assert len(await open_deposits(chain, customer.payer.store)) == 4
            returned = await customer.payer.reclaim(customer.session, url, shop.offer)
            assert await chain.token.balance_of(account.address) == before - 190
            assert returned == 4 * 1600 - 190
            assert await open_deposits(chain, customer.payer.store) == []
            with pytest.raises(PaymentFailed) as nothing:
                await customer.payer.reclaim(customer.session, url, shop.offer)
            assert nothing.value.code.endswith("refund_no_balance")
            await customer.buy(shop, 50)
            assert await customer.use(shop, 100, 20) == 20
        assert await shop.paywall.claim() == 70
        assert await shop.paywall.settle() == 260
        assert await chain.token.balance_of(shop.owner.address) == 260


async def test_a_channel_that_another_process_uses_is_left_alone(
    network: Network, tmp_path: Path, fund, new_account
) -> None:
    account = await new_account(gas=0)
    async with (
        open_shop(network, tmp_path, fund) as shop,
        customer_of(network, tmp_path, account) as busy,
        customer_of(network, tmp_path, account) as other,
    ):
        await busy.buy(shop, 100)
        await other.buy(shop, 100)
        url = shop.base.rstrip("/") + REFUND_PATH
        assert await other.payer.reclaim(other.session, url, shop.offer) == 1500
        sent = len(shop.sent)
        await busy.buy(shop, 100, price=100)
        assert len(shop.sent) == sent + 1  # its channel is as it was


async def test_a_provider_that_is_gone_keeps_what_it_earned_and_nothing_else(
    network: Network, chain: Chain, tmp_path: Path, fund, new_account, warp
) -> None:
    account = await new_account(gas=0)
    before = await chain.token.balance_of(account.address)
    async with open_shop(network, tmp_path, fund) as shop:
        async with customer_of(network, tmp_path, account) as customer:
            await customer.buy(shop, 100)
        database = Database(tmp_path / "customer.sqlite")
        await database.open()
        (one,) = await deposits(chain, database)
        assert (one.provider, one.left, one.channels, one.ready_at) == (shop.owner.address, 1600, 1, None)
        with pytest.raises(UserFacingError) as broke:
            await withdraw_alone(chain, account, database, ())
        assert broke.value.code == "no-gas"
        await fund(account.address, tokens=0)

        (waiting,) = await withdraw_alone(chain, account, database, ())
        assert waiting.ready_at is not None
        assert await withdraw_alone(chain, account, database, ()) == [waiting]  # neither begun anew nor too early
        assert await shop.paywall.claim() == 100  # the delay is the provider's time to claim
        await warp.by(DELAY_S + 1)
        assert await withdraw_alone(chain, account, database, ()) == []
        assert await chain.token.balance_of(account.address) == before - 100
        assert await deposits(chain, database) == []
        await database.close()

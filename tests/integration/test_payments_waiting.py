"""Payments while a transaction waits for its block: nothing is given away, and nothing is sent twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.payments import headers as wire
from depin_desktop.payments.payer import PaymentFailed
from depin_desktop.payments.refusals import Refusal

from .payment_forger import Forger
from .payment_shop import Shop, customer_of, open_shop


async def sent_by(chain: Chain, shop: Shop) -> int:
    return int(await chain.rpc.request("eth_getTransactionCount", shop.operator.address, "latest"), 16)


async def in_flight(shop: Shop) -> None:
    async with asyncio.timeout(20):
        while not shop.sender.pending:
            await shop.chain.rpc.request("eth_blockNumber")


async def test_nothing_is_served_on_a_channel_whose_deposit_is_being_given_back(
    network: Network, tmp_path: Path, fund, new_account, chain: Chain
) -> None:
    async with open_shop(network, tmp_path, fund) as shop, aiohttp.ClientSession() as session:
        await _give_back(Forger(shop, await new_account(gas=0), session), shop, chain)


async def _give_back(forger: Forger, shop: Shop, chain: Chain) -> None:
    config = await forger.open(10_000, 100)
    payload = wire.ChannelPayload(type="refund", channel_config=config, voucher=forger.voucher(config, 100))
    refund = forger.payment(config, forger.voucher(config, 100), 0).model_copy(update={"payload": payload})
    await chain.rpc.request("evm_setAutomine", False)
    try:
        refunding = asyncio.ensure_future(forger.send(refund, 1))
        await in_flight(shop)
        voucher = forger.payment(config, forger.voucher(config, 9000), 8900)
        assert await forger.send(voucher, 8900) == (402, Refusal.BUSY)
        assert await forger.send(refund, 1) == (402, Refusal.BUSY)
        while not refunding.done():
            await chain.rpc.request("evm_mine")
        assert await refunding == (200, None)
    finally:
        await chain.rpc.request("evm_setAutomine", True)
    assert await forger.send(voucher, 8900) == (402, Refusal.BALANCE)
    assert shop.served == [100]
    assert await shop.paywall.settle() == 100
    assert await chain.token.balance_of(forger.account.address) == 10**22 - 100


async def test_nor_when_the_provider_has_stopped_waiting_for_that(
    network: Network, tmp_path: Path, fund, new_account, chain: Chain
) -> None:
    async with open_shop(network, tmp_path, fund) as shop, aiohttp.ClientSession() as session:
        forger = Forger(shop, await new_account(gas=0), session)
        config = await forger.open(10_000, 100)
        (channel,) = shop.paywall.store.channels.values()
        payload = wire.ChannelPayload(type="refund", channel_config=config, voucher=forger.voucher(config, 100))
        way = shop.paywall._answers.requirements(0)
        await chain.rpc.request("evm_setAutomine", False)
        try:
            waiting = asyncio.ensure_future(shop.paywall._refunder.refund(channel, payload, way))
            await in_flight(shop)
            waiting.cancel()
            voucher = forger.payment(config, forger.voucher(config, 9000), 8900)
            assert await forger.send(voucher, 8900) == (402, Refusal.BUSY)
            while shop.sender.pending:
                await chain.rpc.request("evm_mine")
        finally:
            await chain.rpc.request("evm_setAutomine", True)
        shop.paywall.chain_went_back()  # the balance is read anew, as it is after each refund that a customer asks for
        assert await forger.send(voucher, 8900) == (402, Refusal.BALANCE)
        assert shop.served == [100]


async def test_a_claim_that_waits_for_its_block_holds_no_customer_up_and_is_not_sent_twice(
    network: Network, tmp_path: Path, fund, new_account, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("depin_desktop.payments.paywall.COLLECTION_WAIT_S", 0.05)
    account = await new_account(gas=0)
    async with (
        open_shop(network, tmp_path, fund, exposure_cap=250) as shop,
        customer_of(network, tmp_path, account) as customer,
    ):
        for _ in range(2):
            await customer.buy(shop, 100)
        before = await sent_by(chain, shop)
        await chain.rpc.request("evm_setAutomine", False)
        try:
            for _ in range(3):
                with pytest.raises(PaymentFailed) as refused:
                    await customer.buy(shop, 100)
                assert refused.value.code == Refusal.EXPOSURE
            await shop.paywall.maintain()
            assert len(shop.sender.pending) == 1
            collection = shop.paywall._collection
            assert collection is not None
            while not collection.done():
                await chain.rpc.request("evm_mine")
        finally:
            await chain.rpc.request("evm_setAutomine", True)
        assert await sent_by(chain, shop) == before + 1
        assert await chain.token.balance_of(shop.owner.address) == 200
        assert (await customer.buy(shop, 100)).status == 200

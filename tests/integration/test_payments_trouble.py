"""A chain that goes away or takes back what it said, and clocks that jump: nobody waits, nobody is paid twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from depin_desktop.payments.payer import PaymentFailed
from depin_desktop.payments.refusals import Refusal

from .chain_anvil import Anvil, account, anvil_with_contracts
from .payment_shop import DELAY_S, Customer, Shop, customer_of, shop_of

OPERATOR, PAYER, OWNER = account(1), account(2), account(3)
PRICE = 100


@dataclass
class Scene:
    """A shop with a clock that the test sets, its customer, and a chain of their own."""

    anvil: Anvil
    shop: Shop
    customer: Customer
    clock: list[float]

    async def buy(self) -> int:
        return (await self.customer.buy(self.shop, PRICE, price=PRICE)).status

    async def owned(self) -> int:
        return await self.shop.chain.token.balance_of(OWNER.address)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = [1_000_000.0]
    async with (
        anvil_with_contracts(tmp_path, OPERATOR, PAYER) as (anvil, network),
        shop_of(network, tmp_path, OPERATOR, OWNER, clock=lambda: clock[0]) as shop,
        customer_of(network, tmp_path, PAYER) as customer,
    ):
        await shop.sender.send(shop.chain.token.transfer(PAYER.address, 10**20), purpose="a customer's money")
        yield Scene(anvil, shop, customer, clock)


async def test_while_the_chain_is_away_known_customers_are_served_as_long_as_no_withdrawal_could_end(
    scene: Scene,
) -> None:
    assert await scene.buy() == 200
    await scene.anvil.save()
    await scene.anvil.kill()
    assert await scene.buy() == 200  # what was read is fresh
    scene.clock[0] += DELAY_S / 2
    assert await scene.buy() == 200  # and still half a delay younger than a withdrawal unseen
    scene.clock[0] += 1
    with pytest.raises(PaymentFailed) as refused:
        await scene.buy()
    assert refused.value.code == Refusal.CHAIN
    assert await scene.shop.paywall.maintain() is None
    assert scene.shop.paywall.pending() == 3 * PRICE

    await scene.anvil.start()
    assert await scene.buy() == 200
    assert await scene.shop.paywall.maintain() == "age"
    assert await scene.owned() == 4 * PRICE


async def test_a_claim_that_the_chain_forgot_is_made_again_and_paid_once(scene: Scene) -> None:
    assert await scene.buy() == 200
    await scene.anvil.save()
    assert await scene.shop.paywall.maintain() == "cheap"
    assert (await scene.owned(), scene.shop.paywall.pending()) == (PRICE, 0)

    await scene.anvil.kill()
    await scene.anvil.start()  # as it was before the claim
    assert await scene.owned() == 0
    assert await scene.shop.paywall.maintain() is None  # nobody has said so
    scene.shop.paywall.chain_went_back()
    scene.shop.sender.chain_went_back()
    assert await scene.shop.paywall.maintain() is not None
    assert (await scene.owned(), scene.shop.paywall.pending()) == (PRICE, 0)
    assert await scene.buy() == 200
    assert await scene.shop.paywall.maintain() is not None
    assert await scene.owned() == 2 * PRICE


async def test_a_deposit_that_the_chain_forgot_is_not_served_upon(scene: Scene) -> None:
    await scene.anvil.save()
    assert await scene.buy() == 200
    await scene.anvil.kill()
    await scene.anvil.start()
    scene.shop.paywall.chain_went_back()
    header = scene.shop.sent[-1]
    assert (
        await scene.buy() == 200
    )  # the customer's side finds out, and deposits by the very same authorisation or anew
    assert scene.shop.sent[-1] != header
    (channel,) = scene.shop.paywall.store.channels.values()
    assert channel.balance == (await scene.shop.chain.settlement.channels(channel.id)).balance >= 2 * PRICE
    assert await scene.shop.paywall.claim() == 2 * PRICE


async def test_a_clock_that_jumps_stops_nobody_and_hides_no_withdrawal(scene: Scene) -> None:
    assert await scene.buy() == 200
    for jump in (-86_400.0, 30 * 86_400.0, -40 * 86_400.0):
        scene.clock[0] += jump
        assert await scene.buy() == 200
    assert scene.shop.paywall.pending() == 4 * PRICE
    # Set back, it does not make what was read long ago look fresh: the withdrawal is seen without being told of.
    (channel,) = scene.shop.paywall.store.channels.values()
    await _withdraw(scene, channel.id)
    scene.clock[0] -= 86_400
    assert await scene.buy() == 200  # on another channel: this one is refused
    assert scene.shop.paywall.store.channels[channel.id].book.charged == 4 * PRICE
    assert await scene.shop.paywall.maintain() == "withdrawal"
    assert await scene.owned() == 5 * PRICE


async def _withdraw(scene: Scene, channel_id: bytes) -> None:
    from depin_desktop.chain.sender import Sender
    from depin_desktop.core.database import Database
    from depin_desktop.payments import vouchers

    database = Database(scene.anvil.folder / "withdrawing.sqlite")
    await database.open()
    sender = Sender(scene.customer.chain, PAYER, database)
    await sender.start()
    config = vouchers.chain_config(scene.shop.paywall.store.channels[channel_id].config)
    await sender.send(scene.customer.chain.settlement.initiate_withdraw(config, 1), purpose="leave")
    await sender.stop()
    await database.close()

"""A provider is killed at the worst moments: nothing that was answered is forgotten, nothing is charged twice."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.net.offers import NodeOffer
from depin_desktop.payments import headers as wire
from depin_desktop.payments.payer import PaymentFailed

from .payment_shop import Customer, customer_of, shop_of


class Mortal:
    """A shop whose process dies and comes back on the same folder."""

    def __init__(self, network: Network, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.operator: LocalAccount = Account.create()
        self.owner: LocalAccount = Account.create()
        self.offer = NodeOffer(
            owner=self.owner.address,
            operator=self.operator.address,
            payout=self.owner.address,
            node_id="00" * 32,
            addresses=(),
            chain_id=network.chain_id,
            issued_at=0,
            expires_at=math.inf,
        )
        self.url = ""
        self.process: asyncio.subprocess.Process | None = None
        self._file = folder / "network.json"
        self._file.write_text(network.model_dump_json())

    async def live(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.integration.payment_child", str(self._file), str(self.folder)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{self.operator.key.hex()}\n{self.owner.key.hex()}\n".encode())
        port = await asyncio.wait_for(self.process.stdout.readline(), 30)
        self.url = f"http://127.0.0.1:{int(port)}/"

    async def dead(self) -> None:
        """Waits for the end, which may be brought about."""
        assert self.process is not None
        await asyncio.wait_for(self.process.wait(), 20)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@pytest.fixture
async def mortal(network: Network, tmp_path: Path, fund) -> AsyncIterator[Mortal]:
    shop = Mortal(network, tmp_path / "mortal")
    await fund(shop.operator.address, tokens=0)
    await shop.live()
    yield shop
    await shop.kill()


@pytest.fixture
async def customer(network: Network, tmp_path: Path, new_account) -> AsyncIterator[Customer]:
    async with customer_of(network, tmp_path, await new_account(gas=0)) as one:
        yield one


async def buy(customer: Customer, shop: Mortal, price: int, die: str = "") -> int:
    """What the receipt says was charged."""
    url = f"{shop.url}goods/{price}{f'?die={die}' if die else ''}"
    response = await customer.payer.request(customer.session, "GET", url, shop.offer)
    async with response:
        receipt = wire.decode_response(response.headers[wire.PAYMENT_RESPONSE])
    assert receipt.extra is not None
    return receipt.extra.charged_amount or 0


async def test_a_charge_whose_answer_died_with_the_process_is_kept_and_not_made_again(
    network: Network, chain: Chain, mortal: Mortal, customer: Customer
) -> None:
    assert await buy(customer, mortal, 100) == 100
    with pytest.raises(aiohttp.ClientError):
        await buy(customer, mortal, 100, die="charge")
    await mortal.dead()
    await mortal.live()
    assert await buy(customer, mortal, 100) == 100  # its total continues behind the lost one
    await mortal.kill()
    async with shop_of(network, mortal.folder, mortal.operator, mortal.owner) as shop:
        assert shop.paywall.pending() == 300
        assert await shop.paywall.claim() == await shop.paywall.settle() == 300
    assert await chain.token.balance_of(mortal.owner.address) == 300


async def test_work_that_died_with_the_process_costs_nothing_and_its_channel_goes_on(
    network: Network, mortal: Mortal, customer: Customer
) -> None:
    async def use(die: str = "") -> int | None:
        url = f"{mortal.url}work/1000/70{die}"
        response = await customer.payer.request(customer.session, "POST", url, mortal.offer, metered=True)
        async with response:
            return await customer.payer.settled(response)

    assert await use() == 70
    with pytest.raises(aiohttp.ClientError):
        await use("?die=work")
    await mortal.dead()
    await mortal.live()
    assert await use() == 70
    await mortal.kill()
    async with shop_of(network, mortal.folder, mortal.operator, mortal.owner) as shop:
        (channel,) = shop.paywall.store.channels.values()
        assert channel.book.charged == 140


async def test_a_deposit_that_waits_for_its_block_is_not_sent_again_by_the_next_run(
    network: Network, chain: Chain, mortal: Mortal, customer: Customer
) -> None:
    async def sent(block: str) -> int:
        return int(await chain.rpc.request("eth_getTransactionCount", mortal.operator.address, block), 16)

    await chain.rpc.request("evm_setAutomine", False)
    try:
        buying = asyncio.ensure_future(buy(customer, mortal, 100))
        async with asyncio.timeout(20):
            while await sent("pending") == 0:
                pass
        await mortal.kill()
        with pytest.raises(aiohttp.ClientError):
            await buying
        await mortal.live()
        buying = asyncio.ensure_future(buy(customer, mortal, 100))
        async with asyncio.timeout(20):
            while not buying.done():
                await chain.rpc.request("evm_mine")
        assert await buying == 100
    finally:
        await chain.rpc.request("evm_setAutomine", True)
    assert await sent("latest") == 1
    deposited = await customer.payer.store.deposited()
    assert await chain.token.balance_of(customer.account.address) == 10**22 - deposited


async def test_killed_again_and_again_under_load_every_receipt_is_honoured_and_nothing_beyond_what_was_signed(
    network: Network, chain: Chain, mortal: Mortal, customer: Customer
) -> None:
    chance, receipts = random.Random(11), [await buy(customer, mortal, 1)]
    wanted, enough = 0, asyncio.Event()

    async def shopping() -> None:
        with contextlib.suppress(aiohttp.ClientError, PaymentFailed):
            while True:
                receipts.append(await buy(customer, mortal, chance.randrange(1, 1000)))
                if len(receipts) >= wanted:
                    enough.set()

    for _ in range(3):
        wanted = len(receipts) + chance.randrange(5, 40)
        enough.clear()
        shoppers = [asyncio.create_task(shopping()) for _ in range(8)]
        await asyncio.wait_for(enough.wait(), 30)
        await mortal.kill()
        await asyncio.gather(*shoppers)
        await mortal.live()
    receipts.append(await buy(customer, mortal, 5))
    await mortal.kill()
    signed = sum(channel.signed for channel in await customer.payer.store.channels())
    async with shop_of(network, mortal.folder, mortal.operator, mortal.owner) as shop:
        charged = shop.paywall.pending()
        assert sum(receipts) <= charged <= signed
        assert sum(taking.amount for taking in await shop.paywall.takings()) == charged
        assert await shop.paywall.claim() == await shop.paywall.settle() == charged
    assert await chain.token.balance_of(mortal.owner.address) == charged

"""When the chain takes blocks back: earnings go and come again with it, and what we had sent is sent again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from depin_desktop.chain import typed_data
from depin_desktop.chain.bindings.settlement import ChannelConfig, VoucherClaim, erc3009_collector_data
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.indexer import Indexer
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.wallet.ledger import Parties
from depin_desktop.wallet.ledger_rows import Ledger

from .chain_anvil import Anvil, account, anvil_with_contracts
from .sender_world import HASTY

OWNER, OPERATOR, SPENDER, CUSTOMER = account(1), account(2), account(3), account(4)
NODE = b"\x05" * 32
DEPOSIT = 10**18


class World:
    """A provider on a chain that may be set back: sender, index and ledger wired as the engine wires them."""

    def __init__(self, anvil: Anvil, chain: Chain, owner: Sender, operator: Sender, ledger: Ledger) -> None:
        self.anvil, self.chain, self.owner, self.operator, self.ledger = anvil, chain, owner, operator, ledger
        self.config = ChannelConfig(
            CUSTOMER.address,
            CUSTOMER.address,
            OWNER.address,
            OPERATOR.address,
            chain.network.addresses.token,
            3600,
            bytes(32),
        )
        self.channel = typed_data.channel_id(chain.network, self.config)
        self.indexer: Indexer

    async def open_channel(self) -> None:
        network, settlement = self.chain.network, self.chain.settlement
        await self.owner.send(self.chain.token.transfer(CUSTOMER.address, DEPOSIT), purpose="a customer's money")
        until = await self.chain.now() + 3600
        signed = typed_data.sign_deposit(CUSTOMER, network, self.channel, DEPOSIT, 0, until, bytes(32))
        data = erc3009_collector_data(0, until, bytes(32), signed)
        await self.operator.send(
            settlement.deposit(self.config, DEPOSIT, network.addresses.erc3009_collector, data), purpose="deposit"
        )

    async def take(self, total: int) -> None:
        """Claims the customer's voucher over `total` and has it paid out to the owner."""
        settlement = self.chain.settlement
        voucher = typed_data.sign_voucher(CUSTOMER, self.chain.network, self.channel, total)
        claim = settlement.claim([VoucherClaim(self.config, total, voucher, total)])
        settle = settlement.settle(OWNER.address, self.chain.network.addresses.token)
        await self.operator.send_many([claim, settle], purpose="take")

    async def lines(self) -> list[tuple[str, int]]:
        """The ledger's lines since the channel was opened, oldest first."""
        await self.indexer.sync()
        return [(line.kind, line.amount) for line in reversed(await self.ledger.history(100))]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with (
        anvil_with_contracts(tmp_path, OWNER, OPERATOR) as (anvil, network),
        contextlib.AsyncExitStack() as stack,
    ):
        chain = await Chain.connect(network)
        stack.push_async_callback(chain.close)
        database = Database(tmp_path / "engine.sqlite")
        await database.open()
        stack.push_async_callback(database.close)
        senders = [Sender(chain, who, database, pace=HASTY) for who in (OWNER, OPERATOR)]
        ledger = Ledger(
            database, Parties(OWNER.address, OWNER.address, OPERATOR.address, SPENDER.address, network.addresses)
        )
        await ledger.open()
        indexer = Indexer(chain, database, accounts=[OWNER.address, OPERATOR.address, SPENDER.address])
        ledger.attach(indexer)
        for sender in senders:
            await sender.start()
            stack.push_async_callback(sender.stop)
            indexer.on_height(sender.trigger)
            indexer.on_way_back(sender.chain_went_back)
        await indexer.start()
        stack.push_async_callback(indexer.stop)
        world = World(anvil, chain, *senders, ledger)
        world.indexer = indexer
        yield world


async def test_earnings_go_with_the_blocks_that_held_them_and_come_back_with_new_ones(world: World) -> None:
    await world.open_channel()
    await world.take(300)
    before = await world.lines()
    assert before[-1] == ("payout", 300)
    snapshot = await world.anvil.ask("evm_snapshot")
    await world.take(1000)
    assert await world.lines() == [*before, ("payout", 700)]
    assert await world.ledger.paid_out() == 1000

    back: asyncio.Queue[int] = asyncio.Queue()

    async def again(event: object) -> None:
        back.put_nowait(await world.chain.token.balance_of(OWNER.address))

    rich = await world.chain.token.balance_of(OWNER.address)
    await world.operator.stop()  # it would send what was forgotten at once
    await world.anvil.ask("evm_revert", snapshot)
    await world.anvil.ask("evm_mine")
    assert await world.lines() == before
    assert await world.ledger.paid_out() == 300
    assert await world.chain.token.balance_of(OWNER.address) == rich - 700

    world.indexer.on("Settled", again, contract="settlement")
    await world.operator.start()
    world.operator.chain_went_back()
    assert await asyncio.wait_for(back.get(), 20) == rich
    assert await world.lines() == [*before, ("payout", 700)]
    assert await world.ledger.paid_out() == 1000


async def test_what_a_reorganisation_forgot_is_sent_again_though_nothing_else_is_to_be_sent(world: World) -> None:
    await world.open_channel()
    await world.indexer.sync()
    snapshot = await world.anvil.ask("evm_snapshot")
    await world.take(500)
    await world.lines()
    paid: asyncio.Queue[int] = asyncio.Queue()

    async def settled(event: object) -> None:
        if not getattr(event, "removed", True):
            paid.put_nowait(event.args["amount"])  # type: ignore[attr-defined]

    world.indexer.on("Settled", settled, contract="settlement")
    await world.anvil.ask("evm_revert", snapshot)
    await world.anvil.ask("evm_mine")
    await world.indexer.sync()
    assert await asyncio.wait_for(paid.get(), 20) == 500
    assert await world.ledger.paid_out() == 500
    receiver = await world.chain.settlement.receivers(OWNER.address, world.chain.network.addresses.token)
    assert receiver.total_settled == 500
    assert paid.empty()  # once


async def test_a_transaction_that_lands_elsewhere_after_a_reorganisation_is_one_line(world: World) -> None:
    await world.open_channel()
    await world.take(200)
    assert (await world.lines())[-1] == ("payout", 200)
    settled = (await world.indexer.events("Settled", contract="settlement"))[0]
    raw = (await world.anvil.ask("eth_getRawTransactionByHash", "0x" + settled.tx.hex()), 1)
    claimed = (await world.indexer.events("Claimed"))[0]
    first = (await world.anvil.ask("eth_getRawTransactionByHash", "0x" + claimed.tx.hex()), 0)
    await world.anvil.ask("anvil_reorg", 2, [list(first), list(raw)])
    lines = await world.lines()
    assert lines.count(("payout", 200)) == 1
    moved = (await world.indexer.events("Settled", contract="settlement"))[0]
    assert (moved.tx, moved.block_hash != settled.block_hash) == (settled.tx, True)
    assert await world.ledger.paid_out() == 200

"""What is shown of money equals the chain to the base unit, whatever happened and in whatever order."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from depin_desktop.chain import typed_data
from depin_desktop.chain.bindings.deals import Piece, Terms
from depin_desktop.chain.bindings.settlement import ChannelConfig, VoucherClaim, erc3009_collector_data
from depin_desktop.chain.calls import Call, LogEvent
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.indexer import Indexer
from depin_desktop.chain.reverts import Reverted
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.engine.money import Money
from depin_desktop.wallet.ledger import EARNED_KINDS, PAYOUT, STORAGE, Parties
from depin_desktop.wallet.ledger_rows import Ledger

from .chain_anvil import MIN_STAKE, PERIOD_S, WINDOW_S, Anvil, account, anvil_with_contracts, proof_of_leaf
from .payment_shop import Customer, Shop, customer_of, shop_of
from .sender_world import HASTY

FOUNDER, OWNER, OPERATOR, SPENDER, STRANGER, BUYER = (account(number) for number in range(1, 7))
LEAF = b"\x01" * 256
STEPS = 60
CHECKED_EVERY = 6


class World:
    """A provider who is a customer elsewhere, too, and everybody that it has to do with."""

    def __init__(self, anvil: Anvil, chain: Chain, senders: dict[str, Sender], shop: Shop, buyer: Customer) -> None:
        self.anvil, self.chain, self.senders, self.shop, self.buyer = anvil, chain, senders, shop, buyer
        self.salt = 0
        self.set_id = b""
        self.indexer: Indexer
        self.ledger: Ledger
        self.money: Money

    async def send(self, who: Any, *calls: Call) -> None:
        await self.senders[who.address].send_many(calls, purpose="history")

    def fresh_salt(self) -> bytes:
        self.salt += 1
        return self.salt.to_bytes(32, "big")

    # --- what happens

    async def begin(self) -> None:
        """The founder's tokens are spread, the provider registers, and a customer's data set is opened."""
        chain, token, deals, network = self.chain, self.chain.token, self.chain.deals, self.chain.network
        await self.send(FOUNDER, *(token.transfer(who.address, 10**24) for who in (OWNER, SPENDER, STRANGER, BUYER)))
        await self.send(
            OWNER,
            token.approve(chain.registry.address, 10**30),
            chain.registry.register(OPERATOR.address, OWNER.address, b"\x05" * 32, 20 * MIN_STAKE),
        )
        now, salt = await chain.now(), self.fresh_salt()
        terms = Terms(STRANGER.address, OWNER.address, 10**15 + 7, now + 500 * PERIOD_S, salt)
        self.set_id = typed_data.data_set_id(terms.customer, terms.provider, terms.salt)
        pieces = [Piece(hashlib.sha256(LEAF).digest(), 1)] * 3
        funding = typed_data.sign_funding(STRANGER, network, self.set_id, 10**18, 0, now + 3600, salt)
        await self.shop.sender.send_many(
            [
                deals.open(terms, typed_data.sign_terms(STRANGER, network, terms)),
                deals.fund(self.set_id, 10**18, 0, now + 3600, salt, funding),
                deals.add(
                    self.set_id, pieces, 0, typed_data.sign_add_pieces(STRANGER, network, self.set_id, 0, pieces)
                ),
            ],
            purpose="store",
        )

    async def buy(self, chance: random.Random) -> None:
        assert (await self.buyer.buy(self.shop, chance.randrange(1, 10**18))).status == 200

    async def claim(self, _: random.Random) -> None:
        await self.shop.paywall.claim()

    async def settle(self, _: random.Random) -> None:
        await self.shop.paywall.settle()

    async def a_stranger_settles(self, _: random.Random) -> None:
        token = self.chain.network.addresses.token
        await self.send(STRANGER, self.chain.settlement.settle(OWNER.address, token))

    async def settle_storage(self, _: random.Random) -> None:
        await self.send(STRANGER, self.chain.deals.settle(OWNER.address))

    async def move(self, chance: random.Random) -> None:
        """Tokens between any two of owner, spender and stranger."""
        giver, taker = chance.sample([OWNER, SPENDER, STRANGER], 2)
        await self.send(giver, self.chain.token.transfer(taker.address, chance.randrange(10**20)))

    async def stake(self, chance: random.Random) -> None:
        await self.send(OWNER, self.chain.registry.stake(chance.randrange(1, 10**20)))

    async def unstake(self, chance: random.Random) -> None:
        await self.send(OWNER, self.chain.registry.request_unstake(chance.randrange(1, 10**20)))
        await self.warp(await self.chain.now() + await self.chain.registry.thaw_period_s() + 1)
        await self.send(OWNER, self.chain.registry.unstake())

    async def be_a_customer(self, chance: random.Random) -> None:
        """The spender pays the stranger something from a channel and gets the rest back."""
        chain, network = self.chain, self.chain.network
        amount, salt, until = chance.randrange(2, 10**19), self.fresh_salt(), await self.chain.now() + 3600
        parties = (SPENDER.address, SPENDER.address, STRANGER.address, STRANGER.address)
        config = ChannelConfig(*parties, network.addresses.token, 3600, salt)
        channel = typed_data.channel_id(network, config)
        signed = typed_data.sign_deposit(SPENDER, network, channel, amount, 0, until, salt)
        data = erc3009_collector_data(0, until, salt, signed)
        paid = chance.randrange(1, amount)
        voucher = typed_data.sign_voucher(SPENDER, network, channel, paid)
        await self.send(
            STRANGER,
            chain.settlement.deposit(config, amount, network.addresses.erc3009_collector, data),
            chain.settlement.claim([VoucherClaim(config, paid, voucher, paid)]),
            chain.settlement.refund(config, amount - paid),
        )

    async def prove(self, _: random.Random) -> None:
        await self.to_window()
        deals = self.chain.deals
        await self.send(STRANGER, deals.poke())
        challenges = await deals.challenges(self.set_id)
        proof = deals.prove([proof_of_leaf(self.set_id, LEAF, len(challenges))])
        await self.shop.sender.send(proof, purpose="prove")

    async def miss_a_period(self, _: random.Random) -> None:
        """Nothing is proven, and somebody is rewarded for reporting it."""
        deals = self.chain.deals
        missed = await deals.current_period() + 1  # the present one may be proven already
        await self.warp(await deals.genesis() + (missed + 1) * PERIOD_S + 1)
        await self.send(STRANGER, deals.report_fault(self.set_id, missed))

    async def reorganise(self, chance: random.Random) -> None:
        """The chain takes back what happened last; the senders bring it again."""
        snapshot = await self.anvil.ask("evm_snapshot")
        for _ in range(3):
            await self.move(chance)
        await self.indexer.sync()
        mined = {who: await self.nonce(who) for who in self.senders}
        await self.anvil.ask("evm_revert", snapshot)
        await self.anvil.ask("evm_mine")
        await self.indexer.sync()
        async with asyncio.timeout(20):
            for who, sender in self.senders.items():
                while await self.nonce(who) < mined[who]:
                    await sender._flights.cycle.trigger_and_wait()
                    await self.anvil.ask("evm_mine")

    async def nonce(self, who: str) -> int:
        return int(await self.anvil.ask("eth_getTransactionCount", who, "latest"), 16)

    async def to_window(self) -> None:
        deals = self.chain.deals
        period, genesis = await deals.current_period(), await deals.genesis()
        await self.warp(max(genesis + (period + 1) * PERIOD_S - WINDOW_S, await self.chain.now() + 1))

    async def warp(self, to: int) -> None:
        await self.anvil.ask("evm_setNextBlockTimestamp", to)
        await self.anvil.ask("evm_mine")

    # --- what must hold

    async def check(self, told: str) -> None:
        chain, token = self.chain, self.chain.token
        await self.indexer.sync()
        lines = await self.ledger.history(10_000)

        def total(*kinds: str) -> int:
            return sum(line.amount for line in lines if line.kind in kinds)

        in_hand = await token.balance_of(OWNER.address) + await token.balance_of(SPENDER.address)
        # What is earned comes in hand with its payout; what is slashed was out of hand already.
        assert total(*({line.kind for line in lines} - EARNED_KINDS - {"slash"})) == in_hand, told
        provider = await chain.registry.provider(OWNER.address)
        assert total("slash") - total("stake", "unstake") == provider.stake, told
        assert total(PAYOUT) == await self.ledger.paid_out(), told

        earned = sum(amount for _, amount in await self.money.earned())
        assert earned == await self.ledger.paid_out() + await self.money.pending(), told
        settled = sum(line.amount for line in lines if line.kind == PAYOUT and line.detail == "storage")
        assert total(STORAGE) == settled + await chain.deals.owed(OWNER.address), told
        status = await self.money.status()
        assert (status.earned_total, status.stake, status.claimed) == (earned, provider.stake, total(PAYOUT)), told

    async def learned_anew(self, folder: Path) -> list[Any]:
        """The lines that somebody sees who begins to look only now."""
        database = Database(folder / "anew.sqlite")
        await database.open()
        ledger, indexer = Ledger(database, self.parties), self.index(database)
        await ledger.open()
        await indexer.start()
        await indexer.sync()
        await ledger.catch_up(indexer)
        lines = await ledger.history(10_000)
        await indexer.stop()
        await database.close()
        return lines

    @property
    def parties(self) -> Parties:
        addresses = (OWNER.address, OWNER.address, OPERATOR.address, SPENDER.address)
        return Parties(*addresses, self.chain.network.addresses)

    def index(self, database: Database) -> Indexer:
        return Indexer(self.chain, database, accounts=[OWNER.address, OPERATOR.address, SPENDER.address])


@contextlib.asynccontextmanager
async def opened(tmp_path: Path) -> AsyncIterator[World]:
    """The world, wired as the engine wires it."""
    everybody = (FOUNDER, OWNER, OPERATOR, SPENDER, STRANGER)
    async with (
        anvil_with_contracts(tmp_path, *everybody) as (anvil, network),
        contextlib.AsyncExitStack() as stack,
    ):
        chain = await Chain.connect(network)
        stack.push_async_callback(chain.close)
        database = Database(tmp_path / "engine.sqlite")
        await database.open()
        stack.push_async_callback(database.close)
        shop = await stack.enter_async_context(shop_of(network, tmp_path, OPERATOR, OWNER))
        buyer = await stack.enter_async_context(customer_of(network, tmp_path, BUYER))
        senders = {who.address: Sender(chain, who, database, pace=HASTY) for who in everybody if who is not OPERATOR}
        world = World(anvil, chain, senders, shop, buyer)
        world.ledger, world.indexer = Ledger(database, world.parties), world.index(database)
        await world.ledger.open()
        world.ledger.attach(world.indexer)
        for sender in (*senders.values(), shop.sender):
            if sender is not shop.sender:
                await sender.start()
                stack.push_async_callback(sender.stop)
            world.indexer.on_height(sender.trigger)
            world.indexer.on_way_back(sender.chain_went_back)
        await world.indexer.start()
        stack.push_async_callback(world.indexer.stop)
        world.money = Money(chain, world.ledger, shop.paywall.store, backed_up=_written_down)
        yield world


async def _written_down() -> bool:
    return True


@pytest.mark.parametrize("seed", range(3))
async def test_the_books_agree_with_the_chain_after_any_history(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    async with opened(tmp_path) as world:
        await world.begin()
        await world.check("at the beginning")
        deeds: list[Callable[[random.Random], Awaitable[None]]] = [
            *(world.buy, world.buy, world.claim, world.settle, world.a_stranger_settles),
            *(world.move, world.move, world.stake, world.unstake, world.be_a_customer),
            *(world.prove, world.prove, world.settle_storage, world.miss_a_period, world.reorganise),
        ]
        story: list[str] = []
        done: set[str] = set()
        for step in range(STEPS):
            # Each once, then by chance: a history without proofs or slashes would prove little.
            deed = deeds[step] if step < len(deeds) else chance.choice(deeds)
            story.append(deed.__name__)
            try:
                await deed(chance)
                done.add(deed.__name__)
            except Reverted as refused:  # what a contract refuses changes nothing
                story[-1] += f" ({refused.name})"
            if step % CHECKED_EVERY == 0:
                await world.check(f"seed {seed}: {', '.join(story)}")
        await world.check(f"seed {seed}: {', '.join(story)}")
        assert done == {deed.__name__ for deed in deeds}, story
        kinds = {line.kind for line in await world.ledger.history(10_000)}
        assert kinds >= {"storage", "payout", "stake", "unstake", "slash", "deposit", "transfer-in", "transfer-out"}
        assert await world.learned_anew(tmp_path) == await world.ledger.history(10_000)


async def test_what_a_proof_earned_goes_with_its_block_and_comes_back_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.begin()
        await world.warp(await world.chain.now() + PERIOD_S)  # what is added now is challenged from the next period on
        await world.to_window()
        await world.send(STRANGER, world.chain.deals.poke())
        await world.indexer.sync()
        snapshot = await world.anvil.ask("evm_snapshot")
        challenges = await world.chain.deals.challenges(world.set_id)
        proof = world.chain.deals.prove([proof_of_leaf(world.set_id, LEAF, len(challenges))])
        paid = (await world.shop.sender.send(proof, purpose="prove")).event("Proven").args["paid"]
        await world.check("proven")
        earned = (await world.money.figures()).earned_total
        assert earned == paid > 0

        again: asyncio.Queue[LogEvent] = asyncio.Queue()
        world.indexer.on("Proven", again.put)
        await world.anvil.ask("evm_revert", snapshot)
        await world.anvil.ask("evm_mine")
        await world.indexer.sync()
        assert again.get_nowait().removed
        await world.check("taken back")
        assert (await world.money.figures()).earned_total == 0
        assert not (await asyncio.wait_for(again.get(), 20)).removed  # nobody asked the sender for it
        await world.check("back again")
        assert (await world.money.figures()).earned_total == earned
        assert again.empty()

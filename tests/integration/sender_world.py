"""A real chain and senders on it, for the sender's tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from eth_account.signers.local import LocalAccount

from depin_desktop.chain.calls import Call
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.flight import PRIVATE, Pace
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database

from .chain_anvil import Anvil, account, anvil_with_contracts

FOUNDER, FRIEND, POOR = account(1), account(2), account(99)
HASTY = Pace(fastest_poll_s=0.005, slowest_poll_s=0.02, rebroadcast_s=0.05, stuck_s=0.1, certain_s=0.1)


class World:
    """An anvil, a chain, a database, and senders that are stopped at the end."""

    def __init__(self, anvil: Anvil, chain: Chain, database: Database) -> None:
        self.anvil = anvil
        self.chain = chain
        self.database = database
        self._senders: list[Sender] = []

    async def sender(self, owner: LocalAccount = FOUNDER, pace: Pace = PRIVATE) -> Sender:
        sender = Sender(self.chain, owner, self.database, pace=pace)
        await sender.start()
        self._senders.append(sender)
        return sender

    async def stop(self) -> None:
        for sender in self._senders:
            await sender.stop()

    def pay(self, amount: int = 1) -> Call:
        return self.chain.token.transfer(FRIEND.address, amount)

    async def paid(self) -> int:
        return await self.chain.token.balance_of(FRIEND.address)

    async def nonce(self, owner: LocalAccount = FOUNDER) -> int:
        return int(await self.anvil.ask("eth_getTransactionCount", owner.address, "latest"), 16)


@contextlib.asynccontextmanager
async def sender_world(tmp_path: Path) -> AsyncIterator[World]:
    async with anvil_with_contracts(tmp_path, FOUNDER, FRIEND) as (anvil, network):
        chain = await Chain.connect(network)
        database = Database(tmp_path / "sender.sqlite")
        await database.open()
        world = World(anvil, chain, database)
        yield world
        await world.stop()
        await chain.close()
        await database.close()


async def in_flight(sender: Sender, *, attempts: int = 1, count: int = 1) -> None:
    """Waits until a node has `count` transactions, the first with so many attempts."""
    async with asyncio.timeout(20):
        while True:
            flights = sender._flights.open
            if sum(one.maybe_taken for one in flights) >= count and len(flights[0].attempts) >= attempts:
                return
            await sender._flights.cycle.trigger_and_wait()
            await asyncio.sleep(0)

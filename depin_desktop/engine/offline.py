"""The wallet's figures while no engine runs: the same rows, the same sums, asked once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from depin_desktop.api.wallet import HistoryEntry, WalletStatus
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.indexer import Indexer
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.engine.keys import Keys
from depin_desktop.engine.money import Money, parties_of
from depin_desktop.payments.store import ChannelStore
from depin_desktop.wallet.joining import joined_network
from depin_desktop.wallet.ledger_rows import Ledger


async def wallet_status(home: Home) -> WalletStatus:
    """The wallet as the chain has it now.

    Raises:
        UserFacingError: the home is not initialised, or the chain is out of reach.
    """
    async with _money(home) as money:
        return await money.status()


async def wallet_history(home: Home, limit: int) -> Sequence[HistoryEntry]:
    """The newest entries first; raises as `wallet_status`."""
    async with _money(home) as money:
        return await money.history(limit)


@asynccontextmanager
async def _money(home: Home) -> AsyncIterator[Money]:
    if not home.initialised:
        raise UserFacingError(
            f"{home.root} has no wallet yet.", "Run `depin init --network FILE` first.", code="not-initialised"
        )
    keys = await asyncio.to_thread(Keys.load, home)
    async with AsyncExitStack() as stack:
        chain = await Chain.connect(await asyncio.to_thread(joined_network, home))
        stack.push_async_callback(chain.close)
        database = Database(home.engine_database)
        await database.open()
        stack.push_async_callback(database.close)
        parties = parties_of(keys, await chain.registry.provider(keys.owner), chain.network)
        ledger, channels = Ledger(database, parties), ChannelStore(database)
        await ledger.open()
        await channels.open()
        accounts = {keys.owner, keys.operator.address, keys.spender, *ledger.parties.payouts}
        indexer = Indexer(chain, database, accounts=accounts)
        ledger.attach(indexer)
        await indexer.start()
        stack.push_async_callback(indexer.stop)
        await indexer.sync()
        await ledger.catch_up(indexer)

        async def backed_up() -> bool:
            return keys.backed_up

        money = Money(chain, ledger, channels, backed_up=backed_up)
        await money.learn_fees()
        yield money

"""The ledger fed by the real index of a real chain."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.indexer import Indexer
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.core.home import Home
from depin_desktop.core.units import BASE_UNITS_PER_TOKEN as TOKEN
from depin_desktop.wallet import hotkeys
from depin_desktop.wallet.ledger import Parties
from depin_desktop.wallet.ledger_rows import Ledger
from depin_desktop.wallet.vault import Vault

PASSWORD = "correct horse battery"


def parties_of(home: Home, chain: Chain) -> Parties:
    owner = Vault.load(home.vault).owner
    return Parties(
        owner=owner,
        payout=owner,
        operator=hotkeys.operator(home).address,
        spender=hotkeys.spender(home).address,
        contracts=chain.network.addresses,
        faucet=chain.network.faucet_address or "",
    )


@contextlib.asynccontextmanager
async def following(chain: Chain, home: Home) -> AsyncIterator[tuple[Ledger, Indexer]]:
    """A ledger that is in line with the chain, wired as the engine wires it."""
    parties = parties_of(home, chain)
    async with contextlib.AsyncExitStack() as stack:
        database = Database(home.root / "index.sqlite")
        await database.open()
        stack.push_async_callback(database.close)
        ledger = Ledger(database, parties)
        indexer = Indexer(chain, database, accounts=(parties.owner, parties.spender))
        await ledger.open()
        ledger.attach(indexer)
        await indexer.start()
        stack.push_async_callback(indexer.stop)
        await ledger.catch_up(indexer)
        await indexer.sync()
        yield ledger, indexer


async def lines(ledger: Ledger) -> list[tuple[str, int]]:
    return sorted((line.kind, line.amount) for line in await ledger.history(100))


async def test_a_new_home_sees_its_beginnings(make_home, chain: Chain) -> None:
    home: Home = await make_home()
    async with following(chain, home) as (ledger, _):
        stake = chain.network.min_stake
        assert await lines(ledger) == sorted(
            [("faucet", stake + 1000 * TOKEN), ("faucet", 50_000 * TOKEN), ("stake", -stake)]
        )
        assert all(line.block and line.transaction.startswith("0x") for line in await ledger.history(100))


async def test_what_came_while_nobody_looked_is_there_afterwards(
    make_home, new_account, chain: Chain, tmp_path: Path
) -> None:
    home: Home = await make_home()
    async with following(chain, home) as (ledger, _):
        before = await lines(ledger)
    friend = await new_account(tokens=5 * TOKEN)
    database = Database(tmp_path / "friend.sqlite")
    await database.open()
    sender = Sender(chain, friend, database)
    await sender.start()
    await sender.send(chain.token.transfer(Vault.load(home.vault).owner, 3 * TOKEN), purpose="gift")
    async with following(chain, home) as (ledger, indexer):
        assert await lines(ledger) == sorted([*before, ("transfer-in", 3 * TOKEN)])
        await sender.send(chain.token.transfer(hotkeys.spender(home).address, TOKEN), purpose="gift")
        await indexer.sync()
        assert await lines(ledger) == sorted([*before, ("transfer-in", 3 * TOKEN), ("transfer-in", TOKEN)])
    await sender.stop()
    await database.close()


async def test_what_a_killed_run_missed_is_healed(make_home, chain: Chain) -> None:
    home: Home = await make_home()
    async with following(chain, home) as (ledger, _):
        truth = await lines(ledger)
    database = Database(home.root / "index.sqlite")
    await database.open()
    # Killed between the index's commit and the ledger's: one line never came, one was never taken back.
    await database.execute("DELETE FROM ledger_entries WHERE kind = 'stake'")
    await database.execute(
        "INSERT INTO ledger_entries SELECT x'99', 0, block, block_hash, at, 'transfer-in', '5', '', ''"
        " FROM ledger_entries LIMIT 1"
    )
    await database.close()
    async with following(chain, home) as (ledger, _):
        assert await lines(ledger) == truth


async def test_what_our_transactions_cost_is_read_from_their_receipts(make_home, chain: Chain) -> None:
    home: Home = await make_home()
    async with following(chain, home) as (ledger, _):
        assert await ledger.fees.fill(chain) == len({line.transaction for line in await ledger.history(100)})
        assert await ledger.fees.fill(chain) == 0
        fees = await ledger.fees.by_transaction()
        (staked,) = [line.transaction for line in await ledger.history(100) if line.kind == "stake"]
        receipt = await chain.rpc.request("eth_getTransactionReceipt", staked)
        # The faucet paid for its own transactions; ours is the one that staked.
        assert fees == {staked: int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)}

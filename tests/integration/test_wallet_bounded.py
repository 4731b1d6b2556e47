"""The index lets go of old logs, and no line of the ledger changes by it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from depin_desktop.chain import log_store
from depin_desktop.chain.calls import LogEvent
from depin_desktop.chain.indexer import Indexer
from depin_desktop.chain.reverts import Reverted
from depin_desktop.core.database import Database
from depin_desktop.wallet.ledger_rows import Ledger

from .chain_anvil import PERIOD_S
from .test_wallet_reconciled import BUYER, OWNER, SPENDER, STRANGER, World, opened

KEPT = 24  # headers: more than a reorganisation of these tests takes back
STEPS = 40


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_store, "KEEP_HEADERS", KEPT)


async def rows(database: Database, table: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await database.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3")]


@contextlib.asynccontextmanager
async def following(world: World, path: Path) -> AsyncIterator[tuple[Database, Indexer, Ledger]]:
    """Another index and ledger of the same parties, wired and started as the engine does it."""
    database = Database(path)
    await database.open()
    ledger, indexer = Ledger(database, world.parties), world.index(database)
    await ledger.open()
    ledger.attach(indexer)
    await indexer.start()
    await ledger.catch_up(indexer)
    await indexer.sync()
    try:
        yield database, indexer, ledger
    finally:
        await indexer.stop()
        await database.close()


async def let_pass(world: World, blocks: int, *indexers: Indexer) -> None:
    """So many blocks, each of them seen."""
    for _ in range(blocks):
        await world.anvil.ask("evm_mine")
        for indexer in indexers:
            await indexer.sync()


@pytest.mark.parametrize("seed", range(2))
async def test_after_any_history_the_ledger_of_a_bounded_index_is_that_of_a_whole_one(
    seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    async with opened(tmp_path) as world:
        await world.begin()
        deeds = [
            *(world.buy, world.claim, world.settle, world.move, world.stake, world.unstake, world.be_a_customer),
            *(world.prove, world.settle_storage, world.miss_a_period, world.reorganise),
        ]
        story: list[str] = []
        for step in range(STEPS):
            deed = deeds[step] if step < len(deeds) else chance.choice(deeds)
            story.append(deed.__name__)
            with contextlib.suppress(Reverted):  # what a contract refuses changes nothing
                await deed(chance)
            await world.check(f"seed {seed}: {', '.join(story)}")
        await let_pass(world, 2, world.indexer)
        floor, lines = world.indexer.floor, await world.ledger.history(10_000)
        assert floor > KEPT
        old = [line for line in lines if line.block <= floor]
        assert {line.kind for line in old} >= {"storage", "payout", "stake", "deposit", "transfer-out"}
        assert await world.learned_anew(tmp_path) == lines
        for again in range(2):
            await world.reorganise(chance)
            await world.check(f"seed {seed}: {', '.join(story)}, and {again + 1} times reorganised")
        async with following(world, tmp_path / "again.sqlite") as (_, _, ledger):
            assert await ledger.history(10_000) == await world.ledger.history(10_000)


async def test_what_lasts_is_found_at_any_age_and_all_else_goes(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.begin()
        await world.send(STRANGER, world.chain.token.transfer(OWNER.address, 3))
        async with following(world, tmp_path / "index.sqlite") as (database, index, ledger):
            before = await ledger.history(100)
            assert await index.events("Transfer", contract="token", to=OWNER.address)
            await let_pass(world, KEPT + 2, index)
            assert 0 < index.floor < index.height
            left = await database.rows(
                "SELECT DISTINCT contract, name FROM index_logs WHERE block <= ?", (index.floor,)
            )
            assert {tuple(row) for row in left} == {
                ("registry", "Registered"), ("registry", "Staked"), ("deals", "Opened")
            }  # fmt: skip
            assert [e.args["set_id"] for e in await index.events("Opened", provider=OWNER.address)] == [world.set_id]
            assert await index.events("Transfer", contract="token", to=OWNER.address) == []
            assert len(await database.rows("SELECT * FROM index_blocks")) == KEPT + 1
            assert await ledger.history(100) == before != []


async def test_without_accounts_an_index_keeps_everything(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.begin()
        database = Database(tmp_path / "index.sqlite")
        await database.open()
        index = Indexer(world.chain, database)
        await index.start()
        await let_pass(world, KEPT + 2, index)
        assert index.floor == -1
        assert await index.events("PiecesAdded")
        await index.stop()
        await database.close()


async def test_a_restart_takes_nothing_for_gone_that_was_let_go(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.begin()
        async with following(world, tmp_path / "index.sqlite") as (_, index, ledger):
            await world.send(STRANGER, world.chain.token.transfer(OWNER.address, 3))
            await let_pass(world, KEPT + 2, index)
            lines, floor = await ledger.history(100), index.floor
            assert max(line.block for line in lines) <= floor
        await world.send(STRANGER, world.chain.token.transfer(SPENDER.address, 5))
        async with following(world, tmp_path / "index.sqlite") as (_, index, ledger):
            newest, *others = await ledger.history(100)
            assert (newest.kind, newest.amount, others) == ("transfer-in", 5, lines)
            assert index.floor > floor
            assert await world.learned_anew(tmp_path) == [newest, *others]


async def test_an_index_of_before_becomes_the_same_as_a_new_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.begin()
        await world.send(STRANGER, world.chain.token.transfer(OWNER.address, 3))
        async with following(world, tmp_path / "before.sqlite") as (before, _, __):
            whole = {table: await rows(before, table) for table in ("index_state", "index_blocks", "index_logs")}
        old = Database(tmp_path / "old.sqlite")
        await old.open()
        await old.migrate("index", log_store.SCRIPTS[:1])
        for table, values in whole.items():
            columns = 2 if table == "index_state" else len(values[0])  # the state had no floor
            for row in values:
                await old.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})", row[:columns])
        await old.close()
        async with (
            following(world, tmp_path / "old.sqlite") as (migrated, first, old_ledger),
            following(world, tmp_path / "fresh.sqlite") as (fresh, second, ledger),
        ):
            await world.warp(await world.chain.now() + PERIOD_S)  # what was added is challenged from the next period on
            for deed in (world.prove, world.settle_storage, world.move):
                await deed(random.Random(1))
            await let_pass(world, KEPT + 2, first, second)
            assert first.floor == second.floor > 0
            for table in (*whole, "ledger_entries", "ledger_sums"):
                assert await rows(migrated, table) == await rows(fresh, table) != [], table
            tables = "SELECT name, sql FROM sqlite_master ORDER BY name"
            assert [*map(tuple, await migrated.rows(tables))] == [*map(tuple, await fresh.rows(tables))]
            assert await old_ledger.history(100) == await ledger.history(100)


async def test_what_an_account_that_comes_later_had_before_is_told_and_let_go_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.begin()
        await world.send(STRANGER, world.chain.token.transfer(BUYER.address, 3))
        async with following(world, tmp_path / "index.sqlite") as (database, index, _):
            await let_pass(world, KEPT + 2, index)
            left = await rows(database, "index_logs")
            told: list[LogEvent] = []

            async def hear(event: LogEvent) -> None:
                told.append(event)

            for name in ("Transfer", "Funded", "PiecesAdded"):
                index.on(name, hear)
            index.widen(BUYER.address, 0)
            await index.sync()
            assert {event.args["value"] for event in told if event.args["to"] == BUYER.address} >= {3}
            assert {event.name for event in told} == {"Transfer"}  # what others do with their data sets was told once
            assert await rows(database, "index_logs") == left


@contextlib.asynccontextmanager
async def given_and_taken_back(world: World, path: Path, blocks: int) -> AsyncIterator[tuple[Indexer, Ledger, int]]:
    """An index that has seen a gift and so many blocks more when the chain is set back to before it.

    Gives the block before the gift as well, and leaves what follows to the caller.
    """
    await world.indexer.stop()  # it would have the senders bring again what is taken back
    async with following(world, path) as (_, index, ledger):
        before, height = await ledger.history(100), index.height
        snapshot = await world.anvil.ask("evm_snapshot")
        await world.send(STRANGER, world.chain.token.transfer(OWNER.address, 3))
        for sender in world.senders.values():
            await sender.stop()
        await index.sync()
        await let_pass(world, blocks, index)
        assert (await ledger.history(100))[0].amount == 3
        yield index, ledger, height
        await world.anvil.ask("evm_revert", snapshot)
        await let_pass(world, 2, index)
        assert await ledger.history(100) == before != []
        assert await world.learned_anew(path.parent) == before


async def test_a_reorganisation_as_far_back_as_can_be_takes_every_line_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.begin()
        async with given_and_taken_back(world, tmp_path / "index.sqlite", KEPT - 1) as (index, _, height):
            assert index.floor == height
        assert index.floor == height


async def test_a_chain_that_has_none_of_the_newest_blocks_is_learnt_anew(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.begin()
        async with given_and_taken_back(world, tmp_path / "index.sqlite", KEPT + 2) as (index, ledger, _):
            assert (await ledger.history(100))[0].block <= index.floor
        assert index.floor == -1

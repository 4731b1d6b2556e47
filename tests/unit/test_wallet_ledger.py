"""The ledger's arithmetic: what an event means, and that sums are always the sums of what is there."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depin_desktop.api.wallet import HistoryEntry
from depin_desktop.chain.calls import LogEvent
from depin_desktop.chain.network import Addresses
from depin_desktop.core.database import Database
from depin_desktop.payments.store import Takings
from depin_desktop.wallet.ledger import (
    Amount,
    Entry,
    Parties,
    earned_since,
    earned_total,
    earnings_points,
    entry_of,
    local_midnight,
    voucher_entry,
    with_fees,
)
from depin_desktop.wallet.ledger_rows import NAMESPACE, SCRIPTS, Ledger

OWNER, PAYOUT, OPERATOR, SPENDER, FAUCET, STRANGER = (f"0x{letter * 40}" for letter in "123456")
ZERO = "0x" + "0" * 40
AT = Addresses(token="token", registry="registry", settlement="settlement", erc3009_collector="collector",
               deals="deals", multicall3="multicall3")  # fmt: skip
PARTIES = Parties(OWNER, PAYOUT, OPERATOR, SPENDER, AT, FAUCET)
TOKEN = 10**18
SET = b"\x07" * 32


def event(
    contract: str, name: str, *, tx: int = 1, index: int = 0, block: int = 5, at: int = 1000, **args: Any
) -> LogEvent:
    arguments = {key.rstrip("_"): value for key, value in args.items()}
    return LogEvent(name, contract, arguments, block, block.to_bytes(32, "big"), at, tx.to_bytes(32, "big"), index)


def proven(paid: int, **where: Any) -> LogEvent:
    return event("deals", "Proven", set_id=SET, provider=OWNER, period=3, paid=paid, **where)


def slashed(owner: str, reporter: str) -> LogEvent:
    return event("registry", "Slashed", owner=owner, module="deals", burnt=4, reporter=reporter, reward=1)


def paid_out(amount: int, **where: Any) -> LogEvent:
    return event("deals", "Settled", provider=OWNER, payout=PAYOUT, amount=amount, **where)


def transfer(sender: str, receiver: str, value: int = TOKEN) -> LogEvent:
    return event("token", "Transfer", from_=sender, to=receiver, value=value)


@pytest.mark.parametrize(
    ("what", "meant"),
    [
        (proven(5), ("storage", 5)),
        (proven(0), None),
        (replace(proven(5), args=proven(5).args | {"provider": STRANGER}), None),
        (paid_out(9), ("payout", 9)),
        (event("deals", "Settled", provider=STRANGER, payout=OWNER, amount=9), None),
        (event("settlement", "Settled", receiver=PAYOUT, token="token", sender=STRANGER, amount=9), ("payout", 9)),
        (event("settlement", "Settled", receiver=PAYOUT, token="other", sender=STRANGER, amount=9), None),
        (event("settlement", "Settled", receiver=STRANGER, token="token", sender=OWNER, amount=9), None),
        (event("registry", "Staked", owner=OWNER, amount=3), ("stake", -3)),
        (event("registry", "Unstaked", owner=OWNER, amount=3), ("unstake", 3)),
        (event("registry", "Staked", owner=STRANGER, amount=3), None),
        (slashed(OWNER, STRANGER), ("slash", -5)),
        (slashed(STRANGER, OWNER), ("transfer-in", 1)),
        (slashed(STRANGER, STRANGER), None),
        (event("registry", "Registered", owner=OWNER, operator=OPERATOR, node_id=SET, payout=PAYOUT), None),
        (transfer(STRANGER, OWNER, 2), ("transfer-in", 2)),
        (transfer(OWNER, STRANGER, 2), ("transfer-out", -2)),
        (transfer(SPENDER, STRANGER, 2), ("transfer-out", -2)),
        (transfer(FAUCET, OWNER, 2), ("faucet", 2)),
        (transfer(FAUCET, SPENDER, 2), ("faucet", 2)),
        (transfer(ZERO, OWNER, 2), ("transfer-in", 2)),
        (transfer(OWNER, SPENDER, 2), None),
        (transfer(OWNER, OWNER, 2), None),
        (transfer(STRANGER, FAUCET, 2), None),
        (transfer(STRANGER, OWNER, 0), None),
        (transfer(OWNER, "registry", 2), None),
        (transfer("registry", OWNER, 2), None),
        (transfer("deals", OWNER, 2), None),
        (transfer("settlement", OWNER, 2), None),
        (transfer(SPENDER, "deals", 2), ("deposit", -2)),
        (transfer(SPENDER, "collector", 2), ("deposit", -2)),
        (transfer("deals", SPENDER, 2), ("deposit", 2)),
        (transfer("settlement", SPENDER, 2), ("deposit", 2)),
    ],
)  # fmt: skip
def test_what_an_event_means(what: LogEvent, meant: tuple[str, int] | None) -> None:
    entry = entry_of(what, PARTIES)
    assert (entry if entry is None else (entry.kind, entry.amount)) == meant


def test_what_vouchers_paid_for_is_a_line_an_hour() -> None:
    line = voucher_entry(Takings(at=7200, payer=STRANGER, what="piece", amount=12, requests=3))
    assert (line.at, line.kind, line.amount, line.counterparty) == (7200, "reads", 12, STRANGER)
    assert line.detail == "piece, 3 requests"
    assert voucher_entry(Takings(0, STRANGER, "piece", 1, 1)).detail == "piece, 1 request"
    assert voucher_entry(Takings(0, STRANGER, "read", 1, 1)).kind == "reads"
    for what in ("chat", "embeddings", "wasm"):
        assert voucher_entry(Takings(0, STRANGER, what, 1, 1)).kind == "compute"


# --- time ---------------------------------------------------------------------------------------------------------

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Australia/Lord_Howe",
]
times = st.floats(1_600_000_000, 2_000_000_000)
amounts = st.lists(st.builds(Amount, times, st.integers(0, 10**30)), max_size=30)


@given(now=times, name=st.sampled_from(ZONES))
def test_midnight_is_midnight_there(now: float, name: str) -> None:
    zone = ZoneInfo(name)
    midnight = local_midnight(now, zone)
    there = datetime.datetime.fromtimestamp(midnight, zone)
    assert (there.hour, there.minute, there.second) == (0, 0, 0)
    assert there.date() == datetime.datetime.fromtimestamp(now, zone).date()
    assert midnight <= now < midnight + 25 * 3600


def test_days_of_a_clock_change_have_their_true_length() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    after = datetime.datetime(2026, 3, 29, 12, tzinfo=berlin).timestamp()
    assert local_midnight(after + 86_400, berlin) - local_midnight(after, berlin) == 23 * 3600
    assert local_midnight(after, berlin, days_ago=1) == datetime.datetime(2026, 3, 28, tzinfo=berlin).timestamp()


@given(earned=amounts, now=times, name=st.sampled_from(ZONES), count=st.integers(1, 40))
def test_buckets_hold_every_amount_once(earned: list[Amount], now: float, name: str, count: int) -> None:
    zone = ZoneInfo(name)
    for step in ("hour", "day"):
        points = earnings_points(earned, now, step=step, count=count, zone=zone)  # type: ignore[arg-type]
        assert len(points) == count
        assert [point.at for point in points] == sorted({point.at for point in points})
        assert sum(point.amount for point in points) == earned_since(earned, points[0].at)
    today = earnings_points(earned, now, step="day", count=1, zone=zone)
    assert today[0].amount == earned_since(earned, local_midnight(now, zone))


@given(earned=amounts)
def test_the_total_is_what_was_earned_since_ever(earned: list[Amount]) -> None:
    assert earned_total(earned) == earned_since(earned, 0) == sum(amount for _, amount in earned)


# --- rows ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    database = Database(tmp_path / "engine.sqlite")
    await database.open()
    ledger = Ledger(database, PARTIES)
    await ledger.open()
    yield ledger
    await database.close()


async def figures(ledger: Ledger) -> tuple[int, int, list[tuple[str, int]]]:
    history = await ledger.history(1000)
    return earned_total(await ledger.storage_amounts()), await ledger.paid_out(), [(h.kind, h.amount) for h in history]


async def test_amounts_beyond_sqlite_integers_are_exact(ledger: Ledger) -> None:
    huge = 10**27 + 1
    await ledger.apply_all([proven(huge, tx=1), proven(huge, tx=2)])
    assert earned_total(await ledger.storage_amounts()) == 2 * huge


async def test_an_event_counts_once_however_often_it_comes(ledger: Ledger) -> None:
    for _ in range(3):
        await ledger.apply(proven(5))
    assert await figures(ledger) == (5, 0, [("storage", 5)])


async def test_a_reorganisation_takes_back_and_gives_again(ledger: Ledger) -> None:
    first = proven(5, block=5, at=1000)
    again = replace(first, block=6, block_hash=b"\x66" * 32, block_time=5000)
    await ledger.apply(first)
    await ledger.apply(replace(first, removed=True))
    assert await figures(ledger) == (0, 0, [])
    await ledger.apply(again)
    await ledger.apply(replace(first, removed=True))  # late: the old block's removal is not the new block's
    assert await figures(ledger) == (5, 0, [("storage", 5)])
    assert (await ledger.history(1))[0].block == 6
    assert [amount.at for amount in await ledger.storage_amounts()] == [4500]


async def test_history_is_newest_first_and_pages(ledger: Ledger) -> None:
    await ledger.apply_all([proven(n, tx=n, at=n * 100, block=n) for n in range(1, 8)])
    first = await ledger.history(3)
    assert [line.amount for line in first] == [7, 6, 5]
    assert [line.amount for line in await ledger.history(3, before=first[-1].at)] == [4, 3, 2]
    assert first[0].transaction == "0x" + (7).to_bytes(32, "big").hex()


async def test_the_sets_that_one_transaction_proves_are_one_line(ledger: Ledger) -> None:
    await ledger.apply_all([proven(n, tx=1, index=n) for n in (1, 2, 3)])
    await ledger.apply_all(
        [proven(4, tx=2, block=6), paid_out(10, tx=2, index=1, block=6), paid_out(11, tx=2, index=2, block=6)]
    )
    lines = await ledger.history(10)
    assert [(line.kind, line.amount) for line in lines] == [
        ("payout", 11),
        ("payout", 10),
        ("storage", 4),
        ("storage", 6),
    ]
    assert lines[3].detail == "3 data sets, period 3"
    assert lines[2].detail == f"data set 0x{SET.hex()}, period 3"
    assert [line.amount for line in await ledger.history(3)] == [11, 10, 4]


logs = st.builds(
    lambda tx, index, block, paid, payout: (
        (paid_out if payout else proven)(paid, tx=tx, index=index, block=block, at=block * 700)
    ),
    st.integers(0, 5), st.integers(0, 2), st.integers(1, 4), st.integers(1, 10**24), st.booleans(),
)  # fmt: skip
steps = st.lists(st.tuples(logs, st.booleans()), max_size=40)


@settings(max_examples=40, deadline=None)
@given(steps=steps)
async def test_sums_are_always_those_of_the_lines(steps: list[tuple[LogEvent, bool]]) -> None:
    database = Database(Path(":memory:"))
    await database.open()
    await database.migrate(NAMESPACE, SCRIPTS)
    ledger = Ledger(database, PARTIES)
    model: dict[tuple[bytes, int], LogEvent] = {}
    for log, removed in steps:
        await ledger.apply(replace(log, removed=removed))
        key = (log.tx, log.log_index)
        if not removed:
            model[key] = log
        elif key in model and model[key].block_hash == log.block_hash:
            del model[key]
    entries = [entry for log in model.values() if (entry := entry_of(log, PARTIES)) is not None]
    earned, out, lines = await figures(ledger)
    await database.close()
    assert earned == _sum(entries, "storage")
    assert out == _sum(entries, "payout")
    for kind in ("storage", "payout"):
        assert sum(amount for what, amount in lines if what == kind) == _sum(entries, kind)


def _sum(entries: list[Entry], kind: str) -> int:
    return sum(entry.amount for entry in entries if entry.kind == kind)


def test_every_line_shows_gross_fee_and_net_and_a_fee_counts_once() -> None:
    lines = [
        HistoryEntry(at=2, kind="payout", amount=1000, transaction="0xaa"),
        HistoryEntry(at=2, kind="storage", amount=5, transaction="0xaa"),
        HistoryEntry(at=1, kind="reads", amount=7),
    ]
    shown = with_fees(lines, {"0xaa": 10**15, "0xbb": 1}, lambda wei: wei // 10**13)
    assert [(line.amount, line.fee, line.net) for line in shown] == [(1000, 10**15, 900), (5, 0, 5), (7, 0, 7)]

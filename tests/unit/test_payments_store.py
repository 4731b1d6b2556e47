"""What a provider keeps of its channels: the same after any history and a restart, exact to the last of 128 bits."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from depin_desktop.core.database import Database
from depin_desktop.payments.book import Book
from depin_desktop.payments.headers import UINT128_MAX, ChannelConfig
from depin_desktop.payments.store import Channel, ChannelStore, Promise, Refused

PAYER = "0x" + "11" * 20


def channel_of(number: int) -> Channel:
    config = ChannelConfig(
        payer=PAYER,
        payer_authorizer=PAYER,
        receiver="0x" + "22" * 20,
        receiver_authorizer="0x" + "33" * 20,
        token="0x" + "44" * 20,
        withdraw_delay=900,
        salt=number.to_bytes(32, "big"),
    )
    return Channel(number.to_bytes(32, "big"), config)


small = st.integers(0, 60)
edge = st.integers(UINT128_MAX - 60, UINT128_MAX)
steps = st.lists(
    st.tuples(st.integers(1, 2), st.one_of(small, edge), small, small, st.sampled_from(["reads", "work"])), max_size=25
)


@given(steps)
@example([(1, UINT128_MAX, 0, 0, "work"), (1, UINT128_MAX, 1, 0, "work"), (1, 5, 5, 0, "reads")])
@settings(deadline=None)
async def test_any_history_of_vouchers_is_what_the_book_says_and_survives_a_restart(
    history: list[tuple[int, int, int, int, str]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "shop.sqlite")
        await database.open()
        store, books = ChannelStore(database), {1: Book(), 2: Book()}
        await store.open()
        for number, total, price, more, what in history:
            agreed = price + more
            promise = Promise(total, total.to_bytes(65, "big"), agreed)
            expected = books[number].take(total, price, agreed)
            if expected is None:
                with pytest.raises(Refused):
                    await store.charge(channel_of(number), promise, price, what, "")
            else:
                charged, repeated = await store.charge(channel_of(number), promise, price, what, "")
                books[number] = expected
                assert (charged.book, repeated) == (expected, False)
                assert charged.signature == expected.signed.to_bytes(65, "big")  # always the newest voucher's
        reopened = ChannelStore(database)
        await reopened.open()
        assert reopened.channels == store.channels
        takings = await reopened.takings()
        assert sum(one.amount for one in takings) == sum(book.charged for book in books.values())
        await database.close()


async def test_no_writer_can_make_a_total_shrink(tmp_path: Path) -> None:
    database = Database(tmp_path / "shop.sqlite")
    await database.open()
    store = ChannelStore(database)
    await store.open()
    await store.charge(channel_of(1), Promise(100, b"\1" * 65, 100), 100, "reads", "")
    for column in ("signed", "charged"):
        with pytest.raises(sqlite3.IntegrityError):
            await database.execute(f"UPDATE payment_channels SET {column} = ?", (f"{99:039d}",))
    await database.close()


async def test_what_the_chain_says_never_touches_the_totals(tmp_path: Path) -> None:
    database = Database(tmp_path / "shop.sqlite")
    await database.open()
    store = ChannelStore(database)
    await store.open()
    stale = channel_of(1)
    promises = [Promise(total, b"\1" * 65, 10) for total in (10, 20, 30)]
    # The chain is read with what was known before, while vouchers come in.
    await asyncio.gather(
        *(store.charge(stale, promise, 10, "reads", "") for promise in promises),
        *(store.remember(replace(stale, balance=balance, checked_at=1.0)) for balance in (100, 200)),
    )
    kept = store.channels[stale.id]
    assert (kept.book.charged, kept.book.signed, kept.balance) == (30, 30, 200)
    await database.close()


async def test_who_is_cancelled_while_a_charge_is_written_does_not_hide_it(tmp_path: Path) -> None:
    database = Database(tmp_path / "shop.sqlite")
    await database.open()
    store = ChannelStore(database)
    await store.open()
    channel = channel_of(1)
    for number in range(20):
        promise = Promise(10 * (number + 1), b"\1" * 65, 10)
        charging = asyncio.ensure_future(store.charge(channel, promise, 10, "reads", ""))
        await asyncio.sleep(0)
        charging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await charging
    reopened = ChannelStore(database)
    await reopened.open()  # waits its turn behind what is being written
    assert store.channels == reopened.channels
    assert store.channels[channel.id].book.charged > 0
    await database.close()

"""Customers take turns; nobody waits for ever, and nobody who is turned away is left without a time."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.services.compute import policy
from depin_desktop.services.compute.queue import Busy, Lane, Rotation, Waiters

OWNERS = st.sampled_from("abcd")


@given(st.lists(OWNERS, max_size=60))
def test_between_two_turns_of_a_customer_everybody_else_who_waits_has_one(owners: list[str]) -> None:
    rotation: Rotation[tuple[str, int]] = Rotation()
    for number, owner in enumerate(owners):
        rotation.put(owner, (owner, number))
    left, last = Counter(owners), {}
    for turn in range(len(owners)):
        item = rotation.take()
        assert item is not None
        owner, _ = item
        if owner in last:
            between = {taken for taken, at in last.items() if at > last[owner]}
            assert {other for other, count in left.items() if count and other != owner} <= between | {owner}
        last[owner] = turn
        left[owner] -= 1
    assert rotation.take() is None


@given(st.lists(st.tuples(OWNERS, st.booleans()), max_size=60))
def test_each_customers_own_jobs_keep_their_order_and_none_is_lost(steps: list[tuple[str, bool]]) -> None:
    rotation: Rotation[tuple[str, int]] = Rotation()
    put: dict[str, list[int]] = {}
    taken: dict[str, list[int]] = {}
    for number, (owner, take) in enumerate(steps):
        rotation.put(owner, (owner, number))
        put.setdefault(owner, []).append(number)
        if take:
            whose, which = rotation.take() or ("", 0)
            taken.setdefault(whose, []).append(which)
    while (item := rotation.take()) is not None:
        taken.setdefault(item[0], []).append(item[1])
    assert taken == put
    assert len(rotation) == 0


async def test_no_more_run_at_once_than_there_are_slots_and_customers_alternate() -> None:
    lane, order, most = Lane(lambda: 2, Waiters()), [], 0

    async def job(customer: str, number: int) -> None:
        nonlocal most
        async with lane.turn(customer):
            most = max(most, lane.running)
            order.append(customer)
            await asyncio.sleep(0)

    await asyncio.gather(*(job("greedy", n) for n in range(8)), *(job("modest", n) for n in range(2)))
    assert most == 2
    assert order.index("modest") <= 3  # not behind all eight of the other
    assert lane.running == len(lane) == 0


async def test_a_full_queue_says_when_to_come_again() -> None:
    lane, go_on = Lane(lambda: 1, Waiters()), asyncio.Event()
    lane.mean_s = 3.0

    async def job() -> None:
        async with lane.turn("a"):
            await go_on.wait()

    jobs = [asyncio.create_task(job()) for _ in range(1 + policy.WAITING_PER_CUSTOMER)]
    await asyncio.sleep(0)
    with pytest.raises(Busy) as refused:
        lane.check("a")
    assert refused.value.status == 429
    assert refused.value.retry_after_s == 3 * (policy.WAITING_PER_CUSTOMER + 1)
    lane.check("b")  # another customer still finds a place
    go_on.set()
    await asyncio.gather(*jobs)


async def test_who_leaves_while_waiting_blocks_nobody() -> None:
    waiters = Waiters()
    lane, go_on, ran = Lane(lambda: 1, waiters), asyncio.Event(), []

    async def job(name: str) -> None:
        async with lane.turn(name):
            ran.append(name)
            await go_on.wait()

    jobs = [asyncio.create_task(job(name)) for name in ("first", "leaves", "stays")]
    await asyncio.sleep(0)
    jobs[1].cancel()
    go_on.set()
    await asyncio.gather(*jobs, return_exceptions=True)
    assert ran == ["first", "stays"]
    assert waiters.count == lane.running == 0
    assert waiters.of == {}


async def test_a_turn_that_comes_as_its_customer_leaves_goes_to_the_next() -> None:
    lane, ran = Lane(lambda: 1, Waiters()), []

    async def job(name: str) -> None:
        async with lane.turn(name):
            ran.append(name)

    async with lane.turn("first"):
        waiting = [asyncio.create_task(job(name)) for name in ("leaves", "stays")]
        await asyncio.sleep(0)
    waiting[0].cancel()  # its slot is given, but it has not woken yet
    await asyncio.gather(*waiting, return_exceptions=True)
    assert ran == ["stays"]
    assert lane.running == 0


async def test_more_slots_let_those_who_wait_begin() -> None:
    slots = 0
    lane = Lane(lambda: slots, Waiters())

    async def job() -> None:
        async with lane.turn("a"):
            pass

    waiting = asyncio.create_task(job())
    await asyncio.sleep(0)
    assert len(lane) == 1
    slots = 1
    lane.advance()
    await waiting

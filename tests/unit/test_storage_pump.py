"""The pump: nothing lost, nothing reordered, bounded, and every failure told."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depin_desktop.services.storage.pump import Pump


@settings(deadline=None, max_examples=40)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=60), st.integers(1, 50), st.integers(1, 120))
def test_everything_arrives_once_and_in_order(chunks: list[bytes], batch: int, queue: int):
    got: list[bytes] = []

    async def main() -> None:
        pump = Pump(asyncio.to_thread, got.extend, batch_bytes=batch, queue_bytes=max(batch, queue))
        for chunk in chunks:
            await pump.put(chunk)
        await pump.finish()

    asyncio.run(main())
    assert got == chunks


async def test_a_full_queue_holds_the_sender_up_until_the_thread_is_free():
    free, batches = threading.Event(), []

    def work(batch: list[bytes]) -> None:
        free.wait()
        batches.append(len(b"".join(batch)))

    pump = Pump(asyncio.to_thread, work, batch_bytes=10, queue_bytes=30)
    await pump.put(bytes(10))  # goes to the thread
    await pump.put(bytes(20))
    held_up = asyncio.ensure_future(pump.put(bytes(10)))
    await asyncio.sleep(0)
    assert not held_up.done()
    free.set()
    await held_up
    await pump.finish()
    assert batches == [10, 30]


async def test_a_failure_reaches_the_sender_and_ends_the_work():
    calls = []

    def work(batch: list[bytes]) -> None:
        calls.append(batch)
        raise OSError("no space")

    pump = Pump(asyncio.to_thread, work, batch_bytes=1, queue_bytes=100)
    await pump.put(b"a")
    with pytest.raises(OSError, match="no space"):
        await pump.finish()
    with pytest.raises(OSError, match="no space"):
        await pump.put(b"b")
    await pump.stop()
    assert calls == [[b"a"]]


async def test_stopping_waits_for_the_thread_and_drops_the_rest():
    free, done = threading.Event(), []

    def work(batch: list[bytes]) -> None:
        free.wait()
        done.append(batch)

    pump = Pump(asyncio.to_thread, work, batch_bytes=1, queue_bytes=100)
    await pump.put(b"a")
    await pump.put(b"b")
    stopping = asyncio.ensure_future(pump.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    free.set()
    await stopping
    assert done == [[b"a"]]

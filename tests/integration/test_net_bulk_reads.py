"""Reads that a thread polls give what the binding's own reads give, also when cancelled or when the stream breaks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from importlib import import_module

import iroh
import pytest

from depin_desktop.net import bulk_reads, iroh_patch

ALPN = b"test"
LARGE = 512 * 1024


async def endpoint() -> iroh.Endpoint:
    return await iroh.Endpoint.bind(
        iroh.EndpointOptions(
            preset=iroh.preset_minimal(), bind_addr="127.0.0.1:0", relay_mode=iroh.RelayMode.disabled(), alpns=[ALPN]
        )
    )


@pytest.fixture
async def streams() -> AsyncIterator[tuple[iroh.SendStream, iroh.RecvStream]]:
    """The two ends of one direction of a stream."""
    iroh_patch.apply()
    left, right = await endpoint(), await endpoint()

    async def welcome() -> iroh.Connection:
        return await (await (await right.accept_next()).accept()).connect()

    accepting = asyncio.create_task(welcome())
    calling = await left.connect(iroh.EndpointAddr(right.id(), None, list(right.bound_sockets())), ALPN)
    sender = (await calling.open_bi()).send()
    await sender.write_all(b"!")  # the other side learns of a stream by its first byte
    called = await accepting
    receiver = (await called.accept_bi()).recv()
    assert await receiver.read(1) == b"!"
    yield sender, receiver
    await left.close()
    await right.close()


@pytest.fixture
def polled(monkeypatch) -> list[int]:
    """The sizes of the reads that threads polled."""
    sizes: list[int] = []
    original = bulk_reads._read_in_thread

    async def counting(inner, receiver, size):
        sizes.append(size)
        return await original(inner, receiver, size)

    monkeypatch.setattr(bulk_reads, "_read_in_thread", counting)
    return sizes


async def read_all(read: bulk_reads.Read, size: int) -> bytes:
    found = bytearray()
    while part := await read(size):
        found += part
    return bytes(found)


@pytest.mark.parametrize("size", [1000, LARGE])
async def test_every_byte_arrives_in_order(streams, polled, size):
    sender, receiver = streams
    sent = os.urandom(3 * LARGE + 17)

    async def send() -> None:
        await sender.write_all(sent)
        await sender.finish()

    sending = asyncio.create_task(send())
    assert await read_all(bulk_reads.reader(receiver), size) == sent
    await sending
    assert bool(polled) == (size == LARGE)


async def test_a_cancelled_read_lets_go_of_the_stream(streams):
    _, receiver = streams
    read = bulk_reads.reader(receiver)
    for turns in [0, 1] * 25:
        reading = asyncio.create_task(read(LARGE))
        for _ in range(turns):
            await asyncio.sleep(0)  # begun, and then queued for a thread, polled by one, or waiting for bytes
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    await receiver.stop(0)  # needs the lock that a read holds


async def test_a_stream_that_breaks_is_the_bindings_own_error(streams):
    sender, receiver = streams
    reading = asyncio.create_task(bulk_reads.reader(receiver)(LARGE))
    await sender.reset(7)
    with pytest.raises(iroh.IrohError):
        await reading


async def test_a_binding_with_other_internals_is_read_as_it_comes(streams, polled, monkeypatch):
    sender, receiver = streams
    monkeypatch.delattr(import_module("iroh.iroh_ffi"), "_UniffiContinuationHandleMap")
    bulk_reads._internals.cache_clear()
    try:
        assert bulk_reads._internals() is None
        monkeypatch.undo()
        read = bulk_reads.reader(receiver)
        await sender.write_all(b"here")
        assert await read(LARGE) == b"here"
        assert polled == []
    finally:
        bulk_reads._internals.cache_clear()

"""Crowds that hold all they can get: who is served, who gives way, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import psutil
import pytest
from aiohttp import web

from depin_desktop.net import admission, door
from depin_desktop.net.admission import Limits
from depin_desktop.net.callers import Handshakes
from depin_desktop.net.door import note_paid
from depin_desktop.net.identity import Identity
from depin_desktop.net.peer import Peer
from depin_desktop.net.stream import StreamTransport

from .net_strangers import Flood, Swallower, begin, ended, strangers

MIB = 2**20
LARGE = bytes(8 * MIB)
A_HEAD = b"POST /read HTTP/1.1\r\nHost: node\r\nContent-Length: 1000000\r\n\r\n"


@dataclass
class Provider:
    """A serving peer. `/wait` and `/paid` say that they have begun and end when told to; `/paid` counts as paid for."""

    peer: Peer
    begun: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    release: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> tuple[str, tuple[str, ...]]:
        return self.peer.node_id, self.peer.addresses

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/hello", self.hello),
                web.get("/large", self.large),
                web.post("/read", self.read),
                web.get("/wait", self.wait),
                web.get("/paid", self.paid),
            ]
        )
        return app

    async def hello(self, _: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def large(self, _: web.Request) -> web.Response:
        return web.Response(body=LARGE)

    async def read(self, request: web.Request) -> web.Response:
        self.begun.release()
        return web.Response(text=str(len(await request.read())))

    async def wait(self, _: web.Request) -> web.Response:
        self.begun.release()
        await self.release.wait()
        return web.Response(text="done")

    async def paid(self, request: web.Request) -> web.Response:
        note_paid(request)
        return await self.wait(request)

    async def tidied(self) -> None:
        await self.peer.tidy_cycle.trigger_and_wait()


@contextlib.asynccontextmanager
async def provider(**limits: int) -> AsyncIterator[Provider]:
    peer = await Peer.bind(Identity.generate(), relays=False, limits=Limits(**limits))
    started = Provider(peer)
    await peer.serve(started.app())
    try:
        yield started
    finally:
        started.release.set()
        await peer.close()


@contextlib.asynccontextmanager
async def customer(identity: Identity | None = None) -> AsyncIterator[Peer]:
    peer = await Peer.bind(identity or Identity.generate(), relays=False)
    try:
        yield peer
    finally:
        await peer.close()


async def ask(peer: Peer, started: Provider, path: str = "/hello") -> str:
    async with peer.session(*started.address).get(path) as response:
        return await response.text()


async def newcomer_asks(started: Provider) -> str:
    """What somebody gets who was never here before, and is not afterwards."""
    async with customer() as newcomer:
        return await ask(newcomer, started)


def living() -> tuple[int, int, int]:
    """Tasks, streams and open files of this process."""
    gc.collect()
    streams = sum(isinstance(thing, StreamTransport) for thing in gc.get_objects())
    return len(asyncio.all_tasks()), streams, psutil.Process().num_fds()


async def test_a_flood_of_half_open_requests_crowds_out_itself_and_leaves_nothing_behind():
    async with provider(half_open=32) as started, customer() as working:
        answer = asyncio.create_task(ask(working, started, "/wait"))
        await started.begun.acquire()
        before = living()
        flood = Flood(*started.address, nodes=12, streams=30)
        spreading = asyncio.create_task(flood.spread())
        served = [await newcomer_asks(started) for _ in range(5)]
        while not spreading.done():
            served.append(await newcomer_asks(started))
        while flood.open > 32:
            await started.tidied()
        served += [await newcomer_asks(started) for _ in range(5)]

        assert set(served) == {"hello"}
        assert (flood.begun, flood.open, flood.answered) == (360, 32, 0)
        holders = Counter(inbound.node_id for inbound in started.peer._room)
        assert holders.pop(working.node_id) == 1
        # Each node has its share of what such requests may take: whoever held more has lost it to the others.
        assert sorted(holders.values())[:12] >= [2] * 12
        assert len(holders) == 12

        await flood.close()
        async with asyncio.timeout(30):
            while started.peer.peers > 1 or living() != before:
                await started.tidied()
        started.release.set()
        assert await answer == "done"


async def test_a_request_that_comes_whole_takes_the_place_of_one_that_does_not():
    async with provider(streams=6) as started, strangers(6) as six:
        streams = [await begin(await stranger.call(*started.address)) for stranger in six]
        while started.peer.streams < 6:
            await started.tidied()
        assert await newcomer_asks(started) == "hello"
        assert await ended(streams[0])  # the oldest
        rest = [asyncio.create_task(ended(stream)) for stream in streams[1:]]
        assert await newcomer_asks(started) == "hello"
        assert not any(task.done() for task in rest)  # where the newcomer left again there is room
        for task in rest:
            task.cancel()


async def test_who_only_waits_for_the_next_request_gives_way_and_is_served_again():
    async with provider(streams=6) as started, contextlib.AsyncExitStack() as stack:
        seven = [await stack.enter_async_context(customer()) for _ in range(7)]
        for _ in range(2):
            for peer in seven:
                assert await ask(peer, started) == "hello"
                assert started.peer.streams <= 6


async def test_bodies_that_do_not_come_give_way_once_they_have_stalled(monkeypatch):
    async with provider(streams=6) as started, strangers(6) as six:
        streams = [await begin(await stranger.call(*started.address), A_HEAD) for stranger in six]
        for _ in streams:
            await started.begun.acquire()
        with pytest.raises(aiohttp.ClientError):  # for all that is known, they are at work
            await newcomer_asks(started)
        monkeypatch.setattr(door, "PACE_S", 0.0)
        await started.tidied()
        assert await newcomer_asks(started) == "hello"
        assert await ended(streams[0])


async def test_what_is_paid_for_is_answered_however_long_it_takes(monkeypatch):
    monkeypatch.setattr(door, "PACE_S", 0.0)
    async with provider(streams=3) as started, strangers(6) as six, customer() as payer:
        answer = asyncio.create_task(ask(payer, started, "/paid"))
        await started.begun.acquire()
        streams = []
        for stranger in six:
            streams.append(await begin(await stranger.call(*started.address), A_HEAD))
            await started.begun.acquire()
            await started.tidied()
        assert await newcomer_asks(started) == "hello"
        started.release.set()
        assert await answer == "done"


async def test_who_has_paid_before_is_let_in_though_all_streams_are_at_work():
    async with provider(streams=4) as started, strangers(4) as four:
        identity = Identity.generate()
        started.release.set()
        async with customer(identity) as payer:
            assert await ask(payer, started, "/paid") == "done"
        await started.begun.acquire()
        streams = [await begin(await stranger.call(*started.address), A_HEAD) for stranger in four]
        for _ in streams:
            await started.begun.acquire()
        with pytest.raises(aiohttp.ClientError):
            await newcomer_asks(started)
        async with customer(identity) as payer:  # a connection of its own: the node is known again
            assert await ask(payer, started) == "hello"
        assert await ended(streams[0])


async def test_an_answer_is_under_way_until_its_last_byte_is_written():
    """Its handler has long returned. Were it taken for an idle one, it would give way."""
    async with provider(streams=1) as started, customer() as reader, strangers(1) as (stranger,):
        async with reader.session(*started.address).get("/large") as response:
            assert response.status == 200
            stream = await begin(await stranger.call(*started.address))
            assert await ended(stream)
            assert await response.read() == LARGE
        stream = await begin(await stranger.call(*started.address), b"GET /hello HTTP/1.1\r\nHost: node\r\n\r\n")
        assert not await ended(stream)


async def test_connections_that_only_begin_to_ask_keep_no_newcomer_out():
    async with provider(connections=3) as started, strangers(3) as three:
        connections = [await stranger.call(*started.address) for stranger in three]
        streams = [await begin(connection) for connection in connections]
        while started.peer.streams < len(streams):
            await started.tidied()
        assert await newcomer_asks(started) == "hello"
        assert "busy" in await connections[0].closed()
        assert [connection.close_reason() for connection in connections[1:]] == [None, None]


async def test_who_has_paid_before_takes_the_place_of_a_connection_at_work():
    async with provider(connections=1) as started, strangers(1) as (stranger,):
        identity = Identity.generate()
        started.release.set()
        async with customer(identity) as payer:
            assert await ask(payer, started, "/paid") == "done"
        await started.begun.acquire()
        connection = await stranger.call(*started.address)
        stream = await begin(connection, A_HEAD)
        await started.begun.acquire()
        with pytest.raises(aiohttp.ClientError):
            await newcomer_asks(started)
        async with customer(identity) as payer:
            assert await ask(payer, started) == "hello"
        assert "busy" in await connection.closed()
        assert await ended(stream)


async def test_handshakes_that_never_end_keep_nobody_out():
    async with contextlib.AsyncExitStack() as stack:
        started = await stack.enter_async_context(provider(handshakes=4, unproven_handshakes=2))
        (stranger,) = await stack.enter_async_context(strangers(1))
        nowhere = await stack.enter_async_context(Swallower.between(started.peer.addresses[0]))
        calls = [asyncio.create_task(stranger.call(started.peer.node_id, [nowhere])) for _ in range(12)]
        while len(started.peer._handshakes) < 4:
            await started.tidied()
        for _ in range(5):
            assert await newcomer_asks(started) == "hello"
        assert len(started.peer._handshakes) <= 4
        assert not any(call.done() and call.exception() is None for call in calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_the_address_with_most_handshakes_loses_its_oldest():
    under_way = Handshakes(Limits(handshakes=3))
    tasks = [asyncio.create_task(asyncio.Event().wait()) for _ in range(5)]
    for task, source in zip(tasks, ("a", "b", "b", "c", "b"), strict=True):
        under_way.add(task, source)
    await asyncio.wait(tasks[1:3], return_when=asyncio.ALL_COMPLETED)
    assert [task.cancelled() for task in tasks] == [False, True, True, False, False]
    assert len(under_way) == 3
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(under_way) == 0


async def test_half_a_request_is_ended_in_time_though_bytes_keep_coming(monkeypatch):
    async with provider() as started, strangers(1) as (stranger,):
        stream = await begin(await stranger.call(*started.address))
        while not started.peer.streams:
            await started.tidied()
        await stream.send().write_all(b"X-More: 1\r\n")
        monkeypatch.setattr(admission, "HEAD_TIMEOUT_S", -1.0)
        await started.tidied()
        assert await ended(stream)
        while started.peer.streams:
            await started.tidied()


async def test_a_head_that_does_not_end_is_cut_off():
    async with provider() as started, strangers(1) as (stranger,):
        stream = await begin(await stranger.call(*started.address))
        with contextlib.suppress(Exception):  # it may be told in the middle
            for _ in range(100):
                await stream.send().write_all(b"X-More: " + b"x" * 1000 + b"\r\n")
        assert await ended(stream)
        while started.peer.streams:
            await started.tidied()

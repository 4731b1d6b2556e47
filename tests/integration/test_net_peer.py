"""Peers find each other again, give up in time, and cannot be harmed by many callers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import iroh
import pytest
from aiohttp import web

from depin_desktop.core.errors import UserFacingError
from depin_desktop.net import links
from depin_desktop.net import peer as peer_module
from depin_desktop.net.admission import Limits
from depin_desktop.net.http import as_user_error
from depin_desktop.net.identity import Identity
from depin_desktop.net.peer import Peer

from .net_strangers import Stranger
from .net_strangers import strangers as some_strangers

CHILD = Path(__file__).with_name("net_child.py")
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Child:
    process: asyncio.subprocess.Process
    node_id: str
    address: str

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@contextlib.asynccontextmanager
async def child(secret: bytes) -> AsyncIterator[Child]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(CHILD),
        secret.hex(),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    node_id, address = (await process.stdout.readline()).decode().split()
    started = Child(process, node_id, address)
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            await started.kill()


@dataclass
class Provider:
    """A serving peer; `/wait` says that it has begun and ends when told to."""

    peer: Peer
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> tuple[str, tuple[str, ...]]:
        return self.peer.node_id, self.peer.addresses

    async def hello(self, _: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def wait(self, _: web.Request) -> web.Response:
        self.begun.set()
        await self.release.wait()
        return web.Response(text="done")


@contextlib.asynccontextmanager
async def provider(identity: Identity | None = None, **limits: int) -> AsyncIterator[Provider]:
    peer = await Peer.bind(identity or Identity.generate(), relays=False, limits=Limits(**limits))
    started = Provider(peer)
    app = web.Application()
    app.add_routes([web.get("/hello", started.hello), web.get("/wait", started.wait)])
    await peer.serve(app)
    try:
        yield started
    finally:
        started.release.set()
        await peer.close()


@pytest.fixture
async def customer() -> AsyncIterator[Peer]:
    peer = await Peer.bind(Identity.generate(), relays=False)
    yield peer
    await peer.close()


async def get(session: aiohttp.ClientSession, path: str = "/hello") -> str:
    async with session.get(path) as response:
        return await response.text()


@pytest.fixture
async def strangers() -> AsyncIterator[list[Stranger]]:
    async with some_strangers(3) as three:
        yield three


async def test_a_node_listens_on_the_loopback_interface_only_unless_told_otherwise():
    async with provider() as started:
        assert all(address.startswith("127.0.0.1:") for address in started.peer.addresses)
        assert all(socket.startswith(("127.0.0.1:", "[::1]:")) for socket in started.peer._endpoint.bound_sockets())


async def test_a_node_told_to_listen_everywhere_names_its_other_addresses_too():
    peer = await Peer.bind(Identity.generate(), relays=False, listen="0.0.0.0:0")
    assert peer.addresses[0].startswith("127.0.0.1:")
    assert len({address.rpartition(":")[2] for address in peer.addresses if not address.startswith("[")}) == 1
    await peer.close()


async def test_an_address_that_is_taken_is_an_error_in_words(customer):
    with pytest.raises(UserFacingError) as caught:
        await Peer.bind(Identity.generate(), relays=False, listen=customer.addresses[0])
    assert caught.value.code == "peer-bind-failed"


async def test_both_sides_count_their_peers(customer):
    async with provider() as started:
        assert (started.peer.peers, customer.peers) == (0, 0)
        await get(customer.session(*started.address))
        assert (started.peer.peers, customer.peers) == (1, 1)


async def test_a_node_that_restarts_on_a_new_port_is_found_at_once(customer):
    identity = Identity.generate()
    async with provider(identity) as first:
        before = first.address
        assert await get(customer.session(*before)) == "hello"
    async with provider(identity) as second:
        assert second.address != before
        assert await get(customer.session(*second.address)) == "hello"


async def test_a_killed_node_that_moved_is_found_before_its_old_connection_times_out(customer):
    secret = os.urandom(32)
    async with child(secret) as first:
        assert await get(customer.session(first.node_id, [first.address])) == "hello"
        await first.kill()
    async with child(secret) as second, asyncio.timeout(5):
        assert await get(customer.session(second.node_id, [second.address])) == "hello"


async def test_what_runs_goes_on_when_a_node_names_another_address(customer):
    async with provider() as started:
        node_id, addresses = started.address
        running = asyncio.create_task(get(customer.session(node_id, addresses), "/wait"))
        await started.begun.wait()
        assert await get(customer.session(node_id, [*addresses, "127.0.0.1:9"])) == "hello"
        started.release.set()
        assert await running == "done"


async def test_a_node_killed_in_mid_body_is_a_clear_error(customer, monkeypatch):
    monkeypatch.setattr(links, "SILENCE_S", -1.0)
    async with child(os.urandom(32)) as killed:
        session = customer.session(killed.node_id, [killed.address])
        async with session.get("/hang") as response:
            assert await response.content.readany() == b"begun"
            await killed.kill()
            rest = asyncio.create_task(response.content.readany())
            while not rest.done():
                await customer.tidy_cycle.trigger_and_wait()
            with pytest.raises(aiohttp.ClientPayloadError) as caught:
                await rest
    error = as_user_error(caught.value, killed.node_id)
    assert error.code == "peer-lost"
    assert killed.node_id[:10] in error.message


async def test_nobody_at_the_address_is_an_error_in_time(customer, monkeypatch):
    monkeypatch.setattr(links, "CONNECT_TIMEOUT_S", 0.3)
    with pytest.raises(UserFacingError) as caught:
        await get(customer.session(Identity.generate().node_id, ["127.0.0.1:9"]))
    assert caught.value.code == "peer-unreachable"


async def test_another_node_at_the_address_is_not_taken_for_the_one_meant(customer, monkeypatch):
    monkeypatch.setattr(links, "CONNECT_TIMEOUT_S", 0.3)
    async with provider() as started:
        with pytest.raises(UserFacingError) as caught:
            await get(customer.session(Identity.generate().node_id, started.peer.addresses))
        assert caught.value.code == "peer-unreachable"
        assert started.peer.peers == 0


@pytest.mark.parametrize("node_id", ["", "zz", "00" * 31, "ff" * 32])
async def test_a_node_id_that_is_none_is_unreachable(customer, monkeypatch, node_id):
    monkeypatch.setattr(links, "CONNECT_TIMEOUT_S", 0.3)
    with pytest.raises(UserFacingError) as caught:
        await get(customer.session(node_id, ["127.0.0.1:9"]))
    assert caught.value.code == "peer-unreachable"


async def test_a_node_that_calls_itself_is_told_so_in_words():
    async with provider() as started:
        with pytest.raises(UserFacingError):
            await get(started.peer.session(*started.address))


async def test_a_caller_with_another_protocol_is_turned_away(strangers):
    async with provider() as started:
        with pytest.raises(iroh.IrohError):
            await strangers[0].call(*started.address, b"depin/other/1")
        assert started.peer.peers == 0


async def test_one_node_gets_no_more_connections_than_its_share(strangers, customer):
    async with provider(connections_per_node=2) as started:
        connections = [await strangers[0].call(*started.address) for _ in range(4)]
        for connection in connections[:2]:
            assert "replaced" in await connection.closed()
        assert await get(customer.session(*started.address)) == "hello"


async def test_when_all_places_are_taken_the_idle_give_way_to_newcomers(strangers, customer):
    async with provider(connections=2) as started:
        connections = [await stranger.call(*started.address) for stranger in strangers]
        assert "busy" in await connections[0].closed()
        assert await get(customer.session(*started.address)) == "hello"
        assert started.peer.peers == 2


async def test_callers_at_work_are_not_sent_away_for_newcomers(strangers, customer):
    async with provider(connections=1) as started:
        working = asyncio.create_task(get(customer.session(*started.address), "/wait"))
        await started.begun.wait()
        refused = await strangers[0].call(*started.address)
        assert "busy" in await refused.closed()
        started.release.set()
        assert await working == "done"


async def test_a_caller_opens_no_more_streams_than_its_share(strangers, customer):
    async with provider(streams_per_node=5) as started:
        connection = await strangers[0].call(*started.address)
        streams = [await connection.open_bi() for _ in range(8)]
        for stream in streams:
            await stream.send().write_all(b"GET /")
        for stream in streams[5:]:
            with pytest.raises(iroh.IrohError):
                await stream.recv().read(1)
        assert started.peer.streams == 5
        assert await get(customer.session(*started.address)) == "hello"


async def test_nodes_that_take_all_streams_they_can_leave_room_for_others(strangers, customer):
    async with provider(streams=20) as started:
        connections = [await stranger.call(*started.address) for stranger in strangers]
        streams = [await connection.open_bi() for _ in range(9) for connection in connections]
        for stream in streams:
            await stream.send().write_all(b"GET /")
        last = streams[-1]
        with pytest.raises(iroh.IrohError):  # when the last one is refused, all have been looked at
            await last.recv().read(1)
        assert 10 <= started.peer.streams < 20
        assert await get(customer.session(*started.address)) == "hello"


async def test_a_caller_that_opens_streams_of_another_kind_is_sent_away(strangers):
    async with provider() as started:
        connection = await strangers[0].call(*started.address)
        stream = await connection.open_uni()
        await stream.write_all(b"x")
        assert "unwanted stream" in await connection.closed()


async def test_hundreds_of_connections_of_strangers_leave_room_for_a_customer(strangers, customer):
    async with provider() as started:
        calls = asyncio.gather(
            *(strangers[index % 3].call(*started.address) for index in range(300)), return_exceptions=True
        )
        assert await get(customer.session(*started.address)) == "hello"
        await calls
        assert await get(customer.session(*started.address)) == "hello"
        assert started.peer.peers <= 4


async def test_what_nobody_uses_is_closed_and_opened_again_when_needed(customer, monkeypatch):
    async with provider() as started:
        session = customer.session(*started.address)
        async with session.get("/hello", headers={"Connection": "close"}) as response:
            await response.read()
        monkeypatch.setattr(links, "IDLE_S", -1.0)
        while customer.peers:
            await customer.tidy_cycle.trigger_and_wait()
        assert await get(session) == "hello"


async def test_a_stream_on_which_nothing_moves_is_aborted(strangers, monkeypatch):
    async with provider() as started:
        connection = await strangers[0].call(*started.address)
        stream = await connection.open_bi()
        await stream.send().write_all(b"GET /hello HTT")
        while not started.peer.streams:
            await started.peer.tidy_cycle.trigger_and_wait()
        monkeypatch.setattr(peer_module, "STREAM_IDLE_S", -1.0)
        await started.peer.tidy_cycle.trigger_and_wait()
        with pytest.raises(iroh.IrohError):
            await stream.recv().read(10)


async def test_closing_twice_is_harmless_and_a_closed_peer_opens_no_sessions(customer):
    await customer.close()
    await customer.close()
    with pytest.raises(RuntimeError):
        customer.session("00" * 32, [])

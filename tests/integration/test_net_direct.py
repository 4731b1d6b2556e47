"""Bulk transfers go over TLS where two nodes can reach each other that way, and over QUIC wherever that fails."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from depin_desktop.net import admission, links
from depin_desktop.net.direct import server as direct_server
from depin_desktop.net.direct.certificate import client_context, server_context
from depin_desktop.net.direct.server import DirectLimits
from depin_desktop.net.direct.tickets import KNOCK_BYTES, TICKET_BYTES
from depin_desktop.net.direct.transport import DirectTransport
from depin_desktop.net.direct.wire import PATH, READY, Directions
from depin_desktop.net.door import note_paid
from depin_desktop.net.http import in_chunks, peer_node_id
from depin_desktop.net.identity import Identity
from depin_desktop.net.peer import Peer

BODY = os.urandom(9_000_001)


@dataclass
class Provider:
    """Says who asked and by which way, swallows and gives bytes."""

    peer: Peer
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> tuple[str, tuple[str, ...]]:
        return self.peer.node_id, self.peer.addresses

    async def who(self, request: web.Request) -> web.Response:
        return web.json_response([isinstance(request.transport, DirectTransport), peer_node_id(request)])

    async def pay(self, request: web.Request) -> web.Response:
        note_paid(request)
        return web.json_response(isinstance(request.transport, DirectTransport))

    async def take(self, request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def refuse(self, request: web.Request) -> web.Response:
        await request.content.readany()
        return web.json_response([isinstance(request.transport, DirectTransport), "full"], status=507)

    async def hang(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"begun")
        self.hanging.set()
        lost = getattr(request.transport, "lost", None)
        assert lost is not None
        lost.add_done_callback(lambda _: self.left.set())
        await self.release.wait()
        return response

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2 * len(BODY))
        app.add_routes([web.get("/who", self.who), web.get("/pay", self.pay), web.put("/take", self.take)])
        app.add_routes([web.put("/refuse", self.refuse), web.get("/hang", self.hang)])
        return app


@contextlib.asynccontextmanager
async def provider(identity: Identity | None = None, *, direct: bool = True) -> AsyncIterator[Provider]:
    peer = await Peer.bind(identity or Identity.generate(), relays=False, direct=direct)
    started = Provider(peer)
    await peer.serve(started.app())
    try:
        yield started
    finally:
        started.release.set()
        await peer.close()


@pytest.fixture
async def customer() -> AsyncIterator[Peer]:
    peer = await Peer.bind(Identity.generate(), relays=False, direct=True)
    yield peer
    await peer.close()


async def who(session: aiohttp.ClientSession) -> list[object]:
    async with session.get("/who") as response:
        found: list[object] = await response.json()
        return found


async def bulk(customer: Peer, started: Provider) -> aiohttp.ClientSession:
    """The session for bulk, once the search for a direct way has ended."""
    session = customer.session(*started.address, bulk=True)
    await customer.directly(started.peer.node_id)
    return session


async def directions(customer: Peer, started: Provider) -> Directions:
    async with customer.session(*started.address).post(PATH) as response:
        return Directions.model_validate_json(await response.read())


async def test_bulk_goes_directly_and_both_sides_know_each_other(customer):
    async with provider() as started:
        session = await bulk(customer, started)
        assert await customer.directly(started.peer.node_id)
        assert await who(session) == [True, customer.node_id]
        assert started.peer.streams >= 1


async def test_what_is_not_bulk_stays_with_quic(customer):
    async with provider() as started:
        await bulk(customer, started)
        assert await who(customer.session(*started.address)) == [False, customer.node_id]


async def test_the_first_bulk_request_does_not_wait_for_the_direct_way(customer):
    async with provider() as started:
        session = customer.session(*started.address, bulk=True)
        assert await who(session) == [False, customer.node_id]
        await customer.directly(started.peer.node_id)
        assert await who(session) == [True, customer.node_id]


async def test_many_bytes_pass_unchanged_both_ways_and_many_at_once(customer):
    async with provider() as started:
        session = await bulk(customer, started)

        async def there_and_back() -> bool:
            headers = {"Content-Length": str(len(BODY))}
            async with session.put("/take", data=in_chunks(BODY), headers=headers) as response:
                return await response.read() == BODY

        assert all(await asyncio.gather(*(there_and_back() for _ in range(4))))


@pytest.mark.parametrize(("ours", "theirs"), [(True, False), (False, True)])
async def test_where_one_side_has_none_everything_goes_over_quic(ours, theirs):
    peer = await Peer.bind(Identity.generate(), relays=False, direct=ours)
    async with provider(direct=theirs) as started:
        session = await bulk(peer, started)
        assert not await peer.directly(started.peer.node_id)
        assert await who(session) == [False, peer.node_id]
    await peer.close()


async def test_who_pays_directly_is_known_to_have_paid(customer):
    async with provider() as started:
        session = await bulk(customer, started)
        assert not started.peer.has_paid(customer.node_id)
        async with session.get("/pay") as response:
            assert await response.json()
        assert started.peer.has_paid(customer.node_id)


async def test_a_direct_connection_that_never_asks_is_let_go(customer, monkeypatch):
    async with provider() as started, asyncio.timeout(10):
        session = await bulk(customer, started)
        assert await who(session) == [True, customer.node_id]
        (connection,) = started.peer._came_directly
        monkeypatch.setattr(admission, "WAIT_TIMEOUT_S", -1.0)
        while not connection.lost.done():
            await started.peer.tidy_cycle.trigger_and_wait()
        assert await who(session) == [True, customer.node_id]  # over a new one


async def test_the_port_is_quics_own_number(customer):
    async with provider() as started:
        ports = {int(address.rpartition(":")[2]) for address in started.peer.addresses}
        assert (await directions(customer, started)).port in ports


async def test_a_provider_that_comes_back_elsewhere_is_reached_directly_again(customer):
    identity = Identity.generate()
    async with provider(identity) as first:
        assert await who(await bulk(customer, first)) == [True, customer.node_id]
    async with provider(identity) as second:
        assert await who(await bulk(customer, second)) == [True, customer.node_id]


async def test_when_the_port_closes_later_requests_go_over_quic(customer):
    async with provider() as started:
        session = await bulk(customer, started)
        assert await who(session) == [True, customer.node_id]
        assert started.peer._direct_server is not None
        await started.peer._direct_server.close()
        assert await who(session) == [False, customer.node_id]
        assert not await customer.directly(started.peer.node_id)


async def test_who_finds_no_place_goes_on_with_quic(customer, monkeypatch):
    monkeypatch.setattr(direct_server.DirectLimits, "__init__", _limits(connections_per_node=0))
    async with provider() as started:
        session = await bulk(customer, started)
        assert await who(session) == [False, customer.node_id]


async def test_a_refusal_in_mid_body_reaches_who_is_still_sending(customer):
    async with provider() as started:
        session = await bulk(customer, started)
        headers = {"Content-Length": str(len(BODY))}
        async with session.put("/refuse", data=in_chunks(BODY), headers=headers) as response:
            assert response.status == 507
            assert await response.json() == [True, "full"]


async def test_a_provider_notices_at_once_when_a_caller_leaves(customer):
    async with provider() as started, asyncio.timeout(10):
        session = await bulk(customer, started)
        async with session.get("/hang") as response:
            assert await response.content.readany() == b"begun"
            response.close()
            await started.left.wait()


async def test_a_node_that_falls_silent_is_cut_off(customer, monkeypatch):
    async with provider() as started, asyncio.timeout(10):
        session = await bulk(customer, started)
        async with session.get("/hang") as response:
            assert await response.content.readany() == b"begun"
            rest = asyncio.create_task(response.content.readany())
            monkeypatch.setattr(links, "SILENCE_S", -1.0)
            while not rest.done():
                await customer.tidy_cycle.trigger_and_wait()
            with pytest.raises(aiohttp.ClientPayloadError):
                await rest


# --- strangers at the port ------------------------------------------------------------------------------------------


async def raw(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def answer(reader: asyncio.StreamReader) -> bytes:
    """Everything until the port hangs up; a reset is as good."""
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\nHost: node\r\n\r\n", bytes(KNOCK_BYTES), os.urandom(KNOCK_BYTES), b"\x16\x03\x01" * 100],
    ids=["http", "zeros", "noise", "tls"],
)
async def test_a_stranger_is_told_nothing(customer, said):
    async with provider() as started:
        reader, writer = await raw((await directions(customer, started)).port)
        writer.write(said)
        assert await answer(reader) == b""
        writer.close()


async def test_a_stranger_who_says_nothing_is_cut_off(customer, monkeypatch):
    monkeypatch.setattr(direct_server, "HANDSHAKE_TIMEOUT_S", 0.05)
    async with provider() as started:
        reader, writer = await raw((await directions(customer, started)).port)
        assert await answer(reader) == b""
        writer.close()


async def test_strangers_who_fill_the_door_keep_nobody_from_quic(customer):
    async with provider() as started:
        port = (await directions(customer, started)).port
        crowd = [await raw(port) for _ in range(DirectLimits().newcomers + 8)]
        assert await answer(crowd[-1][0]) == b""  # no place was left
        session = await bulk(customer, started)
        assert await who(session) == [False, customer.node_id]
        for _, writer in crowd:
            writer.close()


@pytest.mark.parametrize("ticket", [bytes(TICKET_BYTES), os.urandom(TICKET_BYTES)], ids=["zeros", "noise"])
async def test_a_copied_knock_without_a_ticket_leads_nowhere(customer, ticket):
    async with provider() as started:
        found = await directions(customer, started)
        reader, writer = await raw(found.port)
        writer.write(bytes.fromhex(found.knock))
        assert await reader.readexactly(len(READY)) == READY
        await writer.start_tls(client_context())
        writer.write(ticket + b"GET /who HTTP/1.1\r\nHost: node\r\n\r\n")
        assert await answer(reader) == b""
        writer.close()


async def test_who_listens_in_between_is_not_taken_for_the_provider(customer):
    async with provider() as started, _eavesdropper(started, customer) as heard:
        session = await bulk(customer, started)
        assert await who(session) == [False, customer.node_id]
        assert heard == [KNOCK_BYTES]  # the knock, and no ticket


@contextlib.asynccontextmanager
async def _eavesdropper(started: Provider, customer: Peer) -> AsyncIterator[list[int]]:
    """Takes the direct port over, with a certificate of its own; gives the lengths of what it was told."""
    port, heard = (await directions(customer, started)).port, []
    assert started.peer._direct_server is not None
    await started.peer._direct_server.close()
    context, _ = await asyncio.to_thread(server_context)

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(len(await reader.readexactly(KNOCK_BYTES)))
        writer.write(READY)
        with contextlib.suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
            await writer.start_tls(context)
            heard.append(len(await reader.readexactly(TICKET_BYTES)))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", port)
    try:
        yield heard
    finally:
        server.close()


def _limits(**changed: int) -> Callable[..., None]:
    original = DirectLimits.__init__

    def make(self: DirectLimits, **_: Awaitable[None]) -> None:
        original(self, **changed)

    return make

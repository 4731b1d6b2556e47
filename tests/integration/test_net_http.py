"""HTTP over iroh behaves as HTTP over TCP does, between two real endpoints on the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from depin_desktop.net.http import in_chunks, peer_node_id
from depin_desktop.net.identity import Identity
from depin_desktop.net.peer import Peer

MIB = 2**20
BODY = os.urandom(3 * MIB + 17)


@dataclass
class Provider:
    """A serving peer whose handlers the tests steer through events."""

    peer: Peer
    path: Path
    transports: set[int] = field(default_factory=set)
    sent: int = 0
    received: int = 0
    failures: list[BaseException] = field(default_factory=list)
    may_read: asyncio.Event = field(default_factory=asyncio.Event)
    progress: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/who", self.who),
            web.get("/body", self.body),
            web.get("/file", self.file),
            web.get("/endless", self.endless),
            web.put("/echo", self.echo),
            web.put("/slow", self.slow),
            web.put("/refuse", self.refuse),
            web.put("/reserve", self.slow, expect_handler=self.unexpected),
        ]

    async def who(self, request: web.Request) -> web.Response:
        self.transports.add(id(request.transport))
        return web.json_response({"node": peer_node_id(request), "remote": request.remote})

    async def body(self, request: web.Request) -> web.Response:
        part = request.http_range
        chosen = BODY[part]
        if part.start is None:
            return web.Response(body=chosen)
        first = part.start
        return web.Response(
            status=206,
            body=chosen,
            headers={"Content-Range": f"bytes {first}-{first + len(chosen) - 1}/{len(BODY)}"},
        )

    async def file(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(self.path)

    async def endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        chunk = bytes(64 * 1024)
        try:
            while True:
                await response.write(chunk)
                self.sent += len(chunk)
                self.progress.set()
        except ConnectionError as error:
            self.failures.append(error)
            raise
        finally:
            self.ended.set()

    async def echo(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for chunk in request.content.iter_any():
            await response.write(chunk)
        return response

    async def slow(self, request: web.Request) -> web.Response:
        await self.may_read.wait()
        try:
            async for chunk in request.content.iter_any():
                self.received += len(chunk)
                self.progress.set()
        except Exception as error:
            self.failures.append(error)
            raise
        finally:
            self.ended.set()
        return web.json_response(self.received)

    async def unexpected(self, _: web.Request) -> web.Response:
        return web.json_response({"code": "full"}, status=507)

    async def refuse(self, _: web.Request) -> web.Response:
        return web.json_response({"code": "full"}, status=507)


@pytest.fixture
async def provider(tmp_path) -> AsyncIterator[Provider]:
    peer = await Peer.bind(Identity.generate(), relays=False)
    provider = Provider(peer, tmp_path / "file")
    app = web.Application(client_max_size=2**30)
    app.add_routes(provider.routes())
    provider.path.write_bytes(BODY)
    await peer.serve(app)
    yield provider
    await peer.close()


@pytest.fixture
async def customer() -> AsyncIterator[Peer]:
    peer = await Peer.bind(Identity.generate(), relays=False)
    yield peer
    await peer.close()


@pytest.fixture
async def session(customer: Peer, provider: Provider) -> aiohttp.ClientSession:
    return customer.session(provider.peer.node_id, provider.peer.addresses)


async def test_the_provider_knows_who_asks(session, customer):
    async with session.get("/who") as response:
        assert await response.json() == {"node": customer.node_id, "remote": customer.node_id}


async def test_a_body_arrives_as_it_was_sent(session):
    async with session.get("/body") as response:
        assert response.status == 200
        assert await response.read() == BODY


async def test_a_range_arrives_alone(session):
    async with session.get("/body", headers={"Range": "bytes=1000-1000999"}) as response:
        assert response.status == 206
        assert response.headers["Content-Range"] == f"bytes 1000-1000999/{len(BODY)}"
        assert await response.read() == BODY[1000:1001000]


async def test_a_file_response_works_with_ranges_too(session):
    async with session.get("/file", headers={"Range": "bytes=5-2000004"}) as response:
        assert response.status == 206
        assert await response.read() == BODY[5:2000005]


async def test_both_directions_stream_at_once(session):
    async with session.put("/echo", data=in_chunks(BODY)) as response:
        assert await response.read() == BODY


async def test_one_stream_serves_request_after_request(session, provider):
    for _ in range(20):
        async with session.get("/who") as response:
            await response.read()
    assert len(provider.transports) == 1


async def test_many_parallel_requests_all_get_their_own_answer(session):
    async def part(index: int) -> bool:
        first = index * 10_000
        async with session.get("/body", headers={"Range": f"bytes={first}-{first + 9_999}"}) as response:
            return await response.read() == BODY[first : first + 10_000]

    assert all(await asyncio.gather(*(part(index) for index in range(200))))


async def test_a_session_outlives_those_who_use_it_as_a_context(customer, provider):
    address = provider.peer.node_id, provider.peer.addresses
    async with customer.session(*address) as outer:
        async with customer.session(*address) as inner:
            assert inner is outer
        async with outer.get("/who") as response:
            assert response.status == 200


async def test_a_slow_customer_slows_the_provider_instead_of_filling_memory(session, provider):
    async with session.get("/endless") as response:
        await response.content.readany()
        await _move_much_else(session)
        assert provider.sent < 16 * MIB  # QUIC's windows and both sides' buffers, however long nobody reads
        stopped_at = provider.sent
        provider.progress.clear()
        while provider.sent == stopped_at:
            await response.content.readany()
    await provider.ended.wait()
    assert isinstance(provider.failures[0], ConnectionError)


async def test_a_slow_provider_slows_the_customer_instead_of_filling_memory(session, provider):
    made = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(1024):
            made += 64 * 1024
            yield bytes(64 * 1024)

    upload = asyncio.create_task(_status_and_json(session.put("/slow", data=body())))
    await _move_much_else(session)
    assert made < 16 * MIB
    provider.may_read.set()
    assert await upload == (200, 64 * MIB)


async def test_a_refusal_arrives_though_the_body_never_ends(session, provider):
    made = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal made
        while True:  # and never lets anything else run
            made += 64 * 1024
            yield bytes(64 * 1024)

    async with session.put("/refuse", data=body()) as response:
        assert response.status == 507
        assert await response.json() == {"code": "full"}
    assert made < 16 * MIB
    async with session.get("/who") as response:  # and the link is as good as before
        assert response.status == 200


async def test_an_expectation_can_be_refused_before_any_of_the_body_is_sent(session):
    made = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal made
        made += 1
        yield bytes(MIB)

    headers = {"Content-Length": str(MIB)}
    async with session.put("/reserve", data=body(), headers=headers, expect100=True) as response:
        assert response.status == 507
    assert made == 0


async def test_a_provider_that_leaves_in_mid_body_is_an_error(session, provider):
    async with session.get("/endless") as response:
        await response.content.readany()
        leaving = asyncio.create_task(provider.peer.close(grace_s=0.1))
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    await leaving


async def test_a_customer_that_leaves_in_mid_body_is_an_error_to_the_handler(session, provider, customer):
    provider.may_read.set()

    async def body() -> AsyncIterator[bytes]:
        yield bytes(MIB)
        await asyncio.Event().wait()

    upload = asyncio.create_task(_status_and_json(session.put("/slow", data=body())))
    await provider.progress.wait()
    upload.cancel()
    await provider.ended.wait()
    assert provider.failures
    with contextlib.suppress(asyncio.CancelledError):
        await upload


async def _status_and_json(request) -> tuple[int, object]:
    async with request as response:
        return response.status, await response.json()


async def _move_much_else(session: aiohttp.ClientSession) -> None:
    """Keeps the link busy for as long as an unhindered transfer would need to overrun every bound."""
    for _ in range(20):
        async with session.get("/body") as response:
            assert await response.read() == BODY

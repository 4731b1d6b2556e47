"""The engine as its callers see it, on a real network."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from depin_desktop.api.client import EngineClient, EngineUnreachable
from depin_desktop.api.endpoint import Endpoint
from depin_desktop.api.models import ShareStorage
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.engine.engine import Engine

MIB = 2**20


@contextlib.asynccontextmanager
async def running(home: Home) -> AsyncIterator[tuple[Engine, EngineClient]]:
    engine = Engine(home)
    await engine.start()
    try:
        async with EngineClient(home) as client:
            yield engine, client
    finally:
        await engine.stop()


async def until(client: EngineClient, topic: str, reached: Callable[[Any], bool], timeout_s: float = 20) -> Any:
    async with asyncio.timeout(timeout_s):
        async for event in client.events():
            if event.topic == topic and reached(event.data):
                return event.data
    return None


async def joined(client: EngineClient) -> Any:
    return await until(client, "status", lambda status: status["network"]["connected"] and status["hub"]["connected"])


async def test_it_joins_and_says_so(make_home: Any) -> None:
    home = await make_home()
    async with running(home) as (_, client):
        status = await joined(client)
        assert status["registered"]
        assert status["network"]["private"]
        wallet = await client.wallet()
        assert wallet.stake > 0
        assert (await client.hardware()).cpu.threads >= 1
        assert await client.history()


async def test_sharing_a_folder_puts_an_offer_on_the_hub_and_the_switch_takes_it_away(
    make_home: Any, tmp_path: Path
) -> None:
    home = await make_home()
    async with running(home) as (engine, client):
        await joined(client)
        status = await client.share_storage(ShareStorage(path=str(tmp_path / "shared"), size_bytes=64 * MIB))
        assert [folder.allocated_bytes for folder in status.folders] == [64 * MIB]
        assert engine.joined is not None
        hub = engine.joined.link.hub
        assert hub is not None
        owner = engine.keys.owner
        assert owner in await hub.wait_for_offers(lambda offers: owner in offers, timeout_s=10)
        assert not (await client.set_sharing(False)).sharing
        assert owner not in await hub.wait_for_offers(lambda offers: owner not in offers, timeout_s=10)
        assert engine.storage_service.offer() is None


async def test_a_node_that_stops_takes_its_offer_with_it(make_home: Any, tmp_path: Path) -> None:
    watcher, leaver = await make_home("watcher"), await make_home("leaver")
    async with running(watcher) as (engine, client):
        await joined(client)
        assert engine.joined is not None
        hub = engine.joined.link.hub
        assert hub is not None
        async with running(leaver) as (other, other_client):
            await joined(other_client)
            await other_client.share_storage(ShareStorage(path=str(tmp_path / "shared"), size_bytes=64 * MIB))
            owner = other.keys.owner
            assert owner in await hub.wait_for_offers(lambda offers: owner in offers, timeout_s=10)
        assert owner not in await hub.wait_for_offers(lambda offers: owner not in offers, timeout_s=10)


async def test_settings_and_folders_survive_a_restart(make_home: Any, tmp_path: Path) -> None:
    home = await make_home()
    async with running(home) as (_, client):
        await client.share_storage(ShareStorage(path=str(tmp_path / "shared"), size_bytes=64 * MIB))
        await client.set_sharing(False)
    async with running(home) as (_, client):
        status = await client.status()
        assert not status.sharing
        assert len((await client.storage()).folders) == 1
        assert any(entry.kind == "started" for entry in status.activity)


async def test_it_answers_and_shares_while_the_chain_is_away_and_joins_when_it_comes(
    make_home: Any, tmp_path: Path, localnet: Any
) -> None:
    home = await make_home()
    profile = json.loads(home.network.read_text())
    (home.root / "network.origin").unlink()
    home.network.write_text(json.dumps(profile | {"rpc_url": "http://127.0.0.1:9", "ws_url": "ws://127.0.0.1:9"}))
    async with running(home) as (_, client):
        status = await until(client, "status", lambda status: status["network"]["detail"] not in ("", "connecting"))
        assert not status["network"]["connected"]
        assert (await client.share_storage(ShareStorage(path=str(tmp_path / "s"), size_bytes=64 * MIB))).folders
        with pytest.raises(UserFacingError, match="chain has not answered"):
            await client.wallet()
        home.network.write_text(json.dumps(profile))
        await joined(client)


async def test_bad_requests_get_sentences(make_home: Any, tmp_path: Path) -> None:
    home = await make_home()
    async with running(home) as (_, client):
        for request in (
            ShareStorage(path=str(tmp_path / "a"), size_bytes=1),
            ShareStorage(path=str(tmp_path / "a"), size_bytes=2**60),
            ShareStorage(path="/proc/nowhere", size_bytes=64 * MIB),
        ):
            with pytest.raises(UserFacingError) as caught:
                await client.share_storage(request)
            assert caught.value.remedy
        with pytest.raises(UserFacingError, match="not shared"):
            await client.unshare_storage(str(tmp_path / "never"))


async def test_only_this_users_programs_get_an_answer(make_home: Any) -> None:
    home = await make_home()
    async with running(home):
        endpoint = Endpoint.load(home)
        assert endpoint.socket is not None
        assert stat.S_IMODE(os.stat(endpoint.socket).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(home.endpoint).st_mode) == 0o600
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(endpoint.socket)) as session:
            async with session.get("http://engine/v1/status", headers={"Host": "evil.example"}) as response:
                assert response.status == 403
            async with session.get("http://engine/v1/status", headers={"Origin": "http://localhost"}) as response:
                assert response.status == 403
            async with session.put("http://engine/v1/sharing", data=b"[") as response:
                assert response.status == 400


async def test_where_a_socket_will_not_do_a_token_is_needed(make_home: Any, tmp_path: Path) -> None:
    made = await make_home()
    long = tmp_path / ("x" * 100)
    os.rename(made.root, long)
    home = Home(long)
    async with running(home) as (_, client):
        endpoint = Endpoint.load(home)
        assert endpoint.socket is None
        assert (await client.status()).home == str(long)
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{endpoint.port}/v1/status"
            async with session.get(url) as response:
                assert response.status == 401
            async with session.get(url, headers={"Authorization": "Bearer wrong"}) as response:
                assert response.status == 401


def engine_process(home: Home) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "depin_desktop.cli", "engine", "--home", str(home.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def answering(home: Home) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                async with EngineClient(home):
                    return
            except EngineUnreachable:
                await asyncio.sleep(0.02)  # there is no event before the engine exists


async def test_a_second_engine_on_one_home_says_so_and_leaves_the_first_alone(make_home: Any) -> None:
    home = await make_home()
    first = await asyncio.to_thread(engine_process, home)
    try:
        await answering(home)
        second = await asyncio.to_thread(engine_process, home)
        _, said = await asyncio.to_thread(second.communicate, None, 20)
        assert second.returncode == 1
        assert "already running" in said
        assert "Traceback" not in said
        await answering(home)
    finally:
        first.terminate()
        _, said = await asyncio.to_thread(first.communicate, None, 20)
    assert first.returncode == 0, said
    assert not home.endpoint.exists()


async def test_after_sigkill_the_next_engine_starts(make_home: Any) -> None:
    home = await make_home()
    first = await asyncio.to_thread(engine_process, home)
    await answering(home)
    first.kill()
    await asyncio.to_thread(first.communicate)
    with pytest.raises(EngineUnreachable):
        await EngineClient(home).connect()
    async with running(home) as (_, client):
        assert (await client.status()).started_at <= time.time()


async def test_the_api_can_stop_it(make_home: Any) -> None:
    home = await make_home()
    process = await asyncio.to_thread(engine_process, home)
    await answering(home)
    async with EngineClient(home) as client:
        await client.shutdown()
    _, said = await asyncio.to_thread(process.communicate, None, 20)
    assert process.returncode == 0, said

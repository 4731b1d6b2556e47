"""The networks of a home: added, listed, changed between, and never mixed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from filelock import FileLock

from depin_desktop.chain.network import Addresses, Network
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.wallet import networks
from depin_desktop.wallet.joining import join, joined_network

ADDRESSES = Addresses(
    token="0x01", registry="0x02", settlement="0x03", erc3009_collector="0x04", deals="0x05", multicall3="0x06"
)


def network(name: str = "First Network", **changes: object) -> Network:
    fields: dict[str, object] = {
        "name": name, "chain_id": 1, "rpc_url": "https://a.example/rpc", "ws_url": "", "hub_urls": (),
        "addresses": ADDRESSES, "period_s": 60, "window_s": 30, "min_stake": 1, "suggested_price_per_tib_month": 1,
        "suggested_price_per_gib_read": 1,
    }  # fmt: skip
    return Network.model_validate(fields | changes)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_the_first_network_is_in_use_at_once_and_later_ones_wait(home: Home) -> None:
    assert networks.known(home) == ()
    assert networks.add(home, network()).in_use
    assert not networks.add(home, network("Second", chain_id=2)).in_use
    assert [(one.name, one.chain_id, one.in_use) for one in networks.known(home)] == [
        ("first-network", 1, True),
        ("second", 2, False),
    ]
    assert joined_network(home).chain_id == 1


def test_changing_the_network_changes_the_records_but_not_the_keys(home: Home) -> None:
    networks.add(home, network())
    networks.add(home, network("Second", chain_id=2))
    before = (home.network, home.engine_database, home.customer_database)
    keys, vault = home.keys, home.vault
    assert networks.use(home, "second").in_use
    assert joined_network(home).chain_id == 2
    assert (home.keys, home.vault) == (keys, vault)
    assert not {home.network, home.engine_database, home.customer_database} & set(before)
    networks.use(home, "first-network")
    assert (home.network, home.engine_database, home.customer_database) == before
    assert joined_network(home).chain_id == 1


def test_adding_a_known_network_again_brings_it_up_to_date(home: Home) -> None:
    networks.add(home, network())
    networks.add(home, network("Second", chain_id=2))
    again = networks.add(home, network("Second", chain_id=2, rpc_url="https://b.example/rpc"), name="other")
    assert (again.name, again.node) == ("second", "b.example")
    assert len(networks.known(home)) == 2


def test_a_name_is_one_network(home: Home) -> None:
    networks.add(home, network())
    with pytest.raises(UserFacingError) as told:
        networks.add(home, network("Second", chain_id=2), name="first-network")
    assert told.value.code == "name-taken"
    for bad in ("", "../up", "UPPER", "x" * 41, "-x"):
        with pytest.raises(UserFacingError) as told:
            networks.add(home, network("Second", chain_id=2), name=bad)
        assert told.value.code == "bad-name"
    assert networks.add(home, network("Ünïcode / Näme!", chain_id=2)).name == "n-code-n-me"
    assert networks.add(home, network("漢字", chain_id=3)).name == "network"


def test_an_unknown_network_is_not_used_and_the_known_ones_are_named(home: Home) -> None:
    networks.add(home, network())
    with pytest.raises(UserFacingError, match="first-network") as told:
        networks.use(home, "moon")
    assert told.value.code == "unknown-network"
    with pytest.raises(UserFacingError):
        networks.profile_of(home, "moon")
    assert networks.profile_of(home) == network()


def test_a_running_engine_keeps_its_network(home: Home) -> None:
    networks.add(home, network())
    networks.add(home, network("Second", chain_id=2))
    with FileLock(home.lock), pytest.raises(UserFacingError) as told:
        networks.use(home, "second")
    assert told.value.code == "engine-running"
    assert networks.use(home, "second").in_use


def test_a_nodes_credentials_are_kept_and_never_shown(home: Home) -> None:
    added = networks.add(home, network(rpc_url="https://user:secret@node.example/v3"))
    assert added.node == "node.example"
    assert "secret" not in str(networks.known(home))
    assert joined_network(home).rpc_url == "https://user:secret@node.example/v3"
    assert home.network.stat().st_mode & 0o077 == 0


def test_a_damaged_choice_falls_back_to_the_first_network(home: Home) -> None:
    networks.add(home, network())
    home.networks.mkdir()
    for damage in (b"../../etc", b"\xff", b""):
        home.network_in_use.write_bytes(damage)
        assert joined_network(home) == network()


def test_a_network_that_was_joined_follows_its_file_wherever_it_lies(home: Home, tmp_path: Path) -> None:
    networks.add(home, network())
    file = tmp_path / "second.json"
    file.write_text(network("Second", chain_id=2).model_dump_json())
    networks.add(home, network("Second", chain_id=2), source=file)
    networks.use(home, "second")
    file.write_text(network("Second", chain_id=2, rpc_url="https://c.example").model_dump_json())
    assert joined_network(home).rpc_url == "https://c.example"
    assert join(home, file).chain_id == 2


def test_there_is_no_network_where_none_was_added(home: Home) -> None:
    with pytest.raises(UserFacingError) as told:
        networks.profile_of(home)
    assert told.value.code == "no-network"


# --- from an address ---------------------------------------------------------------------------------------------


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async def answer(request: web.Request) -> web.Response:
        match request.match_info["what"]:
            case "network.json":
                return web.Response(text=network().model_dump_json())
            case "large":
                return web.Response(body=b" " * (networks.LARGEST_PROFILE + 1))
            case "elsewhere":
                raise web.HTTPFound("http://network.example/network.json")
            case _:
                raise web.HTTPNotFound

    app = web.Application()
    app.add_routes([web.get("/{what}", answer)])
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


async def test_a_profile_comes_from_an_address_or_a_file(server: TestServer, tmp_path: Path) -> None:
    assert await networks.read_profile(str(server.make_url("/network.json"))) == network()
    file = tmp_path / "network.json"
    await asyncio.to_thread(file.write_text, network().model_dump_json())
    assert await networks.read_profile(str(file)) == network()


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/missing", "network-file-unreachable"),
        ("/large", "bad-network-file"),
        ("/elsewhere", "insecure-address"),
    ],
)
async def test_what_is_no_profile_is_refused(server: TestServer, path: str, code: str) -> None:
    with pytest.raises(UserFacingError) as told:
        await networks.read_profile(str(server.make_url(path)))
    assert told.value.code == code


@pytest.mark.parametrize("address", ["http://network.example/network.json", "ftp://network.example/n", "file:///etc/x"])
async def test_a_profile_that_anybody_could_change_on_its_way_is_refused(address: str) -> None:
    with pytest.raises(UserFacingError) as told:
        await networks.read_profile(address)
    assert told.value.code == "insecure-address"

"""Hot keys, the node's key, and the network that a home has joined."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from depin_desktop.chain.network import Addresses, Network
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.wallet import hotkeys
from depin_desktop.wallet.joining import join, joined_network

ADDRESSES = Addresses(
    token="0x1", registry="0x2", settlement="0x3", erc3009_collector="0x4", deals="0x5", multicall3="0x6"
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_keys_are_made_once_and_are_private(home: Home) -> None:
    made = hotkeys.operator(home), hotkeys.spender(home), hotkeys.node_id(home)
    again = hotkeys.operator(home), hotkeys.spender(home), hotkeys.node_id(home)
    assert [made[0].address, made[1].address, made[2]] == [again[0].address, again[1].address, again[2]]
    assert made[0].address != made[1].address
    assert sorted(path.name for path in home.keys.iterdir()) == ["node.key", "operator.key", "spender.key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.keys.iterdir()} == {0o600}


def test_whoever_is_first_makes_the_key_for_all(home: Home) -> None:
    with ThreadPoolExecutor(8) as threads:
        addresses = set(threads.map(lambda _: hotkeys.operator(home).address, range(16)))
    assert len(addresses) == 1
    assert [path.name for path in home.keys.iterdir()] == ["operator.key"]


@pytest.mark.parametrize("broken", [b"", b"zz", b"00" * 31, b"00" * 32, b"\xff" * 64])
def test_a_damaged_key_is_neither_replaced_nor_shown(home: Home, broken: bytes) -> None:
    path = home.keys / "operator.key"
    path.parent.mkdir(parents=True)
    path.write_bytes(broken)
    with pytest.raises(UserFacingError) as failure:
        hotkeys.operator(home)
    assert failure.value.code == "bad-key-file"
    assert failure.value.__cause__ is None
    assert path.read_bytes() == broken


def test_a_damaged_node_key_is_not_replaced(home: Home) -> None:
    hotkeys.node_id(home)
    (home.keys / "node.key").write_bytes(b"short")
    with pytest.raises(UserFacingError):
        hotkeys.node_id(home)
    assert (home.keys / "node.key").read_bytes() == b"short"


def network(**changes: object) -> Network:
    fields: dict[str, object] = {
        "name": "test", "chain_id": 1, "rpc_url": "http://a", "ws_url": "ws://a", "hub_urls": (),
        "addresses": ADDRESSES,
        "period_s": 60, "window_s": 30, "min_stake": 1, "suggested_price_per_tib_month": 1,
        "suggested_price_per_gib_read": 1,
    }  # fmt: skip
    return Network.model_validate(fields | changes)


def write(path: Path, profile: Network, *, age_s: float = 0) -> None:
    path.write_text(profile.model_dump_json())
    stamp = path.stat().st_mtime - age_s
    os.utime(path, (stamp, stamp))


def test_a_home_follows_its_network_to_another_port(home: Home, tmp_path: Path) -> None:
    original = tmp_path / "network.json"
    write(original, network(), age_s=10)
    join(home, original)
    assert joined_network(home).rpc_url == "http://a"
    write(original, network(rpc_url="http://b"), age_s=-10)
    assert joined_network(home).rpc_url == "http://b"
    original.unlink()
    assert joined_network(home).rpc_url == "http://b"


def test_a_home_does_not_follow_into_another_network(home: Home, tmp_path: Path) -> None:
    original = tmp_path / "network.json"
    write(original, network(), age_s=10)
    join(home, original)
    write(original, network(chain_id=2), age_s=-10)
    assert joined_network(home).chain_id == 1
    with pytest.raises(UserFacingError) as failure:
        join(home, original)
    assert failure.value.code == "other-network"
    assert joined_network(home).chain_id == 1


def test_a_damaged_original_is_passed_over(home: Home, tmp_path: Path) -> None:
    original = tmp_path / "network.json"
    write(original, network(), age_s=10)
    join(home, original)
    original.write_text("{")
    assert joined_network(home) == network()


def test_joining_what_was_joined_is_nothing(home: Home, tmp_path: Path) -> None:
    original = tmp_path / "network.json"
    write(original, network(), age_s=10)
    join(home, original)
    assert join(home, home.network) == network()
    write(original, network(rpc_url="http://b"), age_s=-10)
    assert joined_network(home).rpc_url == "http://b", "it still knows the original"


def test_a_home_without_a_network_says_so(home: Home) -> None:
    with pytest.raises(UserFacingError):
        joined_network(home)

"""`initialise` against a real network."""

from __future__ import annotations

from pathlib import Path

import pytest

from depin_desktop.chain.chain import Chain
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.core.units import BASE_UNITS_PER_TOKEN, format_tokens
from depin_desktop.net.identity import Identity
from depin_desktop.wallet.onboarding import initialise
from depin_desktop.wallet.vault import Cost, Vault

FAST = Cost(n=16)
PASSWORD = "correct horse battery"


async def test_it_makes_a_registered_provider_from_nothing(localnet, chain: Chain, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    summary = await initialise(home, localnet.file, PASSWORD, cost=FAST)
    assert summary.registered
    assert summary.to_do == ()
    assert not summary.backed_up
    provider = await chain.registry.provider(summary.owner)
    assert (provider.operator, provider.payout) == (summary.operator, summary.owner)
    assert provider.node_id.hex() == summary.node_id == Identity.load_or_create(home.keys / "node.key").node_id
    assert provider.stake == localnet.network.min_stake
    assert await chain.registry.is_active(summary.owner)
    assert await chain.token.balance_of(summary.spender) == 50_000 * BASE_UNITS_PER_TOKEN
    assert await chain.token.balance_of(summary.operator) == 0
    assert await chain.gas_balance(summary.operator) > 0
    assert len({summary.owner, summary.operator, summary.spender}) == 3
    assert home.initialised
    assert Vault.load(home.vault).unlock(PASSWORD).address == summary.owner


async def test_running_it_again_changes_nothing(localnet, chain: Chain, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    first = await initialise(home, localnet.file, PASSWORD, cost=FAST)
    files = {path: path.read_bytes() for path in (home.vault, *home.keys.iterdir())}
    height = (await chain.block()).number
    assert await initialise(home, localnet.file, PASSWORD, cost=FAST) == first
    assert {path: path.read_bytes() for path in files} == files
    assert (await chain.block()).number == height


async def test_it_goes_on_where_it_stopped(localnet, chain: Chain, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    words = Vault.create(home.vault, PASSWORD, cost=FAST).words(PASSWORD)  # all that an interrupted run left
    summary = await initialise(home, localnet.file, PASSWORD, cost=FAST)
    assert summary.registered
    assert Vault.load(home.vault).words(PASSWORD) == words


async def test_a_wrong_password_stops_it_and_spoils_nothing(localnet, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    await initialise(home, localnet.file, PASSWORD, cost=FAST)
    before = home.vault.read_bytes()
    with pytest.raises(UserFacingError) as failure:
        await initialise(home, localnet.file, "another password", cost=FAST)
    assert failure.value.code == "wrong-password"
    assert home.vault.read_bytes() == before


async def test_a_wallet_that_moves_to_a_new_machine_takes_its_place_there(
    localnet, chain: Chain, tmp_path: Path
) -> None:
    old, new = Home(tmp_path / "old"), Home(tmp_path / "new")
    first = await initialise(old, localnet.file, PASSWORD, cost=FAST)
    words = Vault.load(old.vault).words(PASSWORD)
    second = await initialise(new, localnet.file, "other password", words=words, cost=FAST)
    assert second.owner == first.owner
    assert second.backed_up, "whoever typed the words has them"
    provider = await chain.registry.provider(first.owner)
    assert (provider.operator, provider.node_id.hex()) == (second.operator, second.node_id)


async def test_without_a_faucet_it_says_what_to_send(localnet, tmp_path: Path) -> None:
    public = tmp_path / "public.json"
    network = localnet.network.model_copy(update={"private": False, "faucet_url": None})
    public.write_text(network.model_dump_json())
    summary = await initialise(Home(tmp_path / "home"), public, PASSWORD, cost=FAST)
    assert not summary.registered
    assert any(f"{format_tokens(network.min_stake)} DPN" in sentence for sentence in summary.to_do)
    assert all(summary.owner in sentence for sentence in summary.to_do)


async def test_make_home_makes_different_homes(make_home, chain: Chain) -> None:
    one, two = await make_home("one"), await make_home("two")
    owners = [Vault.load(home.vault).owner for home in (one, two)]
    assert owners[0] != owners[1]
    assert [await chain.registry.is_active(owner) for owner in owners] == [True, True]

"""The owner moves its money: looked at with its fee first, then taken, on a real chain and through the command line."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from eth_account import Account

from depin_desktop.chain import typed_data
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.engine.offline import wallet_history, wallet_status
from depin_desktop.wallet import hotkeys
from depin_desktop.wallet.onboarding import initialise
from depin_desktop.wallet.owner import Owner, open_owner
from depin_desktop.wallet.vault import Vault
from tests.conftest import FAST, PASSWORD

TOKEN = 10**18


@pytest.fixture
async def home(make_home) -> Home:
    made: Home = await make_home(spending_budget=500 * TOKEN)
    return made


@pytest.fixture
async def owner(home: Home) -> AsyncIterator[Owner]:
    async with open_owner(home, PASSWORD) as opened:
        yield opened


async def depin(home: Home, *arguments: str, stdin: str = f"{PASSWORD}\n") -> subprocess.CompletedProcess[str]:
    """The command line as a process of its own; its standard input is no terminal."""
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "depin_desktop.cli", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "DEPIN_HOME": str(home.root)},
    )


async def test_looking_moves_nothing_and_taking_moves_exactly_that(home: Home, owner: Owner, chain: Chain) -> None:
    friend = Account.create().address
    before, coin = await chain.token.balance_of(owner.address), await chain.gas_balance(owner.address)
    step = await owner.send(friend, 3 * TOKEN)
    assert await chain.token.balance_of(friend) == 0
    taken = await owner.take(step)
    assert await chain.token.balance_of(friend) == 3 * TOKEN
    assert await chain.token.balance_of(owner.address) == before - 3 * TOKEN
    assert coin - await chain.gas_balance(owner.address) == taken.fee <= step.highest_fee

    newest = next(line for line in await wallet_history(home, 5) if line.transaction == taken.transaction)
    assert (newest.kind, newest.amount, newest.counterparty) == ("transfer-out", -3 * TOKEN, friend)
    assert newest.fee == taken.fee


async def test_all_of_the_tokens_and_nearly_all_of_the_coin_can_leave(owner: Owner, chain: Chain) -> None:
    friend = Account.create().address
    await owner.take(await owner.send(friend, None))
    assert await chain.token.balance_of(owner.address) == 0
    step = await owner.send_coin(friend, None)
    await owner.take(step)
    assert await chain.gas_balance(friend) == step.amount
    assert await chain.gas_balance(owner.address) < step.highest_fee


async def test_what_would_be_lost_or_is_not_there_is_refused_before_it_costs_anything(
    owner: Owner, chain: Chain
) -> None:
    coin = await chain.gas_balance(owner.address)
    for nowhere in (chain.token.address, chain.registry.address, chain.settlement.address, "0x" + "0" * 40):
        with pytest.raises(UserFacingError) as refused:
            await owner.send(nowhere, TOKEN)
        assert refused.value.code == "lost-address"
    with pytest.raises(UserFacingError) as refused:
        await owner.set_payout(chain.deals.address)
    assert refused.value.code == "lost-address"
    friend = Account.create().address
    for attempt in (
        owner.send(friend, 10**30),
        owner.send(friend, 0),
        owner.send_coin(friend, 10**30),
        owner.stake(10**30),
        owner.begin_thaw(10**30),
        owner.set_budget(10**30),
    ):
        with pytest.raises(UserFacingError) as refused:
            await attempt
        assert refused.value.code == "insufficient-funds"
    assert await chain.gas_balance(owner.address) == coin


async def test_more_stake_is_one_transaction_even_where_somebody_else_used_its_permit(
    owner: Owner, chain: Chain, new_account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (await chain.registry.provider(owner.address)).stake
    await owner.take(await owner.stake(5 * TOKEN))
    assert (await chain.registry.provider(owner.address)).stake == before + 5 * TOKEN

    signed: list[tuple[int, int, int, bytes]] = []
    sign = typed_data.sign_permit

    def overheard(account, network, spender, value, nonce, deadline) -> bytes:  # type: ignore[no-untyped-def]
        signature = sign(account, network, spender, value, nonce, deadline)
        signed.append((value, deadline, signature[64], signature[:64]))
        return signature

    monkeypatch.setattr(typed_data, "sign_permit", overheard)
    step = await owner.stake(7 * TOKEN)
    value, deadline, v, rs = signed[0]
    database = Database(tmp_path / "stranger.sqlite")
    await database.open()
    stranger = Sender(chain, await new_account(tokens=0), database)
    await stranger.start()
    permit = chain.token._call("permit", owner.address, chain.registry.address, value, deadline, v, rs[:32], rs[32:])
    await stranger.send(permit, purpose="front-run the permit")
    await stranger.stop()
    await database.close()
    await owner.take(step)
    assert (await chain.registry.provider(owner.address)).stake == before + 12 * TOKEN


async def test_stake_comes_back_after_its_thaw_and_not_before(home: Home, owner: Owner, chain: Chain, warp) -> None:
    before = await chain.token.balance_of(owner.address)
    stake = (await chain.registry.provider(owner.address)).stake
    assert await owner.end_of_thaw() is None
    step = await owner.begin_thaw(None)
    assert "customers will not choose this node" in step.note
    await owner.take(step)
    (thaw,) = await owner.thaws()
    assert thaw.amount == stake
    assert await owner.end_of_thaw() is None
    await warp.to(thaw.ends + 1)
    collect = await owner.end_of_thaw()
    assert collect is not None
    await owner.take(collect)
    assert await chain.token.balance_of(owner.address) == before + stake
    assert (await wallet_status(home)).stake == 0
    assert {line.kind for line in await wallet_history(home, 20)} >= {"stake", "unstake"}


async def test_the_budget_is_raised_and_taken_back_though_the_spender_has_no_gas(
    home: Home, owner: Owner, chain: Chain
) -> None:
    spender = hotkeys.spender(home).address
    held, budget = await chain.token.balance_of(owner.address), await chain.token.balance_of(spender)
    assert await chain.gas_balance(spender) == 0
    assert await owner.set_budget(budget) is None
    for wanted in (budget + 40 * TOKEN, 1, 0):
        step = await owner.set_budget(wanted)
        assert step is not None
        await owner.take(step)
        assert await chain.token.balance_of(spender) == wanted
        assert await chain.token.balance_of(owner.address) == held + budget - wanted


async def test_earnings_go_where_the_owner_says(home: Home, owner: Owner, chain: Chain) -> None:
    elsewhere = Account.create().address
    await owner.take(await owner.set_payout(elsewhere))
    assert (await chain.registry.provider(owner.address)).payout == elsewhere
    assert (await wallet_status(home)).payout == elsewhere


async def test_a_wallet_that_provides_nothing_has_no_stake_to_move(localnet, tmp_path: Path, home: Home) -> None:
    network = localnet.network.model_copy(update={"faucet_url": None})
    file = tmp_path / "no-faucet.json"
    file.write_text(network.model_dump_json())
    poor = Home(tmp_path / "poor")
    await initialise(poor, file, PASSWORD, cost=FAST)
    async with open_owner(poor, PASSWORD) as owner:
        for attempt in (owner.stake(1), owner.begin_thaw(1), owner.end_of_thaw(), owner.set_payout(owner.operator)):
            with pytest.raises(UserFacingError) as refused:
                await attempt
            assert refused.value.code == "no-provider"


# --- the command line ---------------------------------------------------------------------------------------------


async def test_the_command_line_sends_with_a_receipt_and_only_when_told(home: Home, chain: Chain) -> None:
    friend = Account.create().address
    sending = ("wallet", "send", friend, "2.5", "--json", "--password-stdin")
    unasked = await depin(home, *sending)
    assert unasked.returncode == 1
    assert json.loads(unasked.stdout)["error"]["code"] == "not-asked"
    wrong = await depin(home, *sending, "--yes", stdin="another password\n")
    assert (wrong.returncode, json.loads(wrong.stdout)["error"]["code"]) == (1, "wrong-password")
    slip = await depin(home, "wallet", "send", friend[:-1] + "g", "1", "--json", "--yes", "--password-stdin")
    assert json.loads(slip.stdout)["error"]["code"] == "bad-address"
    assert await chain.token.balance_of(friend) == 0

    sent = await depin(home, *sending, "--yes")
    assert sent.returncode == 0, sent.stderr
    answer = json.loads(sent.stdout)
    receipt = await chain.rpc.request("eth_getTransactionReceipt", answer["transaction"])
    assert int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16) == int(answer["fee"])
    assert await chain.token.balance_of(friend) == int(answer["amount"]) == 25 * TOKEN // 10
    assert "Send 2.50 DPN" in sent.stderr
    assert "Fee: at most" in sent.stderr


async def test_a_program_is_told_how_far_a_step_is_and_a_fee_above_what_was_agreed_is_not_paid(
    home: Home, chain: Chain
) -> None:
    friend = Account.create().address
    sending = ("wallet", "send", friend, "1", "--json", "--yes", "--password-stdin")
    dear = await depin(home, *sending, "--fee-limit", "0.000000001")
    assert (dear.returncode, json.loads(dear.stdout)["error"]["code"]) == (1, "fee-rose")
    assert await chain.token.balance_of(friend) == 0
    sent = await depin(home, *sending, "--fee-limit", "0.1")
    assert sent.returncode == 0, sent.stderr
    told = [json.loads(line) for line in sent.stderr.splitlines() if line.startswith("{")]
    assert told == [
        {"progress": "unlocked"},
        {"progress": "sent", "transaction": json.loads(sent.stdout)["transaction"]},
    ]
    spoken = await depin(home, "wallet", "send", friend, "1", "--yes", "--password-stdin")
    assert "waiting for its block" in spoken.stderr
    assert "{" not in spoken.stderr


async def test_the_wallet_tells_what_is_being_released_and_where_else_earnings_go(home: Home) -> None:
    elsewhere = Account.create().address
    assert (await depin(home, "wallet", "unstake", "2", "--yes", "--password-stdin")).returncode == 0
    assert (await depin(home, "wallet", "payout", elsewhere, "--yes", "--password-stdin")).returncode == 0
    said = (await depin(home, "wallet")).stdout
    assert "being released" in said
    assert elsewhere in said
    (thaw,) = json.loads((await depin(home, "wallet", "--json")).stdout)["thawing"]
    assert thaw["amount"] == str(2 * TOKEN)


async def test_every_line_of_the_history_shows_gross_fee_and_net(home: Home) -> None:
    assert (await depin(home, "wallet", "stake", "2", "--yes", "--password-stdin")).returncode == 0
    header, newest, *_ = (await depin(home, "wallet", "history")).stdout.splitlines()
    assert header.split() == ["when", "what", "gross", "fee", "net", "with", "transaction"]
    assert "stake" in newest
    assert newest.count("−2.00") == 2
    lines = json.loads((await depin(home, "wallet", "history", "--json")).stdout)
    assert all(int(line["net"]) == int(line["amount"]) - int(line["fee_worth"]) for line in lines)
    assert int(lines[0]["fee"]) > 0


async def test_no_command_shows_password_words_or_keys(home: Home) -> None:
    words = Vault.load(home.vault).words(PASSWORD)
    secrets = [PASSWORD, words, hotkeys.operator(home).key.hex(), hotkeys.spender(home).key.hex()]
    runs = [
        await depin(home, "wallet", "--json"),
        await depin(home, "wallet", "stake", "1", "--yes", "--password-stdin"),
        await depin(home, "wallet", "stake", "999999999", "--yes", "--password-stdin"),
        await depin(home, "wallet", "backup", "--password-stdin", stdin="wrong password\n"),
        await depin(home, "wallet", "unlock", "--password-stdin"),
    ]
    assert [run.returncode for run in runs[:2]] == [0] * 2
    for run in runs:
        said = run.stdout + run.stderr
        assert "Traceback" not in said
        assert not any(secret.removeprefix("0x") in said for secret in secrets)


async def test_the_reminder_to_back_up_ends_when_it_is_done(home: Home) -> None:
    assert "depin wallet backup" in (await depin(home, "wallet")).stderr
    words = (await depin(home, "wallet", "backup", "--password-stdin")).stdout.strip()
    assert len(words.split()) == 12
    assert (await depin(home, "wallet", "backup", "--written-down")).returncode == 0
    assert "depin wallet backup" not in (await depin(home, "wallet")).stderr

    changed = await depin(home, "wallet", "password", "--password-stdin", stdin=f"{PASSWORD}\na better password\n")
    assert changed.returncode == 0, changed.stderr
    assert Vault.load(home.vault).backed_up
    assert Vault.load(home.vault).words("a better password") == words


async def test_twelve_words_are_the_wallet_again_in_another_home(home: Home, localnet, tmp_path: Path) -> None:
    words = Vault.load(home.vault).words(PASSWORD)
    moved = Home(tmp_path / "moved")
    restoring = ("init", "--network", str(localnet.file), "--restore", "--password-stdin", "--json")
    bad = await depin(moved, *restoring, stdin=f"{PASSWORD}\nnot twelve words\n")
    assert bad.returncode == 1
    assert not moved.vault.exists()
    done = await depin(moved, *restoring, stdin=f"{PASSWORD}\n{words}\n")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["owner"] == Vault.load(home.vault).owner
    again = await depin(moved, *restoring, stdin=f"{PASSWORD}\n{words}\n")
    assert json.loads(again.stdout)["error"]["code"] == "wallet-exists"

"""A locked wallet's owner looks at a step: what it would do, cost and leave, as the chain then has it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from eth_account import Account
from eth_utils.address import to_checksum_address

from depin_desktop.chain.calls import Call
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.estimates import Estimates
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.wallet import hotkeys
from depin_desktop.wallet.looks import STAKE_GAS, Looks, Step
from depin_desktop.wallet.owner import Owner, open_owner
from depin_desktop.wallet.vault import Vault
from tests.conftest import PASSWORD

TOKEN = 10**18
FIRST_WRITE = 17_100  # gas that a slot costs more while it is zero (EIP-2200)


@pytest.fixture
async def home(make_home) -> Home:
    made: Home = await make_home(spending_budget=500 * TOKEN)
    return made


@pytest.fixture
async def looks(home: Home, chain: Chain) -> Looks:
    """Made of what a locked wallet tells."""
    owner = Vault.load(home.vault).owner
    return Looks(chain, hotkeys.operator(home).address, hotkeys.spender(home), Estimates(chain, owner))


@pytest.fixture
async def owner(home: Home) -> AsyncIterator[Owner]:
    async with open_owner(home, PASSWORD) as opened:
        yield opened


async def test_a_look_tells_what_the_step_then_costs_at_most_and_leaves_at_least(
    looks: Looks, owner: Owner, chain: Chain
) -> None:
    friend = Account.create().address
    steps: tuple[Callable[[Looks], Awaitable[Step | None]], ...] = (
        lambda it: it.send(friend, 3 * TOKEN),
        lambda it: it.send_coin(friend, TOKEN // 100),
        lambda it: it.set_budget(600 * TOKEN),
        lambda it: it.set_budget(20 * TOKEN),
        lambda it: it.stake(5 * TOKEN),
        lambda it: it.begin_thaw(TOKEN),
        lambda it: it.set_payout(friend),
    )
    for step in steps:
        look, signed = await step(looks), await step(owner)
        assert look is not None
        assert signed is not None
        taken = await owner.take(signed)
        assert taken.amount == look.amount == signed.amount
        assert 0 < taken.fee <= look.highest_fee
        assert await chain.gas_balance(owner.address) >= look.coin_left > 0


async def test_staking_is_priced_at_what_it_uses_at_most(owner: Owner, chain: Chain, monkeypatch) -> None:
    used: list[int] = []
    send = Sender.send

    async def noted(self, call, **rest):  # type: ignore[no-untyped-def]
        receipt = await send(self, call, **rest)
        used.append(receipt.gas_used)
        return receipt

    monkeypatch.setattr(Sender, "send", noted)
    for amount in (TOKEN, 10**18 + 10**9 * 7 + 1):
        await owner.take(await owner.stake(amount))
    # The wallet's count of permits, its stake and the registry's balance may each be written for the first time.
    assert max(used) + 3 * FIRST_WRITE <= STAKE_GAS < max(used) + 4 * FIRST_WRITE


async def test_a_contract_and_the_wallets_own_addresses_are_pointed_out(
    looks: Looks, owner: Owner, chain: Chain, new_account, tmp_path: Path
) -> None:
    multicall = chain.network.addresses.multicall3
    with pytest.raises(UserFacingError):  # one of the network's own is refused, not pointed out
        await looks.send(multicall, TOKEN)
    stranger = await new_account(tokens=0)
    async with contextlib.AsyncExitStack() as stack:
        database = Database(tmp_path / "stranger.sqlite")
        await database.open()
        stack.push_async_callback(database.close)
        sender = Sender(chain, stranger, database)
        await sender.start()
        stack.push_async_callback(sender.stop)
        contract = await _deployed(sender)
    assert "There is a contract at this address" in (await looks.send(contract, TOKEN)).note
    assert "There is a contract at this address" in (await looks.set_payout(contract)).note
    assert "own address" in (await looks.send(looks.address, TOKEN)).note
    assert "operator" in (await looks.send(looks.operator, TOKEN)).note
    assert "unencrypted" in (await looks.set_payout(looks.spender)).note
    assert (await looks.send_coin(looks.operator, 1)).note == ""
    assert (await looks.send(Account.create().address, TOKEN)).note == ""


async def _deployed(sender: Sender) -> str:
    """The address of a contract whose code is one STOP."""
    receipt = await sender.send(Call(None, bytes.fromhex("60016000f3"), "create"), purpose="a contract")
    found = await sender._chain.rpc.request("eth_getTransactionReceipt", "0x" + receipt.tx.hex())
    assert await sender._chain.rpc.request("eth_getCode", found["contractAddress"], "latest") == "0x00"
    return str(to_checksum_address(found["contractAddress"]))


async def test_a_wallet_without_coin_is_told_before_it_types_its_password(
    looks: Looks, owner: Owner, chain: Chain
) -> None:
    friend = Account.create().address
    await owner.take(await owner.send_coin(friend, None))
    for attempt in (looks.send(friend, TOKEN), looks.stake(TOKEN), looks.set_payout(friend), looks.begin_thaw(TOKEN)):
        with pytest.raises(UserFacingError) as refused:
            await attempt
        assert refused.value.code == "no-gas"


async def test_a_release_says_when_it_can_be_taken_out_and_that_it_cannot_be_called_back(
    looks: Looks, chain: Chain
) -> None:
    step = await looks.begin_thaw(None)
    thaw_s, now = await chain.registry.thaw_period_s(), await chain.now()
    assert step.ends is not None
    assert abs(step.ends - (now + thaw_s)) < 60
    assert "cannot be called back" in step.note


async def test_what_the_chain_takes_up_and_refuses_says_that_it_cost_its_fee(
    home: Home, owner: Owner, chain: Chain, fund
) -> None:
    """The budget leaves its account between the owner's signature and the block."""
    spender = hotkeys.spender(home)
    await fund(spender.address, tokens=0, gas=10**17)
    coin = await chain.gas_balance(owner.address)
    step = await owner.set_budget(0)
    assert step is not None
    taken_off: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    await chain.rpc.request("evm_setAutomine", False)
    try:
        taking = asyncio.ensure_future(owner.take(step, taken_off.set_result))
        transaction = await asyncio.wait_for(taken_off, 20)
        await outrun(chain, spender)
        await chain.rpc.request("evm_mine")
    finally:
        await chain.rpc.request("evm_setAutomine", True)
    with pytest.raises(UserFacingError) as refused:
        await asyncio.wait_for(taking, 20)
    assert refused.value.code.startswith("reverted-")
    assert "cost its fee" in refused.value.message
    assert transaction.hex() in refused.value.remedy
    assert await chain.gas_balance(owner.address) < coin


async def outrun(chain: Chain, spender) -> None:  # type: ignore[no-untyped-def]
    """Sends the whole budget away with a bid that comes first in the block."""
    held = await chain.token.balance_of(spender.address)
    call = chain.token.transfer(Account.create().address, held)
    signed = spender.sign_transaction(
        {
            "type": 2,
            "chainId": chain.network.chain_id,
            "nonce": 0,
            "to": call.to,
            "data": call.data,
            "value": 0,
            "gas": 100_000,
            "maxFeePerGas": 10**12,
            "maxPriorityFeePerGas": 10**11,
        }
    )
    await chain.rpc.request("eth_sendRawTransaction", "0x" + bytes(signed.raw_transaction).hex())

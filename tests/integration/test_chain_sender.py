"""Sending against a real anvil: refused before it costs, told by receipts, in order, and each key once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from depin_desktop.chain import outbox
from depin_desktop.chain.calls import Call, Receipt
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.reverts import Reverted
from depin_desktop.core.errors import UserFacingError

from .chain_anvil import MIN_STAKE
from .sender_world import FOUNDER, FRIEND, POOR, World, in_flight, sender_world

NODE = bytes(31) + b"\x01"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with sender_world(tmp_path) as opened:
        yield opened


async def test_twenty_at_once_all_arrive_each_once(world: World) -> None:
    sender = await world.sender()
    before = await world.nonce()
    receipts = await asyncio.gather(*(sender.send(world.pay(2**n), purpose="pay") for n in range(20)))
    assert len({receipt.tx for receipt in receipts}) == 20
    assert await world.paid() == 2**20 - 1
    assert await world.nonce() == before + 20
    assert sender.pending == ()


async def test_a_receipt_tells_what_happened_and_what_it_cost(world: World) -> None:
    sender = await world.sender()
    before = await world.chain.gas_balance(FOUNDER.address)
    receipt = await sender.send(world.pay(5), purpose="pay")
    event = receipt.event("Transfer")
    assert event.args == {"from": FOUNDER.address, "to": FRIEND.address, "value": 5}
    assert event.contract == "token"
    assert before - await world.chain.gas_balance(FOUNDER.address) == receipt.fee > 0
    with pytest.raises(LookupError):
        receipt.event("Registered")


async def test_a_refusal_is_told_in_a_sentence_and_costs_nothing(world: World) -> None:
    sender = await world.sender()
    before = await world.chain.gas_balance(FOUNDER.address), await world.nonce()
    with pytest.raises(Reverted) as refused:
        await sender.send(world.chain.registry.register(FRIEND.address, FRIEND.address, NODE, 1), purpose="register")
    assert refused.value.name == "StakeTooSmall"
    assert refused.value.values == {"stake": 1, "minimum": MIN_STAKE}
    assert "below the minimum of 100.00" in refused.value.message
    assert refused.value.tx is None
    assert (await world.chain.gas_balance(FOUNDER.address), await world.nonce()) == before


async def test_a_view_that_is_refused_is_decoded_too(world: World) -> None:
    with pytest.raises(Reverted, match="There is no data set") as refused:
        await world.chain.deals.next_action(bytes(32))
    assert refused.value.name == "UnknownSet"


async def test_a_transaction_that_fails_when_mined_says_why(world: World) -> None:
    sender = await world.sender()
    await sender.send(world.chain.token.approve(world.chain.registry.address, 2 * MIN_STAKE), purpose="allow")
    await world.anvil.ask("evm_setAutomine", False)
    registry = world.chain.registry
    sends = [
        asyncio.create_task(
            sender.send(registry.register(who.address, who.address, node, MIN_STAKE), purpose="register")
        )
        for who, node in ((FRIEND, NODE), (POOR, NODE[::-1]))
    ]
    await in_flight(sender, count=2)
    await world.anvil.ask("evm_mine")
    results = await asyncio.gather(*sends, return_exceptions=True)
    refused = next(result for result in results if isinstance(result, Reverted))
    assert sum(isinstance(result, Receipt) for result in results) == 1
    assert refused.name == "AlreadyRegistered"
    assert refused.tx is not None


async def test_calls_that_build_on_each_other_are_sent_in_order(world: World) -> None:
    sender = await world.sender()
    token, registry = world.chain.token, world.chain.registry
    calls = [
        token.approve(registry.address, MIN_STAKE),
        registry.register(FRIEND.address, FRIEND.address, NODE, MIN_STAKE),
        registry.set_payout(POOR.address),
    ]
    receipts = await sender.send_many(calls, purpose="become a provider", key="provider")
    assert [receipt.block for receipt in receipts] == sorted(receipt.block for receipt in receipts)
    provider = await registry.provider(FOUNDER.address)
    assert (provider.payout, provider.stake, provider.node_id) == (POOR.address, MIN_STAKE, NODE)
    # The same again is not sent again.
    assert await sender.send_many(calls, purpose="become a provider", key="provider") == receipts


async def test_independent_calls_share_a_block_and_a_failure_ends_the_row(world: World) -> None:
    sender = await world.sender()
    await world.anvil.ask("evm_setAutomine", False)
    sending = asyncio.create_task(sender.send_many([world.pay(n) for n in (1, 2, 3)], purpose="pay"))
    await in_flight(sender, count=3)
    await world.anvil.ask("evm_mine")
    assert len({receipt.block for receipt in await sending}) == 1
    await world.anvil.ask("evm_setAutomine", True)
    with pytest.raises(Reverted):
        await sender.send_many([world.pay(10), world.chain.registry.unstake(), world.pay(100)], purpose="mixed")
    assert await world.paid() == 16


async def test_where_more_confirmations_are_asked_a_receipt_waits_for_them(world: World) -> None:
    world.chain.network = world.chain.network.model_copy(update={"confirmations": 3})
    sender = await world.sender()
    sending = asyncio.create_task(sender.send(world.pay(9), purpose="pay"))
    await in_flight(sender)
    for _ in range(2):
        await sender._flights.cycle.trigger_and_wait()
        assert not sending.done()
        await world.anvil.ask("evm_mine")
    receipt = await asyncio.wait_for(sending, 10)
    assert (await world.chain.block()).number == receipt.block + 2


async def test_a_key_is_sent_once_whoever_asks_and_whenever(world: World) -> None:
    sender = await world.sender()
    together = await asyncio.gather(*(sender.send(world.pay(3), purpose="pay", key="rent-1") for _ in range(5)))
    later = await sender.send(world.pay(3), purpose="pay", key="rent-1")
    await sender.stop()
    restarted = await world.sender()
    after = await restarted.send(world.pay(3), purpose="pay", key="rent-1")
    assert {receipt.tx for receipt in [*together, later, after]} == {after.tx}
    assert after.events == later.events
    assert await world.paid() == 3
    await restarted.send(world.pay(3), purpose="pay", key="rent-2")
    assert await world.paid() == 6


async def test_a_refused_key_may_be_tried_again(world: World) -> None:
    sender = await world.sender()
    stake = world.chain.registry.register(FRIEND.address, FRIEND.address, NODE, MIN_STAKE)
    with pytest.raises(Reverted):
        await sender.send(stake, purpose="register", key="register")
    await sender.send(world.chain.token.approve(world.chain.registry.address, MIN_STAKE), purpose="allow")
    await sender.send(stake, purpose="register", key="register")


async def test_an_account_without_gas_is_told_so_and_keeps_its_nonce(world: World) -> None:
    sender = await world.sender(POOR)
    with pytest.raises(UserFacingError) as told:
        await sender.send(world.chain.deals.poke(), purpose="poke", gas_limit=100_000)
    assert told.value.code in ("no-gas", "reverted-window-closed")
    with pytest.raises(UserFacingError) as told:
        await sender.send(Call(FRIEND.address, b"", "gift"), purpose="gift")
    assert told.value.code == "no-gas"
    assert sender.pending == ()


async def test_a_transaction_that_no_node_takes_is_refused_and_gives_its_nonce_back(world: World) -> None:
    sender = await world.sender()
    with pytest.raises(UserFacingError) as told:
        await sender.send(world.pay(1), purpose="pay", key="rent", gas_limit=2**40)
    assert told.value.code in ("chain-refused", "no-gas")
    await sender.send(world.pay(29), purpose="pay", key="rent")
    assert await world.paid() == 29


async def test_old_rows_are_trimmed_but_recent_keys_remembered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "KEEP_WHOLE", 3)
    monkeypatch.setattr(outbox, "KEEP_KEYS", 12)
    sender = await world.sender()
    for number in range(10):
        await sender.send(world.pay(1), purpose="pay", key=f"rent-{number}" if number % 2 else None)
    rows = await world.database.rows("SELECT key, length(data) AS size FROM sender_transactions ORDER BY nonce")
    assert [(row["key"], row["size"] > 0) for row in rows] == [
        ("rent-1", False), ("rent-3", False), ("rent-5", False),
        (None, True), ("rent-7", True), (None, True), ("rent-9", True),
    ]  # fmt: skip
    await sender.send(world.pay(1), purpose="pay", key="rent-1")
    assert await world.paid() == 10
    for _ in range(10):
        await sender.send(world.pay(1), purpose="pay")
    assert await world.database.rows("SELECT 1 FROM sender_transactions WHERE key = 'rent-1'") == []


async def test_the_wrong_chain_is_refused(world: World) -> None:
    with pytest.raises(UserFacingError) as told:
        await Chain.connect(world.chain.network.model_copy(update={"chain_id": 1}))
    assert told.value.code == "wrong-chain"


async def test_an_unreachable_node_and_a_missing_contract_are_told_apart(world: World) -> None:
    network = world.chain.network
    nowhere = await Chain.connect(
        network.model_copy(update={"addresses": network.addresses.model_copy(update={"token": POOR.address})})
    )
    with pytest.raises(UserFacingError) as told:
        await nowhere.token.balance_of(POOR.address)
    assert told.value.code == "no-contract"
    await nowhere.close()
    await world.anvil.kill()
    with pytest.raises(UserFacingError) as told:
        await Chain.connect(network, timeout_s=1)
    assert told.value.code == "chain-unreachable"


async def test_the_present_is_seen_although_no_block_was_mined(world: World) -> None:
    before = await world.chain.deals.current_period()
    await world.anvil.ask("evm_increaseTime", 240)  # mines nothing
    assert await world.chain.deals.current_period() == before + 2
    assert await world.chain.now() > (await world.chain.block("latest")).time + 200

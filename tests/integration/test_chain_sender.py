"""Sending against a real anvil: never twice, never lost, refused before it costs, resumed after a crash."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account.signers.local import LocalAccount

from depin_desktop.chain import flight, outbox
from depin_desktop.chain.broadcast import Answer, broadcast
from depin_desktop.chain.calls import Call, Receipt
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.flight import PRIVATE, Pace
from depin_desktop.chain.reverts import Reverted
from depin_desktop.chain.rpc import Rpc
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError

from .chain_anvil import MIN_STAKE, Anvil, account, anvil_with_contracts

FOUNDER, FRIEND, POOR = account(1), account(2), account(99)
NODE = bytes(31) + b"\x01"
HASTY = Pace(fastest_poll_s=0.005, slowest_poll_s=0.02, rebroadcast_s=0.05, stuck_s=0.1, certain_s=0.1)


class World:
    """An anvil, a chain, a database, and senders that are stopped at the end."""

    def __init__(self, anvil: Anvil, chain: Chain, database: Database) -> None:
        self.anvil = anvil
        self.chain = chain
        self.database = database
        self._senders: list[Sender] = []

    async def sender(self, owner: LocalAccount = FOUNDER, pace: Pace = PRIVATE) -> Sender:
        sender = Sender(self.chain, owner, self.database, pace=pace)
        await sender.start()
        self._senders.append(sender)
        return sender

    async def stop(self) -> None:
        for sender in self._senders:
            await sender.stop()

    def pay(self, amount: int = 1) -> Call:
        return self.chain.token.transfer(FRIEND.address, amount)

    async def paid(self) -> int:
        return await self.chain.token.balance_of(FRIEND.address)

    async def nonce(self, owner: LocalAccount = FOUNDER) -> int:
        return int(await self.anvil.ask("eth_getTransactionCount", owner.address, "latest"), 16)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with anvil_with_contracts(tmp_path, FOUNDER, FRIEND) as (anvil, network):
        chain = await Chain.connect(network)
        database = Database(tmp_path / "sender.sqlite")
        await database.open()
        world = World(anvil, chain, database)
        yield world
        await world.stop()
        await chain.close()
        await database.close()


async def in_flight(sender: Sender, *, attempts: int = 1, count: int = 1) -> None:
    """Waits until a node has `count` transactions, the first with so many attempts."""
    async with asyncio.timeout(20):
        while True:
            flights = sender._flights.open
            if sum(one.maybe_taken for one in flights) >= count and len(flights[0].attempts) >= attempts:
                return
            await sender._flights.cycle.trigger_and_wait()
            await asyncio.sleep(0)


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


async def test_a_stuck_transaction_is_outbid_and_takes_effect_once(world: World) -> None:
    sender = await world.sender(pace=HASTY)
    await world.anvil.ask("evm_setAutomine", False)
    sending = asyncio.create_task(sender.send(world.pay(7), purpose="pay"))
    await in_flight(sender, attempts=3)
    hashes = sender.pending[0].hashes
    await world.anvil.ask("evm_mine")
    receipt = await sending
    assert receipt.tx in hashes[1:]
    assert await world.paid() == 7
    found = [await world.anvil.ask("eth_getTransactionByHash", "0x" + one.hex()) for one in hashes]
    bids = [(int(tx["maxFeePerGas"], 16), int(tx["maxPriorityFeePerGas"], 16)) for tx in found if tx]
    assert len(bids) == 1  # the others were replaced, not added


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


CRASHES = """
import asyncio, os, sys
from pathlib import Path
from eth_account import Account
from depin_desktop.chain import flight
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database

async def crash(*_):
    os._exit(9)  # the row is written, the node has heard nothing

async def main(network, database, to):
    flight.broadcast = crash
    chain = await Chain.connect(Network.load(Path(network)))
    rows = Database(Path(database))
    await rows.open()
    sender = Sender(chain, Account.from_key((1).to_bytes(32, "big")), rows)
    await sender.start()
    await sender.send(chain.token.transfer(to, 11), purpose="pay", key="rent")

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_crash_between_writing_and_broadcasting_is_made_good(world: World, tmp_path: Path) -> None:
    network = tmp_path / "network.json"
    network.write_text(world.chain.network.model_dump_json())
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CRASHES, str(network), str(world.database.path), FRIEND.address)
    )
    assert await child.wait() == 9
    assert await world.paid() == 0
    sender = await world.sender()
    assert [pending.purpose for pending in sender.pending] == ["pay"]
    await sender.send(world.pay(11), purpose="pay", key="rent")
    assert await world.paid() == 11


async def test_a_node_killed_in_between_gets_the_transaction_again(world: World) -> None:
    sender = await world.sender(pace=replace(HASTY, stuck_s=60))
    await world.anvil.save()
    await world.anvil.ask("evm_setAutomine", False)
    sending = asyncio.create_task(sender.send(world.pay(13), purpose="pay"))
    await in_flight(sender)
    await world.anvil.kill()  # its pool dies with it
    await sender._flights.cycle.trigger_and_wait()
    await world.anvil.start()
    receipt = await asyncio.wait_for(sending, 30)
    assert receipt.event("Transfer").args["value"] == 13
    assert await world.paid() == 13


async def test_a_nonce_taken_by_another_program_is_noticed_and_the_call_sent_with_the_next(world: World) -> None:
    sender = await world.sender(pace=replace(HASTY, rebroadcast_s=60, stuck_s=60))
    await world.anvil.ask("evm_setAutomine", False)
    sending = asyncio.create_task(sender.send(world.pay(17), purpose="pay"))
    await in_flight(sender)
    await world.anvil.ask("anvil_dropTransaction", "0x" + sender.pending[0].hashes[0].hex())
    foreign = FOUNDER.sign_transaction(
        {
            "type": 2,
            "chainId": world.chain.network.chain_id,
            "nonce": sender.pending[0].nonce,
            "to": FRIEND.address,
            "value": 1,
            "gas": 21_000,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 10**9,
        }
    )
    await world.anvil.ask("eth_sendRawTransaction", "0x" + bytes(foreign.raw_transaction).hex())
    await world.anvil.ask("evm_mine")
    await world.anvil.ask("evm_setAutomine", True)
    await asyncio.wait_for(sending, 30)
    assert await world.paid() == 17


async def test_a_gap_in_the_nonces_is_filled(world: World) -> None:
    sender = await world.sender(pace=HASTY)
    sender._flights._next_nonce = await world.nonce() + 2  # as after two rejected transactions
    await asyncio.wait_for(sender.send(world.pay(19), purpose="pay"), 30)
    assert await world.paid() == 19


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


async def test_an_unclear_answer_keeps_the_transaction_in_flight(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    async def unclear(rpc: Rpc, raw: Sequence[bytes]) -> list[tuple[Answer, str]]:
        asked.append(len(raw))
        if len(asked) == 1:
            return [(Answer.UNCLEAR, "txpool is full")]
        return await broadcast(rpc, raw)

    monkeypatch.setattr(flight, "broadcast", unclear)
    sender = await world.sender(pace=replace(HASTY, stuck_s=60))
    await asyncio.wait_for(sender.send(world.pay(31), purpose="pay"), 30)
    assert await world.paid() == 31
    assert len(asked) == 2


async def test_two_senders_with_one_database_never_share_a_nonce(world: World) -> None:
    one, other = await world.sender(), await world.sender()
    sends = [sender.send(world.pay(1), purpose="pay") for _ in range(10) for sender in (one, other)]
    assert len({receipt.tx for receipt in await asyncio.gather(*sends)}) == 20
    assert await world.paid() == 20


async def test_two_senders_with_one_database_send_a_key_once(world: World) -> None:
    one, other = await world.sender(), await world.sender()
    sends = [sender.send(world.pay(5), purpose="pay", key=f"rent-{n}") for n in range(5) for sender in (one, other)]
    receipts = await asyncio.gather(*sends)
    assert len({receipt.tx for receipt in receipts}) == 5
    assert await world.paid() == 25


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


async def test_waiting_has_an_end_and_the_transaction_goes_on(world: World) -> None:
    sender = await world.sender()
    await world.anvil.ask("evm_setAutomine", False)
    with pytest.raises(UserFacingError) as told:
        await sender.send(world.pay(23), purpose="pay", key="late", timeout_s=0.05)
    assert told.value.code == "transaction-pending"
    assert len(sender.pending) == 1
    await world.anvil.ask("evm_mine")
    await sender.send(world.pay(23), purpose="pay", key="late")
    assert await world.paid() == 23


async def test_a_cancelled_caller_leaves_nothing_half_done(world: World) -> None:
    sender = await world.sender()
    for steps in range(12):
        sending = asyncio.create_task(sender.send(world.pay(1), purpose="pay"))
        for _ in range(steps):
            await asyncio.sleep(0.0005)
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
    await sender.send(world.pay(100), purpose="pay")
    async with asyncio.timeout(10):
        while sender.pending:
            await sender._flights.cycle.trigger_and_wait()
    assert await world.nonce() - 4 == await world.paid() - 99  # four transactions deployed the contracts


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

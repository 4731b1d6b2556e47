"""What can go wrong between signature and receipt, on a real anvil: nothing is lost and nothing is paid twice."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from depin_desktop.chain import flight
from depin_desktop.chain.broadcast import Answer, broadcast
from depin_desktop.chain.rpc import Rpc
from depin_desktop.core.errors import UserFacingError

from .sender_world import FOUNDER, FRIEND, HASTY, World, in_flight, sender_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with sender_world(tmp_path) as opened:
        yield opened


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


async def test_a_base_fee_that_rises_over_the_bid_is_outbid(world: World) -> None:
    sender = await world.sender(pace=HASTY)
    await world.anvil.ask("evm_setAutomine", False)
    sending = asyncio.create_task(sender.send(world.pay(37), purpose="pay"))
    await in_flight(sender)
    dear = hex(sender._flights.open[0].last.fees.max_fee + 1)
    await world.anvil.ask("anvil_setNextBlockBaseFeePerGas", dear)
    await world.anvil.ask("evm_mine")
    assert await world.paid() == 0  # too little was bid
    await in_flight(sender, attempts=4)
    await world.anvil.ask("evm_mine")
    await asyncio.wait_for(sending, 20)
    assert await world.paid() == 37


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

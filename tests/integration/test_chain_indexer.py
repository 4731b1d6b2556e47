"""The index follows a real anvil: live, after it was killed, over reorganisations, and through silent subscriptions."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from depin_desktop.chain import typed_data
from depin_desktop.chain.bindings.settlement import ChannelConfig, VoucherClaim, erc3009_collector_data
from depin_desktop.chain.calls import LogEvent
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.heads import Heads
from depin_desktop.chain.indexer import Indexer
from depin_desktop.chain.network import Network
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database

from .chain_anvil import Anvil, account, anvil_with_contracts

FOUNDER, FRIEND, STRANGER = account(1), account(2), account(3)
NEVER_S = 3600.0  # polling that does not happen within a test


class World:
    """An anvil, a chain and a sender of the founder's."""

    def __init__(self, anvil: Anvil, network: Network, chain: Chain, database: Database, sender: Sender) -> None:
        self.anvil = anvil
        self.network = network
        self.chain = chain
        self.database = database
        self.sender = sender

    async def pay(self, amount: int, to: str = FRIEND.address) -> None:
        await self.sender.send(self.chain.token.transfer(to, amount), purpose="pay")

    @contextlib.asynccontextmanager
    async def index(self, **options: object) -> AsyncIterator[Indexer]:
        indexer = Indexer(self.chain, self.database, accounts=[FRIEND.address], **options)  # type: ignore[arg-type]
        await indexer.start()
        try:
            yield indexer
        finally:
            await indexer.stop()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with anvil_with_contracts(tmp_path, FOUNDER) as (anvil, network):
        chain = await Chain.connect(network)
        database = Database(tmp_path / "index.sqlite")
        await database.open()
        sender = Sender(chain, FOUNDER, database)
        await sender.start()
        yield World(anvil, network, chain, database, sender)
        await sender.stop()
        await chain.close()
        await database.close()


async def amounts(indexer: Indexer) -> list[int]:
    return [event.args["value"] for event in await indexer.events("Transfer", to=FRIEND.address)]


async def test_what_happened_before_the_start_is_filled_in(world: World) -> None:
    for amount in (1, 2, 3):
        await world.pay(amount)
    await world.pay(4, STRANGER.address)
    async with world.index() as indexer:
        await indexer.sync()
        assert await amounts(indexer) == [1, 2, 3]
        assert await indexer.events("Transfer", to=STRANGER.address) == []  # nobody of ours
        assert (await indexer.events("SlasherSet"))[0].args["module"] == world.network.addresses.deals
        assert indexer.height == indexer.head > 0
        assert indexer.lag == 0
        event = (await indexer.events("Transfer", newest_first=True, limit=1))[0]
        block = await world.chain.block(event.block)
        assert (event.block_hash, event.block_time, event.contract) == (block.hash, block.time, "token")


async def test_a_small_range_reads_the_same_as_a_large_one(world: World) -> None:
    for amount in range(10):
        await world.pay(amount)
    async with world.index() as indexer:
        indexer._range = 1
        await indexer.sync()
        assert await amounts(indexer) == list(range(10))


async def test_new_events_are_announced_without_waiting_for_a_poll(world: World) -> None:
    async with world.index(poll_s=NEVER_S) as indexer:
        await indexer.sync()
        heard: asyncio.Queue[LogEvent] = asyncio.Queue()
        end = indexer.on("Transfer", heard.put)
        await world.pay(7)
        event = await asyncio.wait_for(heard.get(), 10)
        assert event.args == {"from": FOUNDER.address, "to": FRIEND.address, "value": 7}
        assert indexer.live
        end()
        await world.pay(8)
        await indexer.sync()
        assert heard.empty()


async def test_a_restart_goes_on_where_it_stopped(world: World) -> None:
    async with world.index() as indexer:
        await world.pay(1)
        await indexer.sync()
        height = indexer.height
    await world.pay(2)
    async with world.index(poll_s=NEVER_S) as indexer:
        assert indexer.height == height
        heard: list[int] = []

        async def note(event: LogEvent) -> None:
            heard.append(event.args["value"])

        indexer.on("Transfer", note)
        await indexer.sync()
        assert heard == [2]
        assert await amounts(indexer) == [1, 2]


async def test_a_reorganisation_takes_events_back_and_brings_the_new_ones(world: World) -> None:
    async with world.index() as indexer:
        await world.pay(1)
        await indexer.sync()
        snapshot = await world.anvil.ask("evm_snapshot")
        await world.pay(2)
        await world.pay(3)
        await indexer.sync()
        told: list[tuple[int, bool]] = []

        async def note(event: LogEvent) -> None:
            told.append((event.args["value"], event.removed))

        indexer.on("Transfer", note)
        await world.anvil.ask("evm_revert", snapshot)
        await world.anvil.ask("evm_mine")
        await indexer.sync()
        assert told == [(3, True), (2, True)]
        assert await amounts(indexer) == [1]
        # The sender sees that the chain forgot its transactions, and brings them back before the next one counts.
        await world.pay(4)
        await indexer.sync()
        assert await amounts(indexer) == [1, 2, 3, 4]


async def test_a_longer_chain_that_replaced_ours_unseen_is_noticed(world: World) -> None:
    async with world.index() as indexer:
        await world.pay(1)
        await indexer.sync()
        snapshot = await world.anvil.ask("evm_snapshot")
        await world.pay(2)
        await indexer.sync()
        await indexer.stop()
        await world.anvil.ask("evm_revert", snapshot)
        for _ in range(5):
            await world.anvil.ask("evm_mine")
    async with world.index() as indexer:
        await indexer.sync()
        assert await amounts(indexer) == [1]
        assert indexer.height == (await world.chain.block("latest")).number


async def test_a_deep_reorganisation_of_equal_length_is_noticed(world: World) -> None:
    async with world.index() as indexer:
        for amount in range(6):
            await world.pay(amount)
        await indexer.sync()
        height = indexer.height
        await world.anvil.ask("anvil_reorg", 4, [])
        await indexer.sync()
        assert indexer.height == height
        assert (await world.chain.block(height)).hash == (await world.chain.block("latest")).hash
        canonical = {(await world.chain.block(number)).hash for number in range(height + 1)}
        assert {event.block_hash for event in await indexer.events("Transfer")} <= canonical
        assert await amounts(indexer) == [0, 1]


async def test_a_killed_node_is_found_again_and_what_was_missed_is_filled_in(world: World) -> None:
    async with world.index(poll_s=0.05) as indexer:
        await world.pay(1)
        await world.anvil.save()
        await indexer.sync()
        await world.anvil.kill()
        await indexer.sync()  # fails quietly
        assert await amounts(indexer) == [1]
        await world.anvil.start()
        heard: asyncio.Queue[LogEvent] = asyncio.Queue()
        indexer.on("Transfer", heard.put)
        await world.pay(2)
        assert (await asyncio.wait_for(heard.get(), 20)).args["value"] == 2
        assert await amounts(indexer) == [1, 2]


async def test_a_node_that_forgot_its_last_blocks_is_followed_back(world: World) -> None:
    async with world.index() as indexer:
        await world.pay(1)
        await world.anvil.save()
        await world.pay(2)
        await indexer.sync()
        assert await amounts(indexer) == [1, 2]
        await world.anvil.kill()
        await world.anvil.start()
        await indexer.sync()
        assert await amounts(indexer) == [1]


async def test_a_failing_callback_harms_nobody_else(world: World) -> None:
    async with world.index() as indexer:
        heard: list[int] = []

        async def fail(_: LogEvent) -> None:
            raise RuntimeError("not ours to handle")

        async def note(event: LogEvent) -> None:
            heard.append(event.args["value"])

        indexer.on("Transfer", fail)
        indexer.on("Transfer", note)
        await world.pay(5)
        await indexer.sync()
        assert heard == [5]


async def test_other_accounts_build_the_index_anew(world: World) -> None:
    await world.pay(1)
    await world.pay(2, STRANGER.address)
    async with world.index() as indexer:
        await indexer.sync()
    other = Indexer(world.chain, world.database, accounts=[STRANGER.address])
    await other.start()
    await other.sync()
    assert [event.args["value"] for event in await other.events("Transfer", to=STRANGER.address)] == [2]
    assert await other.events("Transfer", to=FRIEND.address) == []
    await other.stop()


async def test_an_account_that_comes_later_is_read_from_its_block_on_and_kept(world: World) -> None:
    await world.pay(1)
    await world.pay(2, STRANGER.address)
    heard: list[int] = []

    async def note(event: LogEvent) -> None:
        heard.append(event.args["value"])

    async with world.index() as indexer:
        indexer.on("Transfer", note)
        await indexer.sync()
        await world.pay(3, STRANGER.address)
        await indexer.sync()
        assert heard[-1] == 1
        since = indexer.height
        indexer.widen(STRANGER.address, since)
        await indexer.sync()
        await world.pay(4, STRANGER.address)
        await world.pay(5)
        await indexer.sync()
        assert heard[-3:] == [3, 4, 5]
        indexer.widen(STRANGER.address, 0)  # it is one of ours already
        await indexer.sync()
        assert heard[-3:] == [3, 4, 5]
    # Whoever asks for both from the start finds all of it there, without the chain.
    both = Indexer(world.chain, world.database, accounts=[FRIEND.address, STRANGER.address])
    await both.start()
    assert both.height >= since
    assert [event.args["value"] for event in await both.events("Transfer", to=STRANGER.address)] == [3, 4]
    assert await amounts(both) == [1, 5]
    await both.stop()


async def test_a_later_account_is_read_in_pieces_and_only_of_the_chain_that_holds(world: World) -> None:
    for amount in range(4):
        await world.pay(amount, STRANGER.address)
    async with world.index() as indexer:
        await indexer.sync()
        snapshot = await world.anvil.ask("evm_snapshot")
        await world.pay(98)
        await world.pay(99, STRANGER.address)
        await indexer.sync()
        assert await amounts(indexer) == [98]
        await world.anvil.ask("evm_revert", snapshot)
        await world.anvil.ask("evm_mine")
        indexer._range = 1
        indexer.widen(STRANGER.address, 0)
        await indexer.sync()  # finds the fork
        await indexer.sync()
        assert [event.args["value"] for event in await indexer.events("Transfer", to=STRANGER.address)] == [*range(4)]
        assert await amounts(indexer) == []


async def test_asking_for_an_unknown_event_or_argument_is_an_error(world: World) -> None:
    async with world.index() as indexer:
        with pytest.raises(ValueError, match="Nonsense"):
            await indexer.events("Nonsense")
        with pytest.raises(ValueError, match="value"):
            await indexer.events("Transfer", value=1)


async def test_a_silent_subscription_is_dropped_and_made_anew() -> None:
    subscribed: asyncio.Queue[web.WebSocketResponse] = asyncio.Queue()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            asked = json.loads(message.data)
            await socket.send_json({"jsonrpc": "2.0", "id": asked["id"], "result": "0x1"})
            await subscribed.put(socket)
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    heard: asyncio.Queue[int] = asyncio.Queue()
    heads = Heads(f"ws://127.0.0.1:{runner.addresses[0][1]}/", heard.put_nowait)
    running = asyncio.create_task(heads.run())
    first = await asyncio.wait_for(subscribed.get(), 5)
    assert await asyncio.wait_for(heard.get(), 5) == -1
    head = {"method": "eth_subscription", "params": {"result": {"number": "0x2a"}}}
    await first.send_json(head)
    assert await asyncio.wait_for(heard.get(), 5) == 42
    await heads.reconnect()
    await asyncio.wait_for(subscribed.get(), 5)
    assert await asyncio.wait_for(heard.get(), 5) == -1
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError, aiohttp.ClientError):
        await running
    await runner.cleanup()


async def test_of_everybodys_payment_channels_only_ours_are_indexed(world: World) -> None:
    async def pay(receiver: str, amount: int) -> None:
        """Opens a channel, claims its one voucher and pays out."""
        network, settlement = world.network, world.chain.settlement
        token, collector = network.addresses.token, network.addresses.erc3009_collector
        config = ChannelConfig(FOUNDER.address, FOUNDER.address, receiver, FOUNDER.address, token, 3600, bytes(32))
        channel, until = typed_data.channel_id(network, config), await world.chain.now() + 3600
        signed = typed_data.sign_deposit(FOUNDER, network, channel, amount, 0, until, bytes(32))
        data = erc3009_collector_data(0, until, bytes(32), signed)
        await world.sender.send(settlement.deposit(config, amount, collector, data), purpose="deposit")
        voucher = VoucherClaim(config, amount, typed_data.sign_voucher(FOUNDER, network, channel, amount), amount)
        await world.sender.send(settlement.claim([voucher]), purpose="claim")
        await world.sender.send(settlement.settle(receiver, token), purpose="settle")

    await pay(STRANGER.address, 2)
    await pay(FRIEND.address, 3)
    async with world.index() as indexer:
        await indexer.sync()
        settled = await indexer.events("Settled", contract="settlement")
        assert [(event.args["receiver"], event.args["amount"]) for event in settled] == [(FRIEND.address, 3)]

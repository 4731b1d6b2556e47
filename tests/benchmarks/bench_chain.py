"""The chain's rooms: our sender against bare web3.py on the same anvil, and filling an index from nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
from web3 import AsyncHTTPProvider, AsyncWeb3, HTTPProvider, Web3

from depin_desktop.chain.abi import artifact, interface
from depin_desktop.chain.calls import Call
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.contracts import MULTICALL3
from depin_desktop.chain.indexer import Indexer
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from tests.benchmarks.table import Row
from tests.integration.chain_anvil import account, anvil_with_contracts

OURS, THEIRS, FRIEND = account(1), account(2), account(3)
AT_ONCE = 32  # in flight together, in the rows that say so
EVENTS_PER_TRANSACTION = 1000
GAS = 100_000  # for a transfer, where nobody estimates it
EVERY_BYTES = 0.02  # seconds between two looks at the process's memory


async def rows(transfers: int, events: int, rounds: int) -> list[Row]:
    """Signed ERC-20 transfers a second, each with its receipt; then seconds and memory of a back-fill."""
    with tempfile.TemporaryDirectory(prefix="depin-bench-") as temporary:
        async with _place(Path(temporary)) as (chain, sender):
            found = await _transfer_rows(chain, sender, transfers, rounds)
        return found + await _index_rows(Path(temporary), events)


@contextlib.asynccontextmanager
async def _place(folder: Path) -> AsyncIterator[tuple[Chain, Sender]]:
    folder = folder / f"chain-{time.monotonic_ns()}"
    await asyncio.to_thread(folder.mkdir)
    async with anvil_with_contracts(folder, OURS, THEIRS) as (_, network), contextlib.AsyncExitStack() as stack:
        chain = await Chain.connect(network)
        stack.push_async_callback(chain.close)
        database = Database(folder / "sender.sqlite")
        await database.open()
        stack.push_async_callback(database.close)
        sender = Sender(chain, OURS, database)
        await sender.start()
        stack.push_async_callback(sender.stop)
        yield chain, sender


# --- sending ------------------------------------------------------------------------------------------------------


async def _transfer_rows(chain: Chain, sender: Sender, transfers: int, rounds: int) -> list[Row]:
    await sender.send(chain.token.transfer(THEIRS.address, 10**24), purpose="half of it")
    ways: dict[str, Callable[[int], Awaitable[None]]] = {
        "ours": lambda count: _ours(chain, sender, count, 1),
        "ours, many": lambda count: _ours(chain, sender, count, AT_ONCE),
        "bare": lambda count: asyncio.to_thread(_bare, chain, count),
        "bare, many": lambda count: _bare_many(chain, count, AT_ONCE),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):  # in turns, so that a busy moment meets all of them
        for name, run in ways.items():
            await run(AT_ONCE)  # connections are open and caches warm, as in an engine that runs
            began = time.perf_counter()
            await run(transfers)
            rates[name].append(transfers / (time.perf_counter() - began))
    median = {name: statistics.median(values) for name, values in rates.items()}
    return [
        Row("transfers with receipt, one by one", median["ours"], "/s", median["bare"], "bare web3.py", "≥ 1 ×"),
        Row(
            f"transfers with receipt, {AT_ONCE} at once",
            median["ours, many"],
            "/s",
            median["bare, many"],
            f"bare AsyncWeb3, {AT_ONCE} at once",
            "≥ 1 ×",
        ),
    ]


async def _ours(chain: Chain, sender: Sender, count: int, at_once: int) -> None:
    """Simulated first, on disk before it is broadcast, and again with its receipt: as the engine sends."""
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await sender.send(chain.token.transfer(FRIEND.address, 1), purpose="pay")

    await asyncio.gather(*(work() for _ in range(at_once)))


def _signed(contract: Any, chain_id: int, nonce: int) -> bytes:
    transaction = contract.functions.transfer(FRIEND.address, 1).build_transaction(
        {
            "from": THEIRS.address, "nonce": nonce, "gas": GAS, "chainId": chain_id,
            "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9,
        }
    )  # fmt: skip
    return bytes(THEIRS.sign_transaction(transaction).raw_transaction)


def _bare(chain: Chain, count: int) -> None:
    """The least that web3.py can do: no simulation, no estimate, nothing on disk, nonces counted by hand."""
    web3 = Web3(HTTPProvider(chain.rpc.url))
    token: Any = web3.eth.contract(address=chain.token.address, abi=artifact("DepinToken")["abi"])  # type: ignore[call-overload]
    nonce = web3.eth.get_transaction_count(THEIRS.address)
    for number in range(count):
        tx = web3.eth.send_raw_transaction(_signed(token, chain.network.chain_id, nonce + number))
        assert web3.eth.wait_for_transaction_receipt(tx, poll_latency=0.001)["status"] == 1


async def _bare_many(chain: Chain, count: int, at_once: int) -> None:
    web3 = AsyncWeb3(AsyncHTTPProvider(chain.rpc.url))
    nonce = await web3.eth.get_transaction_count(THEIRS.address)
    token: Any = Web3().eth.contract(address=chain.token.address, abi=artifact("DepinToken")["abi"])  # type: ignore[call-overload]
    left = iter(range(count))

    async def work() -> None:
        for number in left:
            tx = await web3.eth.send_raw_transaction(_signed(token, chain.network.chain_id, nonce + number))
            receipt = await web3.eth.wait_for_transaction_receipt(tx, poll_latency=0.001)
            assert receipt["status"] == 1

    await asyncio.gather(*(work() for _ in range(at_once)))
    await web3.provider.disconnect()


# --- indexing -----------------------------------------------------------------------------------------------------


async def _index_rows(folder: Path, events: int) -> list[Row]:
    async with _place(folder) as (chain, sender):
        await _emit(chain, sender, events)
        database = Database(folder / "index.sqlite")
        await database.open()
        indexer = Indexer(chain, database, accounts=[FRIEND.address])
        memory: list[int] = []
        gc.collect()
        before = psutil.Process().memory_info().rss
        watching = asyncio.create_task(_watch(memory))
        began = time.perf_counter()
        await indexer.start()
        await indexer.sync()
        seconds = time.perf_counter() - began
        watching.cancel()
        count = await database.row("SELECT count(*) AS logs FROM index_logs WHERE name = 'Transfer'")
        await indexer.stop()
        await database.close()
        assert count is not None
        assert count["logs"] == events, "everything is there, and once"
    settled = memory[len(memory) // 5] if memory else before
    return [
        Row(f"index, back-fill of {events:,} events", seconds, "s", bound="≤ 30"),
        Row("index, memory over the last four fifths", max(0, max(memory) - settled) / 1e6, "MB more", bound="≤ 20"),
    ]


async def _watch(memory: list[int]) -> None:
    process = psutil.Process()
    while True:
        memory.append(process.memory_info().rss)
        await asyncio.sleep(EVERY_BYTES)


async def _emit(chain: Chain, sender: Sender, events: int) -> None:
    """Transfers to one account, a thousand in a transaction: Multicall3 sends them from its own balance."""
    multicall, address = interface(MULTICALL3), chain.network.addresses.multicall3
    await sender.send(chain.token.transfer(address, events), purpose="something to give away")
    one = chain.token.transfer(FRIEND.address, 1).data
    function = multicall.functions["aggregate3"]
    for done in range(0, events, EVENTS_PER_TRANSACTION):
        batch = [(chain.token.address, False, one)] * min(EVENTS_PER_TRANSACTION, events - done)
        await sender.send(
            Call(address, function.encode(batch), "multicall.aggregate3"), purpose="events", gas_limit=25_000_000
        )

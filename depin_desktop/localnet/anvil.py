"""The chain of a local network: how anvil is founded, started, asked whether it is ready, and saved."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from depin_desktop.chain.rpc import Rpc, RpcError, Unreachable
from depin_desktop.localnet.chain_state import ChainStates
from depin_desktop.localnet.child import Child
from depin_desktop.localnet.folder import LOOPBACK, usable_port
from depin_desktop.localnet.traces import without_traces

log = logging.getLogger(__name__)

CHAIN_ID = 31337
HARDFORK = "prague"
# Every state in memory costs about 0.1 MB; more than the last few are never asked for. (16: 38 MB after 3,000 blocks.)
HISTORY = 16
# Ten hours of demand. Older blocks keep their header and lose transactions and logs, of which anvil forgets none
# otherwise. With more of them each save, during which the chain answers nobody, would take longer than 1.4 s.
BLOCKS_WITH_TRANSACTIONS = 5_000
LONGEST_SOCKET_PATH = 100  # the systems' limit is 104 to 108
SAVE_SHARE = 0.05  # at most this part of the time goes into saving, however large the state has grown
SHORTEST_SAVE_INTERVAL_S = 1.0
DUMP_TIMEOUT_S = 120.0
TRACES_AT_MOST = 2 * 2**20  # compressed bytes; some 120 blocks of demand, and 30 MB of anvil's memory


@contextlib.asynccontextmanager
async def closing(rpc: Rpc) -> AsyncIterator[Rpc]:
    """Closes a client's connections at the end of the block."""
    try:
        yield rpc
    finally:
        await rpc.close()


def rpc_url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"


def write_genesis(path: Path, *, code: dict[str, str], balances: dict[str, int], timestamp: int) -> None:
    """Writes anvil's genesis file.

    Args:
        code: runtime bytecode (0x…) by address, for contracts whose addresses are constants elsewhere.
        balances: wei by address.
        timestamp: Unix seconds; without it the chain's time would begin near 0 and every delay would have passed.
    """
    alloc: dict[str, dict[str, str]] = {address: {"balance": hex(wei)} for address, wei in balances.items()}
    for address, bytecode in code.items():
        alloc.setdefault(address, {"balance": "0x0"})["code"] = bytecode
    genesis = {
        "config": {"chainId": CHAIN_ID},
        "timestamp": hex(timestamp),
        "gasLimit": hex(30_000_000),
        "difficulty": "0x0",
        "alloc": alloc,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(genesis), "utf-8")


def command(binary: Path, port: int, folder: Path, state: Path) -> list[str]:
    """anvil's command line for a chain that goes on from a saved state."""
    arguments = _command(binary, port)
    arguments += ["--load-state", str(state), "--dump-state", str(folder / "exit.json")]
    socket = folder / "anvil.ipc"
    if len(str(socket)) <= LONGEST_SOCKET_PATH:
        arguments += ["--ipc", str(socket)]
    return arguments


def _command(binary: Path, port: int) -> list[str]:
    return [
        *(str(binary), "--silent", "--host", LOOPBACK, "--port", str(port), "--no-cors"),
        *("--chain-id", str(CHAIN_ID), "--hardfork", HARDFORK, "--prune-history", str(HISTORY)),
        *("--transaction-block-keeper", str(BLOCKS_WITH_TRANSACTIONS)),
        *("--accounts", "0"),  # no unlocked keys: every signature is made by whoever holds the key
    ]


async def found(binary: Path, genesis: Path, states: ChainStates, log_path: Path) -> None:
    """Makes a new chain's first saved state from its genesis file.

    A run of its own, because anvil takes either a genesis or a state that it saves again when it ends, not both.
    """
    port = usable_port(0)

    async def founding() -> list[str]:
        return [*_command(binary, port), "--init", str(genesis)]

    async with closing(Rpc(rpc_url(port))) as rpc:
        anvil = Child("anvil", command=founding, ready=lambda: is_ready(rpc), log_path=log_path)
        await anvil.start()
        try:
            await Saver(states).save(rpc)
        finally:
            await anvil.stop()


async def is_ready(rpc: Rpc) -> bool:
    """Whether our chain answers."""
    try:
        return int(await rpc.request("eth_chainId"), 16) == CHAIN_ID
    except (Unreachable, RpcError):
        return False


async def restore_time(rpc: Rpc) -> None:
    """Moves the clock of a restarted chain to its newest block, should that lie in the future.

    anvil forgets by how much its time was moved (tests do), and would let the next block be older than the last.
    """
    latest = int((await rpc.request("eth_getBlockByNumber", "latest", False))["timestamp"], 16)
    ahead = latest - int(time.time())
    if ahead > 0:
        await rpc.request("evm_increaseTime", ahead)


class Saver:
    """Saves the chain's state when there is something new to save."""

    def __init__(self, states: ChainStates) -> None:
        self._states = states
        self._saved_height = -1
        self._not_before = 0.0
        self._lean: int | None = None  # the length of a dump without the traces that came since

    async def save_if_due(self, rpc: Rpc) -> int:
        """Saves when a block came since the last save and enough time has passed; returns the height."""
        height = int(await rpc.request("eth_blockNumber"), 16)
        if height != self._saved_height and time.monotonic() >= self._not_before:
            await self.save(rpc)
        return height

    async def save(self, rpc: Rpc) -> None:
        """Saves now; on disk when this returns."""
        started = time.monotonic()
        head = await rpc.request("eth_getBlockByNumber", "latest", False)
        height = int(head["number"], 16)
        async with closing(Rpc(rpc.url, timeout_s=DUMP_TIMEOUT_S)) as patient:
            dump: str = await patient.request("anvil_dumpState")
            path = await asyncio.to_thread(self._states.keep, dump)
            await self._free_traces(patient, dump, head)
        took = time.monotonic() - started
        self._saved_height = height
        self._not_before = time.monotonic() + max(SHORTEST_SAVE_INTERVAL_S, took / SAVE_SHARE)
        log.debug("saved the chain at block %d as %s in %.3f s", height, path.name, took)

    async def _free_traces(self, rpc: Rpc, dump: str, head: dict[str, Any]) -> None:
        """Frees anvil of traces once there are many; `head` was the newest block before the dump was made."""
        if self._lean is None:
            self._lean = len(dump)
        if len(dump) - self._lean <= 2 * TRACES_AT_MOST:  # two digits a byte
            return
        self._lean = None
        try:
            states = await asyncio.to_thread(lambda: list(without_traces(dump, int(head["number"], 16))))
            for state in states:
                # What a chain that was set back has forgotten must not be put into it again.
                now = await rpc.request("eth_getBlockByNumber", head["number"], False)
                if now is None or now["hash"] != head["hash"]:
                    return
                await rpc.request("anvil_loadState", state)
        except (ValueError, RpcError) as error:
            log.warning("anvil keeps its traces: %s", error)

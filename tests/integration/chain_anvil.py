"""A real anvil for the chain's tests: started, killed and asked for odd things; contracts deployed by `deploy`."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from depin_desktop.chain.abi import artifact
from depin_desktop.chain.bindings.deals import Proof
from depin_desktop.chain.deploy import ERC3009_COLLECTOR, MULTICALL3, SETTLEMENT, Plan, deploy
from depin_desktop.chain.network import Addresses, Network
from depin_desktop.chain.rpc import Rpc
from depin_desktop.localnet.binaries import find_anvil

CHAIN_ID = 31337
RICH = 10**22
PERIOD_S, WINDOW_S = 120, 40
MIN_STAKE = 10**20


def account(number: int) -> LocalAccount:
    """A key of our own for tests; the same number is the same key."""
    made: LocalAccount = Account.from_key(number.to_bytes(32, "big"))
    return made


def proof_of_leaf(set_id: bytes, leaf: bytes, challenges: int) -> Proof:
    """The proof of a data set all of whose pieces are this one leaf; a leaf that is drawn twice counts once."""
    return Proof(set_id, leaf * challenges)


class Anvil:
    """One anvil on a port that stays the same over restarts.

    Args:
        block_s: a block comes every so many seconds, as on public chains, instead of one for each transaction.
    """

    def __init__(self, folder: Path, *rich: LocalAccount, chain_id: int = CHAIN_ID, block_s: int | None = None) -> None:
        self.folder = folder
        self.chain_id = chain_id
        self.block_s = block_s
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.rpc = Rpc(self.url)
        self.process: asyncio.subprocess.Process | None = None
        alloc: dict[str, Any] = {one.address: {"balance": hex(RICH)} for one in rich}
        for address, name in (
            (SETTLEMENT, "BatchSettlement"),
            (ERC3009_COLLECTOR, "ERC3009DepositCollector"),
            (MULTICALL3, "Multicall3"),
        ):
            alloc[address] = {"balance": "0x0", "code": artifact(name)["deployedBytecode"]}
        genesis = {
            "config": {"chainId": chain_id},
            "timestamp": hex(1_800_000_000),
            "gasLimit": hex(60_000_000),
            "difficulty": "0x0",
            "alloc": alloc,
        }
        (folder / "genesis.json").write_text(json.dumps(genesis))

    async def start(self) -> None:
        saved = self.folder / "state.json"
        self.process = await asyncio.create_subprocess_exec(
            str(find_anvil()),
            *("--port", str(self.port), "--chain-id", str(self.chain_id), "--hardfork", "prague"),
            *("--no-cors", "--silent", "--accounts", "0"),
            *(() if self.block_s is None else ("--block-time", str(self.block_s))),
            *(("--load-state", str(saved)) if saved.exists() else ("--init", str(self.folder / "genesis.json"))),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "HOME": str(self.folder)},
        )
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                await asyncio.sleep(0.01)  # a process cannot be awaited for its port

    async def save(self) -> None:
        """Keeps the present state for the next start."""
        dump = bytes.fromhex((await self.ask("anvil_dumpState"))[2:])
        (self.folder / "state.json").write_bytes(gzip.decompress(dump) if dump[:2] == b"\x1f\x8b" else dump)

    async def kill(self) -> None:
        """SIGKILL: what was not saved is lost."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def ask(self, method: str, *params: Any) -> Any:
        return await self.rpc.request(method, *params)

    def network(self, addresses: Addresses, **changes: Any) -> Network:
        fields: dict[str, Any] = {
            "name": "test", "chain_id": self.chain_id, "rpc_url": self.url, "ws_url": self.url.replace("http", "ws"),
            "hub_urls": (), "addresses": addresses, "private": True, "period_s": PERIOD_S, "window_s": WINDOW_S,
            "min_stake": MIN_STAKE, "suggested_price_per_tib_month": 0, "suggested_price_per_gib_read": 0,
        }  # fmt: skip
        return Network(**{**fields, **changes})


@contextlib.asynccontextmanager
async def anvil_with_contracts(
    folder: Path, founder: LocalAccount, *rich: LocalAccount
) -> AsyncIterator[tuple[Anvil, Network]]:
    """An anvil whose contracts `founder` deployed; founder holds all tokens."""
    anvil = Anvil(folder, founder, *rich)
    await anvil.start()
    try:
        plan = Plan(founder.address, MIN_STAKE, 3600, PERIOD_S, WINDOW_S, private=True)
        yield anvil, anvil.network(await deploy(anvil.url, founder, plan))
    finally:
        await anvil.rpc.close()
        await anvil.kill()

"""One chain: a checked connection to a node, the contracts bound to it, and the chain's own time."""

from __future__ import annotations

import asyncio
from typing import Any

from depin_desktop.chain.abi import interface
from depin_desktop.chain.bindings.contract import Contract
from depin_desktop.chain.bindings.deals import StorageDeals
from depin_desktop.chain.bindings.registry import ProviderRegistry
from depin_desktop.chain.bindings.settlement import BatchSettlement
from depin_desktop.chain.bindings.token import Token
from depin_desktop.chain.calls import Block
from depin_desktop.chain.contracts import CONTRACTS
from depin_desktop.chain.network import Network
from depin_desktop.chain.reverts import revert_of
from depin_desktop.chain.rpc import Rpc, RpcError, Unreachable
from depin_desktop.core.errors import UserFacingError


class Chain:
    """The contracts of one network through one node.

    Attributes:
        genesis: hash of block 0; two chains with the same id differ in it.
        now_block: the block tag that sees the present. An embedded chain mines only when there is something to mine, so
            its last block may be hours old; "pending" carries the present time. On public chains it is "latest".
    """

    def __init__(self, network: Network, rpc: Rpc, genesis: bytes) -> None:
        self.network = network
        self.rpc = rpc
        self.genesis = genesis
        self.now_block = "pending" if network.private else "latest"
        addresses = network.addresses
        self.token = Token(self, "token", addresses.token, interface(CONTRACTS["token"]))
        self.registry = ProviderRegistry(self, "registry", addresses.registry, interface(CONTRACTS["registry"]))
        self.settlement = BatchSettlement(self, "settlement", addresses.settlement, interface(CONTRACTS["settlement"]))
        self.deals = StorageDeals(self, "deals", addresses.deals, interface(CONTRACTS["deals"]))
        self.contracts: tuple[Contract, ...] = (self.token, self.registry, self.settlement, self.deals)

    @classmethod
    async def connect(cls, network: Network, *, timeout_s: float = 10) -> Chain:
        """Connects and checks that the node serves the network's chain.

        Args:
            timeout_s: for every request, this one and later ones.

        Raises:
            UserFacingError: "chain-unreachable", or "wrong-chain" when another chain answers.
        """
        rpc = Rpc(network.rpc_url, timeout_s=timeout_s)
        try:
            genesis = await _check(rpc, network)
            # Parsing four interfaces takes some 20 ms: not on the loop.
            await asyncio.to_thread(lambda: [interface(name) for name in CONTRACTS.values()])
            return cls(network, rpc, genesis)
        except BaseException:
            await rpc.close()
            raise

    async def close(self) -> None:
        """Closes the connections."""
        await self.rpc.close()

    async def now(self) -> int:
        """The chain's time, Unix seconds: what a transaction sent now would see, as nearly as a node can tell."""
        block = await self.block(self.now_block)
        return block.time

    async def gas_balance(self, address: str) -> int:
        """The native coin of an address, in wei."""
        return int(await self.rpc.request("eth_getBalance", address, "latest"), 16)

    async def block(self, which: int | str = "latest") -> Block:
        """A block's header, by number or tag.

        Raises:
            LookupError: there is no such block.
        """
        tag = hex(which) if isinstance(which, int) else which
        found = await self.rpc.request("eth_getBlockByNumber", tag, False)
        if found is None:
            raise LookupError(f"no block {which}")
        return header(found)

    async def view(self, to: str, data: bytes, block: str = "latest") -> bytes:
        """The bytes that `eth_call` returns.

        Raises:
            Reverted: the contract refused.
            UserFacingError: "no-contract" when nothing is deployed there; "chain-unreachable".
        """
        try:
            answer = await self.rpc.request("eth_call", {"to": to, "data": "0x" + data.hex()}, block)
        except RpcError as error:
            if (reverted := revert_of(error)) is not None:
                raise reverted from error
            raise refused(self.rpc.url, error) from error
        if answer in ("0x", None):
            raise UserFacingError(
                f"There is no contract at {to} on {self.network.name}.",
                "The network file does not fit this chain; ask your network's operator for theirs.",
                code="no-contract",
                status=502,
            )
        return bytes.fromhex(answer[2:])


async def _check(rpc: Rpc, network: Network) -> bytes:
    chain_id, genesis = await rpc.batch([("eth_chainId", ()), ("eth_getBlockByNumber", ("0x0", False))])
    for answer in (chain_id, genesis):
        if isinstance(answer, RpcError):
            raise refused(rpc.url, answer) from answer
    if not isinstance(chain_id, str) or not isinstance(genesis, dict):
        raise Unreachable(rpc.url, "it does not speak Ethereum's JSON-RPC")
    if int(chain_id, 16) != network.chain_id:
        raise UserFacingError(
            f"The node serves chain {int(chain_id, 16)}, but {network.name} is chain {network.chain_id}.",
            "Correct the node's address in the network file.",
            code="wrong-chain",
            status=409,
        )
    return bytes.fromhex(genesis["hash"][2:])


def header(found: dict[str, Any]) -> Block:
    """A header from JSON-RPC's block."""
    base_fee = found.get("baseFeePerGas")
    return Block(
        number=int(found["number"], 16),
        hash=bytes.fromhex((found.get("hash") or "0x")[2:]),
        parent=bytes.fromhex(found["parentHash"][2:]),
        time=int(found["timestamp"], 16),
        base_fee=None if base_fee is None else int(base_fee, 16),
    )


def refused(url: str, error: RpcError) -> UserFacingError:
    """A node's complaint that no contract made."""
    shown = "".join(c if c.isprintable() else " " for c in error.message)[:200]
    failure = UserFacingError(
        f"The chain's node refused: {shown}.",
        "It is tried again where that helps; otherwise use another node.",
        code="chain-refused",
        status=502,
    )
    failure.__cause__ = error
    return failure

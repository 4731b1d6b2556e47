"""Deploys a network's contracts: once, by whoever founds it. x402's contracts are never deployed here, only checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eth_abi.abi import encode
from eth_hash.auto import keccak

from depin_desktop.chain.abi import creation_code, interface
from depin_desktop.chain.bindings.registry import NOBODY
from depin_desktop.chain.calls import Call
from depin_desktop.chain.chain import Chain, header
from depin_desktop.chain.contracts import CONTRACTS
from depin_desktop.chain.network import Addresses, Network
from depin_desktop.chain.rpc import Rpc
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import BASE_UNITS_PER_TOKEN

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

# The same on every chain: x402 and Multicall3 are deployed by CREATE2; an embedded chain has them in its genesis.
SETTLEMENT = "0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003"
ERC3009_COLLECTOR = "0x4020806089470a89826cB9fB1f4059150b550004"
MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"


@dataclass(frozen=True)
class Plan:
    """What a network's contracts are made with; amounts in base units, times in seconds.

    Attributes:
        token_holder: gets the first supply, and what the token's schedule emits later unless `beneficiary` does.
        token_supply: the first supply; the rest of the token's cap comes by its schedule alone.
        genesis: when period 0 begins, Unix seconds; None for the begin of the running minute.
        window_s: the challenge window at the end of every period.
        private: an embedded chain, whose blocks come on demand.
        confirmations: how deep each deployment must lie before the next one builds on it.
    """

    token_holder: str
    min_stake: int
    thaw_s: int
    period_s: int
    window_s: int
    token_supply: int = 400_000_000 * BASE_UNITS_PER_TOKEN
    beneficiary: str | None = None
    genesis: int | None = None
    private: bool = False
    confirmations: int = 1


async def deploy(rpc_url: str, account: LocalAccount, plan: Plan, *, database: Database | None = None) -> Addresses:
    """Deploys token, registry and deals, and lets deals slash. The account pays, and stays the registry's admin.

    Args:
        database: open; makes a deployment that was interrupted go on where it stopped instead of starting over.

    Raises:
        UserFacingError: "no-settlement" when the chain lacks x402's contracts, "no-gas", "chain-unreachable".
        Reverted: a constructor refused the plan.
    """
    rpc = Rpc(rpc_url)
    own = Database(Path(":memory:")) if database is None else None
    try:
        if own is not None:
            await own.open()
        chain = await _founding_chain(rpc, rpc_url, plan)
        sender = Sender(chain, account, database or own)  # type: ignore[arg-type]
        await sender.start()
        try:
            return await _deploy(chain, sender, plan)
        finally:
            await sender.stop()
    finally:
        await rpc.close()
        if own is not None:
            await own.close()


async def _founding_chain(rpc: Rpc, rpc_url: str, plan: Plan) -> Chain:
    """A chain whose contracts have no addresses yet; only its sending side is used."""
    chain_id = int(await rpc.request("eth_chainId"), 16)
    nowhere = Addresses(
        token=NOBODY, registry=NOBODY, deals=NOBODY,
        settlement=SETTLEMENT, erc3009_collector=ERC3009_COLLECTOR, multicall3=MULTICALL3,
    )  # fmt: skip
    network = Network(
        name="new network", chain_id=chain_id, rpc_url=rpc_url, ws_url="", hub_urls=(), addresses=nowhere,
        private=plan.private, confirmations=plan.confirmations,
        period_s=plan.period_s, window_s=plan.window_s, min_stake=plan.min_stake,
        suggested_price_per_tib_month=0, suggested_price_per_gib_read=0,
    )  # fmt: skip
    genesis = header(await rpc.request("eth_getBlockByNumber", "0x0", False))
    return Chain(network, rpc, genesis.hash)


async def _deploy(chain: Chain, sender: Sender, plan: Plan) -> Addresses:
    for address in (SETTLEMENT, ERC3009_COLLECTOR, MULTICALL3):
        if await chain.rpc.request("eth_getCode", address, "latest") in ("0x", None):
            raise UserFacingError(
                f"This chain has no contract at {address}, which x402 payments need.",
                "Use a chain where x402's batch settlement is deployed, or put it into the genesis.",
                code="no-settlement",
                status=409,
            )
    token = await _create(sender, "token", plan.token_holder, plan.token_supply, plan.beneficiary or plan.token_holder)
    registry = await _create(sender, "registry", token, plan.min_stake, plan.thaw_s, sender.address)
    now = await chain.now()
    genesis = now - now % 60 if plan.genesis is None else plan.genesis
    randomness = NOBODY  # prevrandao
    deals = await _create(sender, "deals", token, registry, genesis, plan.period_s, plan.window_s, randomness)
    allow = interface(CONTRACTS["registry"]).functions["setSlasher"].encode(deals, True)
    await sender.send(
        Call(registry, allow, "registry.setSlasher"), purpose="let deals slash", key=f"deploy/slasher/{deals}"
    )
    return chain.network.addresses.model_copy(update={"token": token, "registry": registry, "deals": deals})


async def _create(sender: Sender, label: str, *arguments: Any) -> str:
    """The address of a new contract; the same code and arguments are deployed once per database."""
    name = CONTRACTS[label]
    types = [parameter.type for parameter in interface(name).constructor.inputs]
    code = creation_code(name) + encode(types, arguments)
    call = Call(None, code, f"{label}.constructor")
    receipt = await sender.send(call, purpose=f"deploy {name}", key=f"deploy/{label}/{keccak(code).hex()}")
    assert receipt.created is not None, "a mined creation names its contract"
    return receipt.created

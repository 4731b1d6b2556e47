"""Founds a local network's chain and contracts, and says what the network is from then on."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from depin_desktop.api.models import Money
from depin_desktop.chain.abi import artifact
from depin_desktop.chain.deploy import ERC3009_COLLECTOR, MULTICALL3, SETTLEMENT, Plan, deploy
from depin_desktop.chain.network import Addresses, Network
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.files import write_atomically
from depin_desktop.core.units import BASE_UNITS_PER_TOKEN
from depin_desktop.localnet import anvil
from depin_desktop.localnet.chain_state import ChainStates
from depin_desktop.localnet.faucet import faucet_url
from depin_desktop.localnet.folder import Folder, Ports
from depin_desktop.localnet.hub import hub_url
from depin_desktop.localnet.treasury import Treasury

MIN_STAKE = 1_000 * BASE_UNITS_PER_TOKEN
# High enough that a home's few gigabytes earn visibly within minutes; the tokens have no value.
PRICE_PER_TIB_MONTH = 1_000_000 * BASE_UNITS_PER_TOKEN
PRICE_PER_GIB_READ = 20 * BASE_UNITS_PER_TOKEN
SHORTEST_WINDOW_S = 2
THAW_PERIODS = 256  # a fault can be reported for 255 periods: so long the stake must stay
TREASURY_GAS = 10**27  # wei
# Where x402 and Multicall3 are on every chain; their code comes with the genesis.
_GENESIS_CODE = {
    SETTLEMENT: "BatchSettlement",
    ERC3009_COLLECTOR: "ERC3009DepositCollector",
    MULTICALL3: "Multicall3",
}


class Deployment(BaseModel):
    """What was decided once, when the network was founded."""

    model_config = ConfigDict(frozen=True)

    addresses: Addresses
    faucet: str  # the faucet's address
    period_s: int
    window_s: int
    min_stake: Money

    @staticmethod
    def load(path: Path) -> Deployment | None:
        """The deployment written at `path`; None where there is none.

        Raises:
            UserFacingError: the file is damaged.
        """
        try:
            return Deployment.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise UserFacingError(
                f"{path} is damaged.",
                "Delete the local network's folder to begin a new network.",
                code="deployment-damaged",
                status=500,
            ) from error

    def save(self, path: Path) -> None:
        write_atomically(path, self.model_dump_json(indent=2).encode())

    def network(self, ports: Ports) -> Network:
        """The network's profile while it is reached on these ports."""
        return Network(
            name="private network",
            chain_id=anvil.CHAIN_ID,
            rpc_url=anvil.rpc_url(ports.rpc),
            ws_url=anvil.rpc_url(ports.rpc).replace("http", "ws", 1),
            hub_urls=(hub_url(ports.hub),),
            addresses=self.addresses,
            private=True,
            faucet_url=faucet_url(ports.faucet),
            faucet_address=self.faucet,
            period_s=self.period_s,
            window_s=self.window_s,
            min_stake=self.min_stake,
            suggested_price_per_tib_month=PRICE_PER_TIB_MONTH,
            suggested_price_per_gib_read=PRICE_PER_GIB_READ,
        )


async def found_chain(binary: Path, folder: Folder, treasury: Treasury, states: ChainStates) -> None:
    """Makes the chain's first saved state: x402's contracts at their addresses, gas for the treasury.

    Raises:
        UserFacingError: anvil does not start.
    """
    await asyncio.to_thread(
        anvil.write_genesis,
        folder.genesis,
        code={address: artifact(name)["deployedBytecode"] for address, name in _GENESIS_CODE.items()},
        balances={treasury.deployer.address: TREASURY_GAS, treasury.faucet.address: TREASURY_GAS},
        timestamp=int(time.time()),
    )
    await anvil.found(binary, folder.genesis, states, folder.logs / "anvil.log")


async def deploy_contracts(rpc_url: str, treasury: Treasury, period_s: int) -> Deployment:
    """Deploys token, registry and deals; the faucet gets all the tokens.

    An interrupted run is not continued but begun anew: the crash may have undone what it had deployed.
    """
    window_s = max(SHORTEST_WINDOW_S, period_s // 2)
    plan = Plan(
        token_holder=treasury.faucet.address,
        min_stake=MIN_STAKE,
        thaw_s=THAW_PERIODS * period_s,
        period_s=period_s,
        window_s=window_s,
        private=True,
    )
    addresses = await deploy(rpc_url, treasury.deployer, plan)
    return Deployment(
        addresses=addresses,
        faucet=treasury.faucet.address,
        period_s=period_s,
        window_s=window_s,
        min_stake=MIN_STAKE,
    )

"""A network profile: everything a node needs to join a network, in one JSON file."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from depin_desktop.api.models import Money
from depin_desktop.core.errors import UserFacingError


class Addresses(BaseModel):
    """Contract addresses, EIP-55."""

    model_config = ConfigDict(frozen=True)

    token: str
    registry: str
    settlement: str
    erc3009_collector: str
    deals: str
    multicall3: str


class RelayerProfile(BaseModel):
    """Who sends claims for providers without gas: where it listens, the key that claims its fees, and who gets them."""

    model_config = ConfigDict(frozen=True)

    url: str
    operator: str
    payout: str


class Network(BaseModel):
    """One network. `private` marks an embedded network, whose tokens have no value and whose faucet is open."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    chain_id: int
    rpc_url: str
    ws_url: str
    hub_urls: tuple[str, ...]
    addresses: Addresses
    symbol: str = "DPN"
    private: bool = False
    faucet_url: str | None = None
    faucet_address: str | None = None
    confirmations: int = 1
    start_block: int = 0  # nothing of this network is older
    period_s: int
    window_s: int
    min_stake: Money
    suggested_price_per_tib_month: Money
    suggested_price_per_gib_read: Money
    suggested_price_in_per_mtoken: Money = 10 * 10**18
    suggested_price_out_per_mtoken: Money = 40 * 10**18
    suggested_price_per_run_second: Money = 10**16
    suggested_price_per_gfuel: Money = 10**16
    tokens_per_coin: Money = 0  # base units of the token that a whole coin of gas is worth; 0 where gas has no price
    relayer: RelayerProfile | None = None
    relays: bool = False  # iroh relays and discovery; off on an embedded network

    @property
    def same_as(self) -> tuple[int, Addresses]:
        """What makes it this network and no other, wherever its nodes are reached: chain and contracts."""
        return self.chain_id, self.addresses

    def fee_in_token(self, wei: int) -> int:
        """Base units of the token that a fee of so many wei is worth, rounded up; 0 where gas has no price."""
        return -(-wei * self.tokens_per_coin // 10**18)

    @staticmethod
    def load(path: Path) -> Network:
        """Reads a network file.

        Raises:
            UserFacingError: there is no such file, or it is not a network file.
        """
        try:
            return Network.parse(path.read_bytes(), str(path))
        except OSError as error:
            raise _bad(str(path)) from error

    @staticmethod
    def parse(content: bytes, source: str) -> Network:
        """The network that a file's content describes.

        Args:
            source: where it comes from, for the message.

        Raises:
            UserFacingError: it is not a network file.
        """
        try:
            return Network.model_validate_json(content)
        except ValidationError as error:
            raise _bad(source) from error


def _bad(source: str) -> UserFacingError:
    return UserFacingError(
        f"{source} is not a network file.",
        "Use the file that `depin localnet up` prints, or ask your network's operator for theirs.",
        code="bad-network-file",
    )

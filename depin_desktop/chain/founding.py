"""Founds a network on a chain that others run: deploys its contracts, and writes the profile by which people join.

What was decided is written down before the first transaction, and every transaction before it is broadcast, so that an
interrupted founding goes on where it stopped: it never deploys a contract twice.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from depin_desktop.api.models import Money
from depin_desktop.chain.chain import header
from depin_desktop.chain.deploy import Plan, deploy
from depin_desktop.chain.network import Network, RelayerProfile
from depin_desktop.chain.rpc import Rpc
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.files import write_atomically

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

THAW_PERIODS = 256  # a fault can be reported for 255 periods: so long the stake must stay
LONGEST_THAW_S = 365 * 86_400  # the registry's own limit
MINUTE_S = 60


class Terms(BaseModel):
    """What the founder of a network decides; amounts in base units, times in seconds.

    Attributes:
        token_holder: gets the first tokens, `token_supply` of them.
        beneficiary: gets what the token's schedule emits over the years, the rest of its cap.
        rpc_url, ws_url: the node that the profile names for everybody; never one with the founder's own credentials.
        confirmations: blocks after which a transaction counts as final.
        tokens_per_coin: base units that a whole coin of gas is worth, by which fees are weighed; 0 for not at all.
        relays: whether providers are reached through iroh's relays and discovery.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    token_holder: str
    token_supply: Money
    beneficiary: str
    min_stake: Money
    period_s: int
    window_s: int
    confirmations: int
    rpc_url: str
    ws_url: str
    hub_urls: tuple[str, ...]
    price_per_tib_month: Money
    price_per_gib_read: Money
    tokens_per_coin: Money = 0
    relayer: RelayerProfile | None = None
    relays: bool = True


class Record(BaseModel):
    """What an interrupted founding must find again: everything that goes into the contracts or the profile."""

    model_config = ConfigDict(frozen=True)

    terms: Terms
    chain_id: int
    founder: str
    genesis: int  # when period 0 begins, Unix seconds
    start_block: int


async def found(rpc_url: str, account: LocalAccount, terms: Terms, profile: Path) -> Network:
    """Deploys the contracts, or goes on deploying them, and writes the network's profile to `profile`.

    Beside it lie the plan and the transactions (`.plan.json`, `.sqlite`); when all is done, another run only answers.

    Args:
        rpc_url: the node that the founder uses, which may hold credentials.
        account: pays the gas, and stays the registry's admin.

    Raises:
        UserFacingError: "terms-differ" when another founding was begun there; "bad-terms"; and what `deploy` raises.
    """
    _check(terms)
    record = await _record(rpc_url, account.address, terms, profile.with_suffix(".plan.json"))
    database = Database(profile.with_suffix(".sqlite"))
    await database.open()
    try:
        plan = Plan(
            token_holder=terms.token_holder,
            min_stake=terms.min_stake,
            thaw_s=min(THAW_PERIODS * terms.period_s, LONGEST_THAW_S),
            period_s=terms.period_s,
            window_s=terms.window_s,
            token_supply=terms.token_supply,
            beneficiary=terms.beneficiary,
            genesis=record.genesis,
            confirmations=terms.confirmations,
        )
        addresses = await deploy(rpc_url, account, plan, database=database)
    finally:
        await database.close()
    network = Network(
        name=terms.name,
        chain_id=record.chain_id,
        rpc_url=terms.rpc_url,
        ws_url=terms.ws_url,
        hub_urls=terms.hub_urls,
        addresses=addresses,
        confirmations=terms.confirmations,
        start_block=record.start_block,
        period_s=terms.period_s,
        window_s=terms.window_s,
        min_stake=terms.min_stake,
        suggested_price_per_tib_month=terms.price_per_tib_month,
        suggested_price_per_gib_read=terms.price_per_gib_read,
        tokens_per_coin=terms.tokens_per_coin,
        relayer=terms.relayer,
        relays=terms.relays,
    )
    await asyncio.to_thread(write_atomically, profile, network.model_dump_json(indent=2).encode())
    return network


def _check(terms: Terms) -> None:
    if not 0 < terms.window_s <= terms.period_s:
        raise UserFacingError(
            "The proving window must lie within the period.", "Choose a shorter window.", code="bad-terms"
        )
    if not terms.hub_urls:
        raise UserFacingError(
            "A network needs a hub, where providers are found.",
            "Name one with --hub nats://HOST:PORT.",
            code="bad-terms",
        )


async def _record(rpc_url: str, founder: str, terms: Terms, path: Path) -> Record:
    """The record of the founding that was begun here, or a new one, on disk when this returns."""
    chain_id, head = await _look(rpc_url)
    begun = await asyncio.to_thread(_load, path)
    if begun is None:
        begun = Record(
            terms=terms,
            chain_id=chain_id,
            founder=founder,
            genesis=head[1] - head[1] % MINUTE_S,
            start_block=head[0],
        )
        await asyncio.to_thread(write_atomically, path, begun.model_dump_json(indent=2).encode())
    if (begun.terms, begun.chain_id, begun.founder) != (terms, chain_id, founder):
        raise UserFacingError(
            f"{path} holds the plan of another founding.",
            "Give the same options, key and chain as then, or write the new network's file somewhere else.",
            code="terms-differ",
            status=409,
        )
    return begun


def _load(path: Path) -> Record | None:
    try:
        return Record.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise UserFacingError(
            f"{path} is damaged.", "Write the new network's file somewhere else.", code="plan-damaged"
        ) from error


async def _look(rpc_url: str) -> tuple[int, tuple[int, int]]:
    """The chain's id, and its newest block's number and time."""
    rpc = Rpc(rpc_url)
    try:
        chain_id = int(await rpc.request("eth_chainId"), 16)
        head = header(await rpc.request("eth_getBlockByNumber", "latest", False))
        return chain_id, (head.number, head.time)
    finally:
        await rpc.close()

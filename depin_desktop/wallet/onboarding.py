"""From nothing to a registered provider: a network, a wallet, keys, a first balance, a place in the registry."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from depin_desktop.api.models import Snapshot
from depin_desktop.chain.accounts import LocalAccount
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.core.home import Home
from depin_desktop.core.units import BASE_UNITS_PER_TOKEN, format_tokens
from depin_desktop.wallet import hotkeys
from depin_desktop.wallet.faucet_client import ask_faucet
from depin_desktop.wallet.joining import join
from depin_desktop.wallet.permits import with_permit
from depin_desktop.wallet.vault import Cost, Vault

SPENDING_BUDGET = 50_000 * BASE_UNITS_PER_TOKEN
POCKET_MONEY = 1_000 * BASE_UNITS_PER_TOKEN  # what an owner on a private network has beside the stake
GAS = 10**18  # wei, for owner and operator each, on a private network


class Summary(Snapshot):
    """What a home is after `initialise`; `to_do` are sentences for its owner, empty when nothing is missing."""

    home: str
    network: str
    owner: str
    operator: str
    spender: str
    node_id: str
    registered: bool
    backed_up: bool
    to_do: tuple[str, ...] = ()


async def initialise(
    home: Home,
    network_path: Path,
    password: str,
    *,
    words: str | None = None,
    spending_budget: int = SPENDING_BUDGET,
    cost: Cost | None = None,
) -> Summary:
    """Makes what is missing in `home` and registers its provider; run again, it goes on where it stopped.

    A wallet or key that exists is never overwritten. On a private network the faucet gives what is needed; elsewhere
    the summary says what the owner has to send first.

    Args:
        words: make the wallet from these instead of fresh ones, where there is none yet.
        spending_budget: base units that the spender shall have, on a private network.
        cost: of the wallet's encryption; for tests.

    Raises:
        UserFacingError: no network file, another network's home, a wrong password, an unreachable chain.
    """
    network = await asyncio.to_thread(join, home, network_path)
    vault, owner = await asyncio.to_thread(_wallet, home, password, words, cost)
    operator = await asyncio.to_thread(hotkeys.operator, home)
    spender = await asyncio.to_thread(hotkeys.spender, home)
    node_id = await asyncio.to_thread(hotkeys.node_id, home)
    async with contextlib.AsyncExitStack() as stack:
        chain = await Chain.connect(network)
        stack.push_async_callback(chain.close)
        if network.private:
            await _fund(chain, owner.address, operator.address, spender.address, spending_budget)
        to_do = await _missing(chain, owner.address)
        if not to_do:
            database = Database(home.engine_database)
            await database.open()
            stack.push_async_callback(database.close)
            await _register(chain, owner, database, operator.address, bytes.fromhex(node_id))
    return Summary(
        home=str(home.root),
        network=network.name,
        owner=owner.address,
        operator=operator.address,
        spender=spender.address,
        node_id=node_id,
        registered=not to_do,
        backed_up=vault.backed_up,
        to_do=to_do,
    )


def _wallet(home: Home, password: str, words: str | None, cost: Cost | None) -> tuple[Vault, LocalAccount]:
    if not home.vault.exists():
        with contextlib.suppress(FileExistsError):  # another process made it meanwhile: then that one counts
            Vault.create(home.vault, password, words=words, cost=cost)
    vault = Vault.load(home.vault)
    return vault, vault.unlock(password)


async def _fund(chain: Chain, owner: str, operator: str, spender: str, spending_budget: int) -> None:
    """Asks the faucet for what each address lacks."""
    network = chain.network
    if network.faucet_url is None:
        return
    provider = await chain.registry.provider(owner)
    stake = 0 if provider.registered else network.min_stake
    wanted = ((owner, stake + POCKET_MONEY, GAS), (operator, 0, GAS), (spender, spending_budget, 0))
    for address, tokens, gas in wanted:
        # Half of it is enough: balances shrink in use, and every run would ask again for the little that is missing.
        held = await chain.token.balance_of(address)
        lacking = tokens - held if held < max(stake if address == owner else 0, tokens // 2) else 0
        thirsty = gas if await chain.gas_balance(address) < gas // 2 else 0
        if lacking or thirsty:
            await ask_faucet(network, address, tokens=lacking, gas=thirsty)


async def _missing(chain: Chain, owner: str) -> tuple[str, ...]:
    """What the owner has to send before it can register."""
    network: Network = chain.network
    if (await chain.registry.provider(owner)).registered:
        return ()
    sentences = []
    lacking = network.min_stake - await chain.token.balance_of(owner)
    if lacking > 0:
        sentences.append(
            f"Send {format_tokens(lacking)} {network.symbol} to {owner} for the stake, then run this again."
        )
    if await chain.gas_balance(owner) == 0:
        sentences.append(f"Send some of the chain's own coin to {owner} for fees, then run this again.")
    return tuple(sentences)


async def _register(chain: Chain, owner: LocalAccount, database: Database, operator: str, node_id: bytes) -> None:
    """Brings the registry in line with this home: a first registration, or a wallet that has moved to new keys."""
    sender = Sender(chain, owner, database)
    await sender.start()
    try:
        state = await chain.registry.provider(owner.address)
        if state.registered:
            if state.operator != operator:
                await sender.send(chain.registry.set_operator(operator), purpose="onboarding")
            if state.node_id != node_id:
                await sender.send(chain.registry.set_node(node_id), purpose="onboarding")
            return
        stake = chain.network.min_stake
        register = chain.registry.register(operator, owner.address, node_id, stake)
        await sender.send(await with_permit(chain, owner, stake, register), purpose="onboarding")
    finally:
        await sender.stop()

"""What lies in channels to providers and is not used up: shown, and had back."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AsyncExitStack

import aiohttp

from depin_desktop.api.models import Money, Snapshot
from depin_desktop.chain.accounts import LocalAccount
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer.market import gone
from depin_desktop.customer.tools import OFFERS_TIMEOUT_S, Tools
from depin_desktop.payments.headers import REFUND_PATH
from depin_desktop.payments.payer_refunds import OpenDeposit, open_deposits, withdraw
from depin_desktop.payments.payer_store import PayerStore


class Deposit(Snapshot):
    """What lies with one provider, in base units; `ready_at` when the last withdrawal begun there can be finished."""

    provider: str
    left: Money
    channels: int
    ready_at: int | None = None


class Returned(Snapshot):
    """What came back from one provider; where nothing did, `problem` says why."""

    provider: str
    amount: Money = 0
    problem: str = ""


def by_provider(deposits: Collection[OpenDeposit]) -> list[Deposit]:
    """The open deposits, those with one provider together."""
    owners = sorted({one.channel.provider for one in deposits})
    found = []
    for owner in owners:
        those = [one for one in deposits if one.channel.provider == owner]
        ready = [one.ready_at for one in those if one.ready_at is not None]
        found.append(
            Deposit(
                provider=owner,
                left=sum(one.left for one in those),
                channels=len(those),
                ready_at=max(ready, default=None),
            )
        )
    return found


async def reclaim(tools: Tools, providers: Collection[str]) -> list[Returned]:
    """Asks these providers, or all where none are named, to give back what is not used; costs nothing.

    Vouchers that are on their way are claimed by the provider first.
    """
    open_ones = by_provider(await open_deposits(tools.chain, tools.payer.store))
    owners = [one.provider for one in open_ones if not providers or one.provider in providers]
    await tools.market.wait_for(owners, len(owners), OFFERS_TIMEOUT_S)
    return [await _reclaim_one(tools, owner) for owner in owners]


async def _reclaim_one(tools: Tools, owner: str) -> Returned:
    offer = tools.market.offers().get(owner)
    try:
        if offer is None:
            raise gone(owner)
        amount = await tools.payer.reclaim(tools.market.session(offer), REFUND_PATH, offer)
    except (UserFacingError, aiohttp.ClientError, TimeoutError) as error:
        return Returned(provider=owner, problem=getattr(error, "message", "") or "It cannot be reached just now.")
    return Returned(provider=owner, amount=amount)


async def deposits(chain: Chain, database: Database) -> list[Deposit]:
    """What lies with which provider, as the chain says."""
    store = PayerStore(database)
    await store.open()
    return by_provider(await open_deposits(chain, store))


async def withdraw_alone(
    chain: Chain, spender: LocalAccount, database: Database, providers: Collection[str]
) -> list[Deposit]:
    """Takes the next step of having deposits back without their providers; returns those that still wait.

    Begins what was not begun, and finishes what has waited long enough. The spender pays the gas.

    Raises:
        UserFacingError: "no-gas", or the chain is out of reach.
    """
    store = PayerStore(database)
    await store.open()
    async with AsyncExitStack() as stack:
        sender = Sender(chain, spender, database)
        await sender.start()
        stack.push_async_callback(sender.stop)
        for one in await open_deposits(chain, store):
            if not providers or one.channel.provider in providers:
                await withdraw(chain, sender, one)
    return [one for one in by_provider(await open_deposits(chain, store)) if one.ready_at is not None]

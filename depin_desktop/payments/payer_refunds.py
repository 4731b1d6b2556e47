"""A customer's unused deposits, and both ways to have them back: from the provider at once, or alone, after the delay.

The first costs the customer nothing, since the provider sends the transaction. The second needs nobody: the payer
announces its withdrawal on the chain, the provider has the channel's delay to claim what it is owed, and then the rest
is the payer's. It needs gas for two transactions.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum

import aiohttp

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.sender import Sender
from depin_desktop.net.offers import NodeOffer
from depin_desktop.payments import headers as wire
from depin_desktop.payments import vouchers
from depin_desktop.payments.payer_account import Account
from depin_desktop.payments.payer_store import PayerChannel, PayerStore
from depin_desktop.payments.payer_terms import PaymentFailed, refused, required_of
from depin_desktop.payments.refusals import Refusal, explain

ATTEMPTS = 4


@dataclass(frozen=True)
class OpenDeposit:
    """A channel that still holds money of its payer's.

    Attributes:
        left: base units that nobody has claimed; vouchers that the provider holds may take some of it.
        ready_at: when a withdrawal that was begun can be finished, Unix seconds; None when none was.
    """

    channel: PayerChannel
    left: int
    ready_at: int | None


class Progress(StrEnum):
    """How far a withdrawal without the provider has come."""

    BEGUN = "begun"
    WAITS = "waits"
    DONE = "done"


async def open_deposits(chain: Chain, store: PayerStore) -> list[OpenDeposit]:
    """Every channel of this customer's in which the chain says that money lies."""

    async def look(channel: PayerChannel) -> OpenDeposit:
        state, withdrawal = await asyncio.gather(
            chain.settlement.channels(channel.id), chain.settlement.pending_withdrawals(channel.id)
        )
        ready = withdrawal.initiated_at + channel.config.withdraw_delay if withdrawal.initiated_at else None
        return OpenDeposit(channel, state.balance - state.total_claimed, ready)

    found = await asyncio.gather(*(look(channel) for channel in await store.channels()))
    return [one for one in found if one.left > 0]


async def withdraw(chain: Chain, sender: Sender, deposit: OpenDeposit) -> Progress:
    """The next step of having a deposit back without the provider; `sender` sends for the payer.

    Raises:
        Reverted, UserFacingError: as `Sender.send`.
    """
    config = vouchers.chain_config(deposit.channel.config)
    if deposit.ready_at is None:
        await sender.send(chain.settlement.initiate_withdraw(config, deposit.left), purpose="begin to withdraw")
        return Progress.BEGUN
    if await chain.now() < deposit.ready_at:
        return Progress.WAITS
    await sender.send(chain.settlement.finalize_withdraw(config), purpose="withdraw")
    return Progress.DONE


async def ask_back(account: Account, session: aiohttp.ClientSession, url: str) -> int:
    """Asks the provider to give the unused rest of the account's channel back; returns the base units returned.

    Raises:
        PaymentFailed: nothing is left in it, or the provider refuses.
    """
    for _ in range(ATTEMPTS):
        total, header = await account.refund_request()
        response = await session.get(url, headers={wire.PAYMENT_SIGNATURE: header})
        if response.status == 402:
            required = await required_of(response)
            if required.error == Refusal.TOTAL and await account.accept_count(required, total):
                continue
            code = required.error or "payment-refused"
            raise refused(account.provider, code, explain(code))
        async with response:
            before = account.channel
            after = await account.refresh()
            return (before.balance if before is not None else after.balance) - after.balance
    raise refused(account.provider, "payment-refused", "no refund was made.")


async def ask_all_back(provider: NodeOffer, accounts: list[Account], session: aiohttp.ClientSession, url: str) -> int:
    """The same for several channels to one provider; returns the sum.

    Raises:
        PaymentFailed: the provider gave nothing back.
    """
    returned, failure = 0, refused(provider, "no-channel", "there is no channel to it.")
    for account in accounts:
        async with account.lock:
            try:
                returned += await ask_back(account, session, url)
            except PaymentFailed as error:
                failure = error
    if not returned:
        raise failure
    return returned

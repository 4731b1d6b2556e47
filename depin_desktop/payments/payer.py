"""The customer's side of x402: one channel per provider, a growing total, and a budget that nothing passes.

A request to a provider whose channel is open takes one round trip: the voucher travels with it. The first one, and one
whose deposit is used up, carries an ERC-3009 authorisation that the provider submits. When an answer is lost, the very
same payment is sent again under its identifier; it is never signed anew, so nothing is paid twice.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.typed_data import Signer
from depin_desktop.core.database import Database
from depin_desktop.core.tasks import Cycle, Tasks
from depin_desktop.net.offers import NodeOffer
from depin_desktop.payments import headers as wire
from depin_desktop.payments.payer_account import Account, Budget, Signed, TopUp, Wallet
from depin_desktop.payments.payer_store import LEASE_S, LeaseLost, PayerStore
from depin_desktop.payments.payer_terms import PaymentFailed, charged_by, required_of
from depin_desktop.payments.refusals import EXPLANATIONS, Refusal

__all__ = ["Budget", "Payer", "PaymentFailed", "TopUp"]

log = logging.getLogger(__name__)

ATTEMPTS = 4


_Call = Callable[..., Awaitable[aiohttp.ClientResponse]]


class Payer:
    """Pays for requests.

    Args:
        account: the spender: holds the tokens, signs vouchers and deposits.
        budget: what it may deposit.
    """

    def __init__(
        self,
        chain: Chain,
        account: Signer,
        database: Database,
        *,
        budget: Budget,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = PayerStore(database, clock)
        self._wallet = Wallet(chain, account, self.store, budget)
        self._accounts: dict[str, Account] = {}
        self._tasks = Tasks("payer")

    async def start(self) -> None:
        """Opens the rows and begins to renew leases."""
        await self.store.open()
        self._tasks.spawn("leases", Cycle("leases", LEASE_S / 3, self.store.renew).run())

    async def close(self) -> None:
        """Gives the channels back to other processes."""
        await self._tasks.close()
        await self.store.release()

    async def request(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        provider: NodeOffer,
        *,
        price: int | None = None,
        expect: int = 0,
        headers: Mapping[str, str] | None = None,
        **kw: Any,
    ) -> aiohttp.ClientResponse:
        """Sends a request and pays for it when that is asked; returns the answer once its headers are there.

        Args:
            session: sends to that provider.
            price: base units that this request should cost; more is never paid. Known in advance, it saves the
                unpaid first try. None pays what the provider asks, within the budget.
            expect: base units that this provider will be paid soon: a deposit covers them where the budget allows.

        Raises:
            PaymentFailed: the provider asks more, or asks for something else than was agreed; the budget or the
                funds do not suffice; or the provider refuses the payment.
            aiohttp.ClientError, TimeoutError: the provider cannot be reached.
        """
        account = self._accounts.setdefault(provider.owner, Account(self._wallet, provider))
        account.provider = provider
        call = functools.partial(session.request, method, url, **kw)
        plain = dict(headers or {})
        asked = price
        if asked is None or not await account.knows_terms(asked):
            response = await call(headers=plain)
            if response.status != 402:
                return response
            asked = account.agree(await required_of(response), price)
        for _ in range(ATTEMPTS):
            answer = await self._attempt(account, asked, expect, call, plain)
            if isinstance(answer, aiohttp.ClientResponse):
                return answer
            asked = account.agree(answer, price)
        raise _refused(provider, "payment-refused", "no payment was accepted.")

    async def reclaim(self, session: aiohttp.ClientSession, url: str, provider: NodeOffer) -> int:
        """Asks the provider to give the unused rest of this process's channel back; returns the base units returned.

        Costs the customer nothing: the provider sends the transaction. Where it does not, the payer can still withdraw
        by itself after the channel's delay.

        Raises:
            PaymentFailed: there is no channel, nothing is left in it, or the provider refuses.
        """
        account = self._accounts.setdefault(provider.owner, Account(self._wallet, provider))
        async with account.lock:
            if not await account.knows_terms(0):
                raise _refused(provider, "no-channel", "there is no channel to it.")
            for _ in range(ATTEMPTS):
                total, header = await account.refund_request()
                response = await session.request("GET", url, headers={wire.PAYMENT_SIGNATURE: header})
                if response.status == 402:
                    required = await required_of(response)
                    if required.error == Refusal.TOTAL and await account.accept_count(required, total):
                        continue
                    reason = EXPLANATIONS.get(Refusal(required.error), ("",))[0] if required.error else ""
                    raise _refused(provider, required.error or "payment-refused", reason)
                async with response:
                    before = account.channel
                    after = await account.refresh()
                    return (before.balance if before is not None else after.balance) - after.balance
        raise _refused(provider, "payment-refused", "no refund was made.")

    async def _attempt(
        self, account: Account, price: int, expect: int, call: _Call, headers: dict[str, str]
    ) -> aiohttp.ClientResponse | wire.PaymentRequired:
        """One signed payment: the answer, or the provider's corrected wish once this side has caught up with it."""
        async with account.lock:
            signed = await account.sign(price, expect)
            if signed.intent is not None:
                # Vouchers of one channel may overtake each other; a deposit goes alone.
                return await self._exchange(account, signed, call, headers)
        return await self._exchange(account, signed, call, headers)

    async def _exchange(
        self, account: Account, signed: Signed, call: _Call, headers: dict[str, str]
    ) -> aiohttp.ClientResponse | wire.PaymentRequired:
        paying = {**headers, wire.PAYMENT_SIGNATURE: signed.header}
        try:
            response = await call(headers=paying)
        except (aiohttp.ClientConnectionError, TimeoutError):
            # The answer may be lost although the provider has charged: the very same payment is safe to repeat.
            response = await call(headers=paying)
        required = await required_of(response) if response.status == 402 else None
        try:
            if required is None and (charged := charged_by(response, signed.price)) is not None:
                account.give_back(signed, charged)
            if signed.intent is not None:
                await account.settle_intent(signed.intent)
            if required is not None:
                await _catch_up(account, signed, required)
        except LeaseLost:
            account.channel = None
        return response if required is None else required


async def _catch_up(account: Account, signed: Signed, required: wire.PaymentRequired) -> None:
    """Corrects this side after a refusal, so that another attempt makes sense.

    Raises:
        PaymentFailed: nothing that this side could do would help, or another attempt might pay twice.
    """
    code = required.error or ""
    if code in (Refusal.TOTAL, Refusal.BELOW_CLAIMED):
        if all(way.amount != signed.price for way in required.accepts):
            account.give_back(signed)  # another price than was signed for
        elif not await account.resync(signed, required):
            raise _refused(account.provider, "payment-lost", "it was charged before, and its answer was lost.")
    elif code in (Refusal.BALANCE, Refusal.CHANNEL):
        account.give_back(signed)
        if account.channel is not None:
            await account.refresh()
    elif code == Refusal.WITHDRAWING:
        await account.abandon(signed)
    else:
        account.give_back(signed)
        if code not in (Refusal.DELAY, Refusal.RECEIVER, Refusal.AUTHORIZER):  # these come with new terms
            reason = EXPLANATIONS[Refusal(code)][0] if code in set(Refusal) else code
            raise _refused(account.provider, code or "payment-refused", reason)


def _refused(provider: NodeOffer, code: str, reason: str) -> PaymentFailed:
    return PaymentFailed(
        f"The provider {provider.owner} refuses the payment: {reason}",
        "Choose another provider.",
        code=code,
        status=402,
    )

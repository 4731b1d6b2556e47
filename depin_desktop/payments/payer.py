"""The customer's side of x402: channels to each provider, growing totals, and a budget that nothing passes.

A request to a provider whose channel is open takes one round trip: the voucher travels with it. The first one, and one
whose deposit is used up, carries an ERC-3009 authorisation that the provider submits. When an answer is lost, the very
same payment is sent again under its identifier; it is never signed anew, so nothing is paid twice.

Requests of a fixed price share one channel. A metered one, whose price is known at its end, has a channel of the pool
for itself until `settled`; it is never repeated by itself.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.typed_data import Signer
from depin_desktop.core.database import Database
from depin_desktop.core.tasks import Cycle, Tasks
from depin_desktop.net.offers import NodeOffer
from depin_desktop.payments import headers as wire
from depin_desktop.payments.payer_account import Account, Signed
from depin_desktop.payments.payer_deposits import Budget, TopUp, Wallet
from depin_desktop.payments.payer_pool import Metered, Pool
from depin_desktop.payments.payer_refunds import ask_all_back
from depin_desktop.payments.payer_store import LEASE_S, LeaseLost, PayerStore
from depin_desktop.payments.payer_terms import PaymentFailed, charged_by, refused, required_of
from depin_desktop.payments.refusals import Refusal, explain

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
        self._pools: dict[str, Pool] = {}
        self._metered: dict[int, Metered] = {}
        self._tasks = Tasks("payer")

    async def start(self) -> None:
        """Opens the rows and begins to renew leases."""
        await self.store.open()
        self._tasks.spawn("leases", Cycle("leases", LEASE_S / 3, self.store.renew).run())

    async def close(self) -> None:
        """Gives the channels back to other processes."""
        await self._tasks.close()
        for metered in tuple(self._metered.values()):
            metered.end(None)
        self._metered.clear()
        idle = [account for pool in self._pools.values() for account in pool.idle]
        for account in [*self._accounts.values(), *idle]:
            await account.keep()
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
        metered: bool = False,
        headers: Mapping[str, str] | None = None,
        **kw: Any,
    ) -> aiohttp.ClientResponse:
        """Sends a request and pays for it when that is asked; returns the answer once its headers are there.

        Args:
            session: sends to that provider.
            price: base units that this request should cost; more is never paid. Known in advance, it saves the
                unpaid first try. None pays what the provider asks, within the budget.
            expect: base units that this provider will be paid soon: a deposit covers them where the budget allows.
            metered: `price` is a ceiling and the answer says what was charged. Call `settled` with the response when
                it has ended, however it did; until then its channel is busy.

        Raises:
            PaymentFailed: the provider asks more, or asks for something else than was agreed; the budget or the
                funds do not suffice; or the provider refuses the payment.
            aiohttp.ClientError, TimeoutError: the provider cannot be reached.
        """
        call = functools.partial(session.request, method, url, **kw)
        if metered:
            return await self._request_metered(provider, price, expect, call, dict(headers or {}))
        account = self._accounts.setdefault(provider.owner, Account(self._wallet, provider))
        account.provider = provider
        response, _ = await self._converse(account, price, expect, call, dict(headers or {}))
        return response

    async def _converse(
        self, account: Account, price: int | None, expect: int, call: _Call, plain: dict[str, str]
    ) -> tuple[aiohttp.ClientResponse, Signed | None]:
        """Request and payment until there is an answer; with it the payment that it took, if any."""
        asked = price
        if asked is None or not await account.knows_terms(asked):
            response = await call(headers=plain)
            if response.status != 402:
                return response, None
            asked = account.agree(await required_of(response), price)
        for _ in range(ATTEMPTS):
            answer, signed = await self._attempt(account, asked, expect, call, plain)
            if isinstance(answer, aiohttp.ClientResponse):
                return answer, signed
            asked = account.agree(answer, price)
        raise refused(account.provider, "payment-refused", "no payment was accepted.")

    # --- metered --------------------------------------------------------------------------------------------------

    async def _request_metered(
        self, provider: NodeOffer, price: int | None, expect: int, call: _Call, plain: dict[str, str]
    ) -> aiohttp.ClientResponse:
        pool = self._pools.setdefault(provider.owner, Pool(lambda: Account(self._wallet, provider, exclusive=True)))
        resting: list[Account] = []
        try:
            while True:
                account = await pool.take(provider)
                try:
                    response, signed = await self._converse(account, price, expect, call, plain)
                except PaymentFailed as error:
                    if error.code == Refusal.BUSY and len(resting) < ATTEMPTS:
                        resting.append(account)  # the provider still works on what this side has given up
                        continue
                    pool.put(account)
                    raise
                except BaseException:
                    pool.put(account)
                    raise
                break
        finally:
            for one in resting:
                pool.put(one, last=True)
        if signed is None:
            pool.put(account)
            return response
        under_way = Metered.of(account, pool, signed)
        if response.status >= 400:
            under_way.end(response.headers.get(wire.PAYMENT_RESPONSE))
        else:
            self._metered[id(response)] = under_way
            weakref.finalize(response, self._forgotten, id(response), under_way, asyncio.get_running_loop())
        return response

    async def settled(self, response: aiohttp.ClientResponse, receipt: str | None = None) -> int | None:
        """Ends a metered request: books what was charged and frees its channel.

        Args:
            receipt: a PAYMENT-RESPONSE header's value that came in the body (the last event of a stream); None takes
                it from the response's headers.

        Returns:
            Base units charged, never more than was signed; None when no receipt came. A response that was not paid, or
            was settled before, gives 0.
        """
        under_way = self._metered.pop(id(response), None)
        return 0 if under_way is None else under_way.end(receipt or response.headers.get(wire.PAYMENT_RESPONSE))

    def _forgotten(self, key: int, under_way: Metered, loop: asyncio.AbstractEventLoop) -> None:
        """A response was collected, in whatever thread that happens: its channel must not stay busy for ever."""

        def end() -> None:
            if self._metered.get(key) is under_way:
                log.warning("a metered response was never settled")
                self._metered.pop(key).end(None)

        if not loop.is_closed():
            loop.call_soon_threadsafe(end)

    async def extend(
        self, session: aiohttp.ClientSession, url: str, response: aiohttp.ClientResponse, amount: int
    ) -> None:
        """Signs `amount` more for a metered response that is still running, and posts the voucher to `url`.

        Raises:
            PaymentFailed: the budget or the funds do not suffice, or the provider refuses the voucher.
            aiohttp.ClientError, TimeoutError: the provider cannot be reached.
        """
        under_way = self._metered.get(id(response))
        if under_way is None:
            raise PaymentFailed("This answer is not being paid for any more.", "", code="hold-ended", status=409)
        account = under_way.account
        async with account.lock:
            signed = await account.sign(amount)
            if signed.channel != under_way.channel:  # the lease was lost meanwhile
                account.give_back(signed)
                raise refused(account.provider, Refusal.CHANNEL_ID, explain(Refusal.CHANNEL_ID))
            under_way.total = signed.total
            call = functools.partial(session.request, "POST", url)
            headers = {wire.PAYMENT_SIGNATURE: signed.header}
            try:
                answer = await call(headers=headers)
            except (aiohttp.ClientConnectionError, TimeoutError):
                answer = await call(headers=headers)  # the same voucher counts once
            if answer.status == 402:
                reason = (await required_of(answer)).error or "payment-refused"
                under_way.total = signed.total - signed.price
                account.give_back(signed)
                raise refused(account.provider, reason, explain(reason))
            async with answer:
                if signed.intent is not None:
                    await account.settle_intent(signed.intent)
                if answer.status >= 400:
                    raise refused(account.provider, "payment-refused", f"it answered {answer.status}.")

    async def reclaim(self, session: aiohttp.ClientSession, url: str, provider: NodeOffer) -> int:
        """Asks the provider to give the unused rest of this customer's channels back; returns the base units returned.

        Costs the customer nothing: the provider sends the transactions. Channels that are in use, here or in another
        process, are left alone. Where the provider does not, `payer_refunds.withdraw` works without it.

        Args:
            url: any of the provider's paid resources, or `headers.REFUND_PATH`.

        Raises:
            PaymentFailed: there is no channel, nothing is left in any, or the provider refuses.
        """
        pool, own = self._pools.get(provider.owner), self._accounts.get(provider.owner)
        known = [account for account in (own, *(pool.idle if pool else ())) if account and account.channel]
        others: list[Account] = []
        try:
            for channel in await self.store.channels():
                if channel.provider == provider.owner and await self.store.lease_one(channel.id):
                    others.append(Account(self._wallet, provider, exclusive=True))
                    others[-1].adopt(channel)
            return await ask_all_back(provider, [*known, *others], session, url)
        finally:
            for account in others:
                account.drop()

    async def _attempt(
        self, account: Account, price: int, expect: int, call: _Call, headers: dict[str, str]
    ) -> tuple[aiohttp.ClientResponse | wire.PaymentRequired, Signed]:
        """One signed payment: the answer, or the provider's corrected wish once this side has caught up with it."""
        async with account.lock:
            signed = await account.sign(price, expect)
            if signed.intent is not None:
                # Vouchers of one channel may overtake each other; a deposit goes alone.
                return await self._exchange(account, signed, call, headers), signed
        return await self._exchange(account, signed, call, headers), signed

    async def _exchange(
        self, account: Account, signed: Signed, call: _Call, headers: dict[str, str]
    ) -> aiohttp.ClientResponse | wire.PaymentRequired:
        paying = {**headers, wire.PAYMENT_SIGNATURE: signed.header}
        try:
            response = await call(headers=paying)
        except BaseException as error:
            if account.exclusive:
                account.give_back(signed)  # as `Metered.end` does without a receipt
            if account.exclusive or not isinstance(error, aiohttp.ClientConnectionError | TimeoutError):
                raise
            # The answer may be lost although the provider has charged: the very same payment is safe to repeat.
            response = await call(headers=paying)
        required = await required_of(response) if response.status == 402 else None
        try:
            charged = None if required or account.exclusive else charged_by(response, signed.price)
            if charged is not None:
                account.give_back(signed, charged)
            if signed.intent is not None:
                await account.settle_intent(signed.intent)
            if required is not None:
                await _catch_up(account, signed, required)
        except LeaseLost:
            account.drop()
        return response if required is None else required


async def _catch_up(account: Account, signed: Signed, required: wire.PaymentRequired) -> None:
    """Corrects this side after a refusal, so that another attempt makes sense.

    Raises:
        PaymentFailed: nothing that this side could do would help, or another attempt might pay twice.
    """
    code = required.error or ""
    if code in (Refusal.TOTAL, Refusal.BELOW_CLAIMED):
        # A metered payment may promise more than is asked; any other is for the price to the unit.
        wrong = [
            way.amount > signed.price if account.exclusive else way.amount != signed.price for way in required.accepts
        ]
        if all(wrong):
            account.give_back(signed)  # another price than was signed for
        elif not await account.resync(signed, required):
            raise refused(account.provider, "payment-lost", "it was charged before, and its answer was lost.")
    elif code in (Refusal.BALANCE, Refusal.CHANNEL):
        account.give_back(signed)
        if account.channel is not None:
            await account.refresh()
    elif code == Refusal.WITHDRAWING:
        await account.abandon(signed)
    else:
        account.give_back(signed)
        if code not in (Refusal.DELAY, Refusal.RECEIVER, Refusal.AUTHORIZER, Refusal.DEPOSIT_SMALL):  # with new terms
            raise refused(account.provider, code or "payment-refused", explain(code))

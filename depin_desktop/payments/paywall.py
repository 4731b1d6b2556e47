"""The provider's side of x402: no answer without a voucher on disk that the chain will honour.

A voucher costs no call to the chain while the channel's state is fresh; a deposit is submitted by the provider's own
sender, so that a customer never needs gas. Every refusal is a 402 that says why, for programs and for people.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from aiohttp import web

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.sender import Sender
from depin_desktop.chain.typed_data import Signer
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.net.door import note_paid
from depin_desktop.payments import headers as wire
from depin_desktop.payments import policy, vouchers
from depin_desktop.payments.answers import Answers, Payment
from depin_desktop.payments.claims import Claimer
from depin_desktop.payments.deposits import DEPOSIT_GAS, Depositor, read_channel
from depin_desktop.payments.holds import HOLD_TIMEOUT_S, Hold, Holds, hold_ended
from depin_desktop.payments.refunds import Refunder
from depin_desktop.payments.refusals import PaymentRefused, Refusal
from depin_desktop.payments.store import Channel, ChannelStore, Promise, Refused, Takings

__all__ = ["Hold", "Payment", "Paywall"]

log = logging.getLogger(__name__)

WITHDRAW_DELAY_S = 86_400
"""A payer's withdrawal takes a day: a home machine may be off for a night and still claim in time."""
MAX_TIMEOUT_S = 600
STATE_TTL_S = 300.0
COLLECTION_WAIT_S = 30.0

OnPaid = Callable[[str, int, str], None]


class Paywall:
    """Charges requests, answers 402 otherwise, and turns vouchers into money.

    Args:
        receiver: the address that is paid (the owner's payout); `pay_to` changes it.
        operator_account: the hot key that authorises claims; the sender must send for the same account.
        exposure_cap: unclaimed base units per customer beyond which nothing is served before a claim; 0 for no cap.
        withdraw_delay_s: how long a payer's withdrawal takes, 900 to 2 592 000.
        deposit_floor: the smallest deposit accepted, in base units.
        max_timeout_s: how long a deposit's authorisation should stay valid, as announced to payers.
        hold_timeout_s: after so long a hold that nobody ended is given up.
        on_paid: called with customer, amount and what it was for, after each charge.
    """

    def __init__(
        self,
        chain: Chain,
        sender: Sender,
        database: Database,
        *,
        receiver: str,
        operator_account: Signer,
        exposure_cap: int,
        withdraw_delay_s: int = WITHDRAW_DELAY_S,
        deposit_floor: int = 0,
        max_timeout_s: int = MAX_TIMEOUT_S,
        hold_timeout_s: float = HOLD_TIMEOUT_S,
        claim_policy: policy.ClaimPolicy | None = None,
        on_paid: OnPaid | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._chain = chain
        self._exposure_cap = exposure_cap
        self._delay_s = withdraw_delay_s
        self._hold_timeout_s = hold_timeout_s
        self._clock = clock
        self._answers = Answers(
            chain.network, receiver, operator_account.address, withdraw_delay_s, deposit_floor, max_timeout_s
        )
        self._ttl_s = min(STATE_TTL_S, withdraw_delay_s / 3)
        self.store = ChannelStore(database, clock)
        claim_policy = claim_policy or policy.ClaimPolicy(exposure_cap=exposure_cap // 2)
        self.claimer = Claimer(chain, sender, self.store, claim_policy, clock, fee_in_token=chain.network.fee_in_token)
        self._depositor = Depositor(chain, sender, self.store, clock)
        self._refunder = Refunder(chain, sender, self.store, self.claimer, clock)
        self._holds = Holds(clock)
        self._fee_floor = 0
        self._collection: asyncio.Future[None] | None = None
        self._doubted: set[bytes] = set()  # channels of which a reorganisation may have undone something
        self.on_paid = on_paid

    async def start(self) -> None:
        """Loads the channels; needed once before anything else."""
        await self.store.open()
        with contextlib.suppress(UserFacingError, OSError):  # without an answer the first round finds it out
            await self._weigh_fees()

    async def _weigh_fees(self) -> None:
        self._fee_floor = policy.deposit_floor(await self.claimer.worth_of_gas(DEPOSIT_GAS))

    def pay_to(self, receiver: str) -> None:
        """Has everything that is asked from now on paid to `receiver`.

        Channels to the one before take no new payment. What has begun on them ends as it was agreed, what they owe is
        claimed for whom it was signed, and customers have their rest back.
        """
        self._answers = replace(self._answers, receiver=receiver)

    def routes(self) -> list[web.RouteDef]:
        """What every provider serves beside its goods: `GET /payments/refund`."""

        async def refund(request: web.Request) -> web.Response:
            payment = await self.charge(request, 0, "refund")  # a refund ends in there
            return web.Response(headers=payment.headers)

        return [web.get(wire.REFUND_PATH, refund)]

    # --- charging -------------------------------------------------------------------------------------------------

    async def charge(self, request: web.Request, amount: int, description: str) -> Payment:
        """Takes `amount` base units for this request.

        Returns once the voucher is on disk; the charged total is final then.

        Raises:
            web.HTTPPaymentRequired: unpaid, or the payment is refused; headers and body say why, as x402 writes it.
            web.HTTPOk: the request asked for its deposit back and nothing else; that is done.
        """
        way = self._answers.requirements(amount, self._fee_floor)
        asked = f"{request.method} {request.path_qs} {request.headers.get('Range', '')}"
        try:
            channel, promise, transaction = await self._admit(request, way)
            with self._holds.passing(channel, amount):
                channel, repeated = await self.store.charge(channel, promise, amount, description, asked)
        except Refused:
            raise self._refusal(request, way, description, PaymentRefused(Refusal.TOTAL)) from None
        except PaymentRefused as refused:
            raise self._refusal(request, way, description, refused) from None
        note_paid(request)
        return self._paid(channel, amount, transaction, description, repeated)

    async def hold(
        self, request: web.Request, ceiling: int, description: str, *, timeout_s: float | None = None
    ) -> Hold:
        """Verifies a payment of up to `ceiling` base units, whose part that is used will be charged at the end.

        The channel is busy until the hold ends, by `charge`, `cancel`, or after `timeout_s`. Voucher and charge reach
        the disk together, when the hold is charged and before the answer that they pay for ends.

        Raises:
            web.HTTPPaymentRequired: unpaid, or the payment is refused; headers and body say why, as x402 writes it.
            web.HTTPOk: the request asked for its deposit back and nothing else; that is done.
        """
        way = self._answers.requirements(ceiling, self._fee_floor)
        timeout_s = self._hold_timeout_s if timeout_s is None else timeout_s
        try:
            channel, promise, transaction = await self._admit(request, way)
            _check_unspent(channel, promise, ceiling)
            hold = self._holds.open(
                Hold(
                    channel=channel,
                    description=description,
                    ceiling=ceiling,
                    promise=promise,
                    transaction=transaction,
                    deadline=self._clock() + timeout_s,
                    _charge=self._charge_hold,
                    _extend=self._extend_hold,
                    _end=self._holds.end,
                )
            )
        except PaymentRefused as refused:
            raise self._refusal(request, way, description, refused) from None
        note_paid(request)
        return hold

    async def _charge_hold(self, hold: Hold, actual: int) -> Payment:
        # No identifier: work is not done a second time because its answer was lost.
        promise = Promise(hold.promise.total, hold.promise.signature, hold.promise.agreed)
        try:
            channel, _ = await self.store.charge(hold.channel, promise, actual, hold.description, "")
        except Refused as refused:  # the hold was given up, and others have used the channel since
            raise hold_ended() from refused
        return self._paid(channel, actual, hold.transaction, hold.description)

    async def _extend_hold(self, hold: Hold, request: web.Request, more: int) -> None:
        way = self._answers.requirements(more, self._fee_floor)
        try:
            channel, promise, transaction = await self._admit(request, way, hold)
            if promise.total == hold.promise.total:
                return  # sent again because its answer was lost
            _check_unspent(channel, promise, more)
            hold.grow(promise, more, self._clock() + self._hold_timeout_s)
            hold.transaction = transaction or hold.transaction
        except PaymentRefused as refused:
            raise self._refusal(request, way, hold.description, refused) from None

    async def _admit(
        self, request: web.Request, way: wire.Requirements, extending: Hold | None = None
    ) -> tuple[Channel, Promise, str]:
        """Everything that is checked before a payment is booked; a deposit that it brings is made.

        Returns the channel, what was promised, and the deposit's transaction or "".
        """
        header = request.headers.get(wire.PAYMENT_SIGNATURE)
        if header is None:
            raise PaymentRefused(Refusal.UNPAID)
        try:
            payment = wire.decode_payload(header)
        except ValueError as error:
            raise PaymentRefused(Refusal.PAYLOAD, str(error)) from error
        channel = self._bind(payment, way, extending)
        voucher, promise = payment.payload.voucher, Promise.of(payment)
        if not vouchers.is_signed(self._chain.network, channel.config, voucher):
            raise PaymentRefused(Refusal.SIGNATURE)
        if extending is None:
            self._holds.check_free(channel.id)
        elif extending.channel.id != channel.id:
            raise PaymentRefused(Refusal.CHANNEL_ID)
        if self._refunder.is_open(channel.id):
            raise PaymentRefused(Refusal.BUSY)
        if payment.payload.type == "refund":
            with self._holds.alone(channel):
                channel = await self._fresh(channel)
                self._doubted.add(channel.id)  # whatever comes of it, the balance is read anew
                raise web.HTTPOk(headers=await self._refunder.refund(channel, payment.payload, way))
        transaction = ""
        if channel.book.take(promise.total, way.amount, promise.agreed) is not None:
            if payment.payload.type == "deposit":
                channel, transaction = await self._depositor.deposit(channel, payment.payload, way, self._fee_floor)
            channel = await self._fresh(channel)
            self._check_cover(channel, voucher)
            await self._limit_exposure(channel, way.amount)
        # Otherwise nothing can be charged, and no gas is spent: the store knows whether it is a permitted repeat.
        return channel, promise, transaction

    def _paid(self, channel: Channel, amount: int, transaction: str, what: str, repeated: bool = False) -> Payment:
        if self.on_paid is not None and amount and not repeated:
            self.on_paid(channel.config.payer, amount, what)
        return self._answers.payment(channel, amount, transaction, repeated=repeated)

    def _refusal(
        self, request: web.Request, way: wire.Requirements, description: str, refused: PaymentRefused
    ) -> web.HTTPPaymentRequired:
        try:
            payment = wire.decode_payload(request.headers.get(wire.PAYMENT_SIGNATURE, ""))
            channel = self.store.channels.get(payment.payload.voucher.channel_id)
        except ValueError:
            channel = None
        return self._answers.refusal(request, way, description, refused, channel)

    def _bind(self, payment: wire.PaymentPayload, way: wire.Requirements, extending: Hold | None) -> Channel:
        """The channel that a payment is for, as far as it is known here; refuses one that is not ours to claim."""
        accepted, config = payment.accepted, payment.payload.channel_config
        if accepted.scheme != wire.SCHEME:
            raise PaymentRefused(Refusal.SCHEME)
        if accepted.network != way.network:
            raise PaymentRefused(Refusal.NETWORK)
        if config.token != way.asset:
            raise PaymentRefused(Refusal.TOKEN)
        if config.receiver != way.pay_to and not self._may_end(payment, extending):
            raise PaymentRefused(Refusal.RECEIVER)
        if config.receiver_authorizer != way.extra.receiver_authorizer:
            raise PaymentRefused(Refusal.AUTHORIZER)
        identity = vouchers.channel_id(self._chain.network, config)
        if identity != payment.payload.voucher.channel_id:
            raise PaymentRefused(Refusal.CHANNEL_ID)
        known = self.store.channels.get(identity)
        if known is None and config.withdraw_delay != self._delay_s:
            raise PaymentRefused(Refusal.DELAY)
        return known or Channel(identity, config)

    def _may_end(self, payment: wire.PaymentPayload, extending: Hold | None) -> bool:
        """Whether a payment ends what began while its channel's receiver was ours: work under way, or the channel."""
        channel = payment.payload.voucher.channel_id
        if extending is not None:
            return extending.channel.id == channel
        return payment.payload.type == "refund" and channel in self.store.channels

    @staticmethod
    def _check_cover(channel: Channel, voucher: wire.Voucher) -> None:
        if channel.withdraw_at:
            raise PaymentRefused(Refusal.WITHDRAWING)
        if channel.balance == 0:
            raise PaymentRefused(Refusal.CHANNEL)
        if voucher.max_claimable_amount > channel.balance:
            raise PaymentRefused(Refusal.BALANCE)
        if voucher.max_claimable_amount <= channel.claimed:
            raise PaymentRefused(Refusal.BELOW_CLAIMED)

    async def _fresh(self, channel: Channel) -> Channel:
        """The channel with the chain's side of it no older than the time to live."""
        known = self.store.channels.get(channel.id, channel)
        age = self._clock() - known.checked_at
        if 0 <= age <= self._ttl_s and channel.id not in self._doubted:  # a clock that was set back makes nothing fresh
            return known
        try:
            read = await read_channel(self._chain, known, self._clock())
            if not read.balance and channel.id not in self.store.channels:
                return read  # whoever has paid nothing leaves no row on our disk
            read = await self.store.remember(read)
            self._doubted.discard(channel.id)
            return read
        except (UserFacingError, OSError) as error:
            if known.checked_at and age <= self._delay_s / 2:
                log.warning("channel state could not be refreshed: %s", error)
                return known
            raise PaymentRefused(Refusal.CHAIN) from error

    async def _limit_exposure(self, channel: Channel, price: int) -> None:
        payer = channel.config.payer

        def passes() -> bool:
            owed = self.claimer.owed_by(payer) + self._holds.promised_by(payer)
            return owed + price <= self._exposure_cap

        if not self._exposure_cap or passes():
            return
        await self._collecting()
        if not passes():
            raise PaymentRefused(Refusal.EXPOSURE)

    async def _collecting(self) -> None:
        """Waits a while for a claim, which goes on where the chain takes longer than a customer should wait."""
        if self._collection is None or self._collection.done():
            self._collection = asyncio.ensure_future(self._collect())
        await asyncio.wait([self._collection], timeout=COLLECTION_WAIT_S)

    async def _collect(self) -> None:
        try:
            await self.claimer.collect()
        except UserFacingError as error:
            log.warning("vouchers cannot be claimed now: %s", error)

    # --- what has been earned -------------------------------------------------------------------------------------

    def pending(self) -> int:
        """Base units charged and not yet claimed on chain."""
        return self.claimer.pending()

    async def claim(self) -> int:
        """Claims every voucher that is not claimed yet; returns the base units claimed."""
        return await self.claimer.claim()

    async def settle(self) -> int:
        """Pays out what has been claimed to the receiver; returns the base units moved."""
        return await self.claimer.settle()

    async def maintain(self, *, draining: bool = False) -> policy.ClaimReason | None:
        """One round of the claiming policy, for a `Cycle`: refreshes stale channels, claims and settles when due."""
        for channel in [one for one in self.store.channels.values() if one.unclaimed or one.id in self._doubted]:
            try:
                await self._fresh(channel)
            except PaymentRefused:
                log.warning("the chain is out of reach; claiming waits")
                return None
        await self._weigh_fees()
        return await self.claimer.maintain(draining=draining)

    async def withdrawal_began(self, channel_id: bytes) -> None:
        """To be told of the chain's withdraw event: the channel is refused from now on and claimed next."""
        if (known := self.store.channels.get(channel_id)) is not None:
            await self.store.remember(await read_channel(self._chain, known, self._clock()))

    def chain_went_back(self) -> None:
        """To be told when the chain was reorganised: deposits and claims that it forgot are looked for anew."""
        self._doubted.update(self.store.channels)

    async def takings(self, since: float = 0) -> list[Takings]:
        """What was charged per hour, customer and kind since then."""
        return await self.store.takings(since)


def _check_unspent(channel: Channel, promise: Promise, amount: int) -> None:
    if channel.book.take(promise.total, amount, promise.agreed) is None:
        raise PaymentRefused(Refusal.TOTAL)

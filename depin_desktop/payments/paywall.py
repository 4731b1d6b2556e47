"""The provider's side of x402: no answer without a voucher on disk that the chain will honour.

A voucher costs no call to the chain while the channel's state is fresh; a deposit is submitted by the provider's own
sender, so that a customer never needs gas. Every refusal is a 402 that says why, for programs and for people.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from depin_desktop.chain import typed_data
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.sender import Sender
from depin_desktop.chain.typed_data import Signer
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.payments import headers as wire
from depin_desktop.payments import policy, vouchers
from depin_desktop.payments.claims import Claimer
from depin_desktop.payments.deposits import Depositor, read_channel
from depin_desktop.payments.refunds import Refunder
from depin_desktop.payments.refusals import EXPLANATIONS, PaymentRefused, Refusal
from depin_desktop.payments.store import Channel, ChannelStore, Refused, Takings

log = logging.getLogger(__name__)

WITHDRAW_DELAY_S = 86_400
"""A payer's withdrawal takes a day: a home machine may be off for a night and still claim in time."""
MAX_TIMEOUT_S = 600
STATE_TTL_S = 300.0


@dataclass(frozen=True)
class Payment:
    """A charge that is final and on disk; `headers` belong on the answer, `repeated` marks one served again."""

    headers: dict[str, str]
    customer: str
    amount: int
    channel_id: bytes
    repeated: bool = False


OnPaid = Callable[[str, int, str], None]


class Paywall:
    """Charges requests, answers 402 otherwise, and turns vouchers into money.

    Args:
        receiver: the address that is paid (the owner's payout).
        operator_account: the hot key that authorises claims; the sender must send for the same account.
        exposure_cap: unclaimed base units per customer beyond which nothing is served before a claim; 0 for no cap.
        withdraw_delay_s: how long a payer's withdrawal takes, 900 to 2 592 000.
        deposit_floor: the smallest deposit accepted, in base units.
        max_timeout_s: how long a deposit's authorisation should stay valid, as announced to payers.
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
        claim_policy: policy.ClaimPolicy | None = None,
        on_paid: OnPaid | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        network = chain.network
        self._chain = chain
        self._receiver = receiver
        self._operator = operator_account.address
        self._exposure_cap = exposure_cap
        self._delay_s = withdraw_delay_s
        self._deposit_floor = deposit_floor
        self._max_timeout_s = max_timeout_s
        self._clock = clock
        self._network = f"eip155:{network.chain_id}"
        self._token = network.addresses.token
        self._ttl_s = min(STATE_TTL_S, withdraw_delay_s / 3)
        self.store = ChannelStore(database, clock)
        claim_policy = claim_policy or policy.ClaimPolicy(exposure_cap=exposure_cap // 2)
        self.claimer = Claimer(chain, sender, self.store, claim_policy, clock)
        self._depositor = Depositor(chain, sender, self.store, clock)
        self._refunder = Refunder(chain, sender, self.store, self.claimer, clock)
        self.on_paid = on_paid

    async def start(self) -> None:
        """Loads the channels; needed once before anything else."""
        await self.store.open()

    # --- charging -------------------------------------------------------------------------------------------------

    async def charge(self, request: web.Request, amount: int, description: str) -> Payment:
        """Takes `amount` base units for this request.

        Returns once the voucher is on disk; the charged total is final then.

        Raises:
            web.HTTPPaymentRequired: unpaid, or the payment is refused; headers and body say why, as x402 writes it.
            web.HTTPOk: the request asked for its deposit back and nothing else; that is done.
        """
        way = self._requirements(amount)
        try:
            return await self._charge(request, way, description)
        except PaymentRefused as refused:
            raise self._answer(request, way, description, refused) from None

    async def _charge(self, request: web.Request, way: wire.Requirements, description: str) -> Payment:
        header = request.headers.get(wire.PAYMENT_SIGNATURE)
        if header is None:
            raise PaymentRefused(Refusal.UNPAID)
        try:
            payment = wire.decode_payload(header)
        except ValueError as error:
            raise PaymentRefused(Refusal.PAYLOAD, str(error)) from error
        channel = self._bind(payment, way)
        voucher = payment.payload.voucher
        if not vouchers.is_signed(self._chain.network, channel.config, voucher):
            raise PaymentRefused(Refusal.SIGNATURE)
        if payment.payload.type == "refund":
            channel = await self._fresh(channel)
            raise web.HTTPOk(headers=await self._refunder.refund(channel, payment.payload, way))
        transaction = ""
        if channel.book.take(voucher.max_claimable_amount, way.amount, payment.accepted.amount) is not None:
            if payment.payload.type == "deposit":
                channel, transaction = await self._depositor.deposit(channel, payment.payload, way)
            channel = await self._fresh(channel)
            self._check_cover(channel, voucher)
            await self._limit_exposure(channel, way.amount)
        # Otherwise nothing can be charged, and no gas is spent: the store knows whether it is a permitted repeat.
        asked = f"{request.method} {request.path_qs} {request.headers.get('Range', '')}"
        try:
            channel, repeated = await self.store.charge(channel, payment, way.amount, description, asked)
        except Refused as refused:
            raise PaymentRefused(Refusal.TOTAL) from refused
        return self._receipt(channel, way.amount, transaction, description, repeated)

    def _bind(self, payment: wire.PaymentPayload, way: wire.Requirements) -> Channel:
        """The channel that a payment is for, as far as it is known here; refuses one that is not ours to claim."""
        accepted, config = payment.accepted, payment.payload.channel_config
        if accepted.scheme != wire.SCHEME:
            raise PaymentRefused(Refusal.SCHEME)
        if accepted.network != self._network:
            raise PaymentRefused(Refusal.NETWORK)
        if config.token != self._token:
            raise PaymentRefused(Refusal.TOKEN)
        if config.receiver != way.pay_to:
            raise PaymentRefused(Refusal.RECEIVER)
        if config.receiver_authorizer != self._operator:
            raise PaymentRefused(Refusal.AUTHORIZER)
        identity = vouchers.channel_id(self._chain.network, config)
        if identity != payment.payload.voucher.channel_id:
            raise PaymentRefused(Refusal.CHANNEL_ID)
        known = self.store.channels.get(identity)
        if known is None and config.withdraw_delay != self._delay_s:
            raise PaymentRefused(Refusal.DELAY)
        return known or Channel(identity, config)

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
        if age <= self._ttl_s:
            return known
        try:
            return await self.store.remember(await read_channel(self._chain, known, self._clock()))
        except (UserFacingError, OSError) as error:
            if known.checked_at and age <= self._delay_s / 2:
                log.warning("channel state could not be refreshed: %s", error)
                return known
            raise PaymentRefused(Refusal.CHAIN) from error

    async def _limit_exposure(self, channel: Channel, price: int) -> None:
        if not self._exposure_cap or self.claimer.owed_by(channel.config.payer) + price <= self._exposure_cap:
            return
        await self.claimer.claim()
        if self.claimer.owed_by(channel.config.payer) + price > self._exposure_cap:
            raise PaymentRefused(Refusal.EXPOSURE)

    # --- answers --------------------------------------------------------------------------------------------------

    def _requirements(self, amount: int) -> wire.Requirements:
        return wire.Requirements(
            scheme=wire.SCHEME,
            network=self._network,
            asset=self._token,
            amount=amount,
            pay_to=self._receiver,
            max_timeout_seconds=self._max_timeout_s,
            extra=wire.Terms(
                name=typed_data.TOKEN_DOMAIN[0],
                version=typed_data.TOKEN_DOMAIN[1],
                receiver_authorizer=self._operator,
                withdraw_delay=self._delay_s,
                min_deposit=policy.announced_deposit(amount, self._deposit_floor),
            ),
        )

    def _answer(
        self, request: web.Request, way: wire.Requirements, description: str, refused: PaymentRefused
    ) -> web.HTTPPaymentRequired:
        if (channel := self._concerned(request, refused.refusal)) is not None:
            state = wire.ChannelState(
                channel_id=channel.id,
                balance=channel.balance,
                total_claimed=channel.claimed,
                withdraw_requested_at=channel.withdraw_at,
                charged_cumulative_amount=channel.book.charged,
            )
            newest = wire.VoucherState(signed_max_claimable=channel.book.signed, signature=channel.signature)
            extra = way.extra.model_copy(
                update={"channel_state": state, "voucher_state": newest if channel.signature else None}
            )
            way = way.model_copy(update={"extra": extra})
        required = wire.PaymentRequired(
            error=refused.refusal.value,
            resource=wire.Resource(url=str(request.url), description=description),
            accepts=(way,),
        )
        message, remedy = EXPLANATIONS[refused.refusal]
        problem = {"code": refused.refusal.value, "message": message, "remedy": remedy, "detail": refused.detail}
        return web.HTTPPaymentRequired(
            headers={wire.PAYMENT_REQUIRED: wire.encode(required)},
            text=json.dumps(problem | required.model_dump(mode="json", by_alias=True, exclude_none=True)),
            content_type="application/json",
        )

    def _concerned(self, request: web.Request, refusal: Refusal) -> Channel | None:
        """The channel whose state helps the payer to go on, where a readable payment named one that is known here."""
        if refusal not in (Refusal.TOTAL, Refusal.BELOW_CLAIMED, Refusal.BALANCE):
            return None
        payment = wire.decode_payload(request.headers[wire.PAYMENT_SIGNATURE])
        return self.store.channels.get(payment.payload.voucher.channel_id)

    def _receipt(self, channel: Channel, amount: int, transaction: str, what: str, repeated: bool) -> Payment:
        payer = channel.config.payer
        response = wire.PaymentResponse(
            success=True,
            payer=payer,
            transaction=transaction,
            network=self._network,
            amount="",
            extra=wire.ReceiptDetails(
                charged_amount=amount,
                channel_state=wire.ChannelState(
                    channel_id=channel.id,
                    balance=channel.balance,
                    total_claimed=channel.claimed,
                    withdraw_requested_at=channel.withdraw_at,
                    charged_cumulative_amount=channel.book.charged,
                ),
            ),
        )
        if self.on_paid is not None and not repeated:
            self.on_paid(payer, amount, what)
        headers = {wire.PAYMENT_RESPONSE: wire.encode(response)}
        return Payment(headers, payer, 0 if repeated else amount, channel.id, repeated)

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
        for channel in [channel for channel in self.store.channels.values() if channel.unclaimed]:
            try:
                await self._fresh(channel)
            except PaymentRefused:
                log.warning("the chain is out of reach; claiming waits")
                return None
        return await self.claimer.maintain(draining=draining)

    async def withdrawal_began(self, channel_id: bytes) -> None:
        """To be told of the chain's withdraw event: the channel is refused from now on and claimed next."""
        if (known := self.store.channels.get(channel_id)) is not None:
            await self.store.remember(await read_channel(self._chain, known, self._clock()))

    async def takings(self, since: float = 0) -> list[Takings]:
        """What was charged per hour, customer and kind since then."""
        return await self.store.takings(since)

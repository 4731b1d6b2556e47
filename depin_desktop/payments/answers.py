"""What the paywall says: the terms, a refusal with all that a payer needs to go on, and the receipt of a charge."""

from __future__ import annotations

import json
from dataclasses import dataclass

from aiohttp import web

from depin_desktop.chain import typed_data
from depin_desktop.chain.network import Network
from depin_desktop.payments import headers as wire
from depin_desktop.payments import policy
from depin_desktop.payments.refusals import EXPLANATIONS, PaymentRefused, Refusal
from depin_desktop.payments.store import Channel

_COUNT_HELPS = (Refusal.TOTAL, Refusal.BELOW_CLAIMED, Refusal.BALANCE)


@dataclass(frozen=True)
class Payment:
    """A charge that is final and on disk; `headers` belong on the answer, `repeated` marks one served again."""

    headers: dict[str, str]
    customer: str
    amount: int
    channel_id: bytes
    repeated: bool = False


@dataclass(frozen=True)
class Answers:
    """The provider's standing terms, and its answers in x402's form.

    Attributes:
        operator: the hot key that authorises claims.
        delay_s: how long a payer's withdrawal takes.
        deposit_floor: the smallest deposit accepted, in base units.
        max_timeout_s: how long a deposit's authorisation should stay valid.
    """

    network: Network
    receiver: str
    operator: str
    delay_s: int
    deposit_floor: int
    max_timeout_s: int

    @property
    def chain(self) -> str:
        """The chain in CAIP-2 form."""
        return f"eip155:{self.network.chain_id}"

    def requirements(self, amount: int, fee_floor: int = 0) -> wire.Requirements:
        """The terms for one request of `amount` base units.

        Args:
            fee_floor: the smallest deposit that is worth its fee now.
        """
        return wire.Requirements(
            scheme=wire.SCHEME,
            network=self.chain,
            asset=self.network.addresses.token,
            amount=amount,
            pay_to=self.receiver,
            max_timeout_seconds=self.max_timeout_s,
            extra=wire.Terms(
                name=typed_data.TOKEN_DOMAIN[0],
                version=typed_data.TOKEN_DOMAIN[1],
                receiver_authorizer=self.operator,
                withdraw_delay=self.delay_s,
                min_deposit=policy.announced_deposit(amount, max(self.deposit_floor, fee_floor)),
            ),
        )

    def refusal(
        self,
        request: web.Request,
        way: wire.Requirements,
        description: str,
        refused: PaymentRefused,
        channel: Channel | None,
    ) -> web.HTTPPaymentRequired:
        """The 402 answer.

        Args:
            channel: the one that the payment names, where it is known here; its count is told where that helps.
        """
        if channel is not None and refused.refusal in _COUNT_HELPS:
            newest = wire.VoucherState(signed_max_claimable=channel.book.signed, signature=channel.signature)
            extra = way.extra.model_copy(
                update={"channel_state": _state(channel), "voucher_state": newest if channel.signature else None}
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

    def payment(self, channel: Channel, amount: int, transaction: str, *, repeated: bool = False) -> Payment:
        """The receipt of `amount` charged to the channel, which holds the totals after it."""
        response = wire.PaymentResponse(
            success=True,
            payer=channel.config.payer,
            transaction=transaction,
            network=self.chain,
            amount="",
            extra=wire.ReceiptDetails(charged_amount=amount, channel_state=_state(channel)),
        )
        headers = {wire.PAYMENT_RESPONSE: wire.encode(response)}
        return Payment(headers, channel.config.payer, 0 if repeated else amount, channel.id, repeated)


def _state(channel: Channel) -> wire.ChannelState:
    return wire.ChannelState(
        channel_id=channel.id,
        balance=channel.balance,
        total_claimed=channel.claimed,
        withdraw_requested_at=channel.withdraw_at,
        charged_cumulative_amount=channel.book.charged,
    )

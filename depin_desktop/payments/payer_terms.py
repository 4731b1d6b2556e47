"""What a provider may ask of a payer, checked against its signed offer; and how its answers are read."""

from __future__ import annotations

import aiohttp

from depin_desktop.chain import typed_data
from depin_desktop.chain.network import Network
from depin_desktop.core.errors import UserFacingError
from depin_desktop.net.offers import NodeOffer
from depin_desktop.payments import headers as wire
from depin_desktop.payments import vouchers

MAX_WITHDRAW_DELAY_S = 7 * 86_400
"""A provider that would keep an unused deposit longer than a week is not paid."""
MAX_AUTHORISATION_S = 600


class PaymentFailed(UserFacingError):
    """A payment that cannot be made or is not accepted; nothing more is signed for this request."""


def agree(network: Network, offer: NodeOffer, required: wire.PaymentRequired, price: int | None) -> wire.Requirements:
    """The provider's terms, where they are what it offered.

    Raises:
        PaymentFailed: dearer than `price`, to another receiver, or with an unreasonable withdraw delay.
    """
    chain, token = f"eip155:{network.chain_id}", network.addresses.token
    way = next((way for way in required.accepts if way.network == chain and way.asset == token), None)
    if way is None or (way.extra.name, way.extra.version) != typed_data.TOKEN_DOMAIN:
        raise PaymentFailed(
            f"The provider {offer.owner} does not take {network.symbol} on {network.name}.",
            "Choose another provider.",
            code="payment-unknown",
        )
    if (way.pay_to.lower(), way.extra.receiver_authorizer.lower()) != (offer.payout.lower(), offer.operator.lower()):
        raise PaymentFailed(
            f"The provider {offer.owner} asks to pay somebody else than its offer names.",
            "Choose another provider, or wait for its new offer.",
            code="payment-redirected",
        )
    if not vouchers.MIN_WITHDRAW_DELAY_S <= way.extra.withdraw_delay <= MAX_WITHDRAW_DELAY_S:
        raise PaymentFailed(
            f"The provider {offer.owner} would keep deposits for {way.extra.withdraw_delay} seconds.",
            "Choose another provider.",
            code="payment-delay",
        )
    if price is not None and way.amount > price:
        raise PaymentFailed(
            f"The provider {offer.owner} asks {way.amount} base units for what it offered at {price}.",
            "Choose another provider, or wait for its new offer.",
            code="price-changed",
        )
    extra = way.extra.model_copy(update={"channel_state": None, "voucher_state": None})
    return way.model_copy(update={"extra": extra})


def terms_of(chain_id: int, config: wire.ChannelConfig, price: int) -> wire.Requirements:
    """The terms under which a known channel was opened."""
    return wire.Requirements(
        scheme=wire.SCHEME,
        network=f"eip155:{chain_id}",
        asset=config.token,
        amount=price,
        pay_to=config.receiver,
        max_timeout_seconds=MAX_AUTHORISATION_S,
        extra=wire.Terms(
            name=typed_data.TOKEN_DOMAIN[0],
            version=typed_data.TOKEN_DOMAIN[1],
            receiver_authorizer=config.receiver_authorizer,
            withdraw_delay=config.withdraw_delay,
        ),
    )


def config_of(payer: str, way: wire.Requirements, number: int = 0) -> wire.ChannelConfig:
    """The payer's channel of that number under these terms.

    Counted salts: a customer who lost its files finds its channels on the chain again.
    """
    return wire.ChannelConfig(
        payer=payer,
        payer_authorizer=payer,
        receiver=way.pay_to,
        receiver_authorizer=way.extra.receiver_authorizer,
        token=way.asset,
        withdraw_delay=way.extra.withdraw_delay,
        salt=number.to_bytes(32, "big"),
    )


def same_terms(left: wire.ChannelConfig, right: wire.ChannelConfig) -> bool:
    """Whether two channels differ in nothing but their salt."""
    return left.model_copy(update={"salt": right.salt}) == right


def refused(provider: NodeOffer, code: str, reason: str) -> PaymentFailed:
    """The error of a payment that a provider does not take; `reason` is a sentence."""
    return PaymentFailed(
        f"The provider {provider.owner} refuses the payment: {reason}",
        "Choose another provider.",
        code=code,
        status=402,
    )


async def required_of(response: aiohttp.ClientResponse) -> wire.PaymentRequired:
    """The payment that a 402 answer asks for; closes the answer."""
    async with response:
        try:
            return wire.decode_required(response.headers.get(wire.PAYMENT_REQUIRED, ""))
        except ValueError as error:
            raise PaymentFailed(
                "The provider asks for a payment in a way that is not understood.",
                "Choose another provider.",
                code="payment-unknown",
            ) from error


def charged_by(response: aiohttp.ClientResponse, price: int) -> int | None:
    """Base units that an answer's receipt says were charged, never more than was agreed; None without a receipt."""
    try:
        receipt = wire.decode_response(response.headers[wire.PAYMENT_RESPONSE])
    except (KeyError, ValueError):
        return None
    charged = receipt.extra.charged_amount if receipt.extra is not None else None
    return price if charged is None else min(charged, price)

"""A provider without gas has its claims sent by a relayer, for a fee that it caps before and sees afterwards."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import aiohttp
from pydantic import ValidationError

from depin_desktop.chain import typed_data
from depin_desktop.chain.network import Network
from depin_desktop.chain.typed_data import Signer
from depin_desktop.core.errors import UserFacingError
from depin_desktop.net.offers import NodeOffer
from depin_desktop.payments import relay_wire
from depin_desktop.payments.payer import Payer
from depin_desktop.payments.store import Channel

log = logging.getLogger(__name__)

MAX_SHARE = Fraction(1, 20)
"""More than this share of what a batch brings is never paid for sending it."""


@dataclass(frozen=True)
class Relayed:
    """A batch that a relayer sent: the transaction as it says, and the fee in base units that it charged."""

    transaction: bytes
    fee: int


class Relay:
    """One relayer, as a provider uses it.

    Args:
        operator: signs the batch; it needs no gas.
        payer: pays the fee from the spending budget.
        relayer: who it is and where its fee goes.
        url: where it listens, without a slash at the end.
    """

    def __init__(
        self,
        network: Network,
        operator: Signer,
        payer: Payer,
        session: aiohttp.ClientSession,
        relayer: NodeOffer,
        url: str,
        *,
        max_share: Fraction = MAX_SHARE,
    ) -> None:
        self._network = network
        self._operator = operator
        self._payer = payer
        self._session = session
        self._relayer = relayer
        self._url = url
        self._max_share = max_share

    async def claim(self, channels: Sequence[Channel]) -> Relayed:
        """Has at most `relay_wire.MAX_CLAIMS` channels claimed and paid out.

        Raises:
            UserFacingError: the fee is above its share of the amount ("price-changed"), the budget does not suffice, or
                the relayer refuses or cannot be reached ("relay-failed").
        """
        claims = tuple(relay_wire.RelayedClaim.of(channel) for channel in channels)
        signature = typed_data.sign_claim_batch(self._operator, self._network, [claim.for_chain() for claim in claims])
        body = relay_wire.RelayRequest(claims=claims, signature=signature).model_dump_json(by_alias=True)
        most = int(sum(channel.unclaimed for channel in channels) * self._max_share)
        try:
            response = await self._payer.request(
                self._session, "POST", self._url + relay_wire.PATH, self._relayer, price=most, metered=True, data=body
            )
            async with response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _failed("it cannot be reached") from error
        fee = await self._payer.settled(response)
        if response.status != 200:
            raise _failed(text)
        try:
            answer = relay_wire.RelayAnswer.model_validate_json(text)
        except ValidationError as error:
            raise _failed("its answer cannot be read") from error
        log.info("a relayer claimed %d channels for a fee of %d base units", len(claims), fee or 0)
        return Relayed(answer.transaction, fee or 0)


def _failed(reason: str) -> UserFacingError:
    return UserFacingError(
        f"The relayer did not send the claim: {reason}.",
        "Send some of the chain's coin to the operator, or use another relayer.",
        code="relay-failed",
        status=502,
    )

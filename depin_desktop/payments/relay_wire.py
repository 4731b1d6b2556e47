"""What a provider without gas sends to a relayer: its vouchers, and its signature under the batch."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from depin_desktop.chain.bindings import settlement
from depin_desktop.payments import headers as wire
from depin_desktop.payments import vouchers
from depin_desktop.payments.store import Channel

PATH = "/relay/claims"
MAX_CLAIMS = 40


class RelayedClaim(wire.Wire):
    """One voucher and how much of it the provider takes."""

    config: wire.ChannelConfig
    max_claimable_amount: wire.Amount
    signature: wire.HexBytes
    total_claimed: wire.Amount

    @staticmethod
    def of(channel: Channel) -> RelayedClaim:
        """The claim of everything charged under the channel's newest voucher."""
        return RelayedClaim(
            config=channel.config,
            max_claimable_amount=channel.book.signed,
            signature=channel.signature,
            total_claimed=channel.book.charged,
        )

    def for_chain(self) -> settlement.VoucherClaim:
        """The claim as the contract's binding takes it."""
        return settlement.VoucherClaim(
            vouchers.chain_config(self.config), self.max_claimable_amount, self.signature, self.total_claimed
        )


class RelayRequest(wire.Wire):
    """A batch; `signature` is the receiver authoriser's under the contract's ClaimBatch."""

    claims: tuple[RelayedClaim, ...] = Field(min_length=1, max_length=MAX_CLAIMS)
    signature: wire.HexBytes

    def for_chain(self) -> Sequence[settlement.VoucherClaim]:
        """The batch as the contract's binding takes it."""
        return [claim.for_chain() for claim in self.claims]


class RelayAnswer(wire.Wire):
    """The mined transaction that claimed and paid out."""

    transaction: wire.Bytes32

"""Giving a customer the unused rest of a deposit back at once, without its gas and without the withdraw delay."""

from __future__ import annotations

from collections.abc import Callable

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.reverts import Reverted
from depin_desktop.chain.sender import Sender
from depin_desktop.core.errors import UserFacingError
from depin_desktop.payments import headers as wire
from depin_desktop.payments import vouchers
from depin_desktop.payments.claims import Claimer, voucher_claim
from depin_desktop.payments.refusals import PaymentRefused, Refusal
from depin_desktop.payments.store import Channel, ChannelStore

REFUND_GAS = 125_000  # with a claim
PURPOSE = "channel refund"


class Refunder:
    """Serves x402's cooperative refund: what was charged is claimed first, in the same transaction."""

    def __init__(
        self, chain: Chain, sender: Sender, store: ChannelStore, claimer: Claimer, clock: Callable[[], float]
    ) -> None:
        self._chain = chain
        self._sender = sender
        self._store = store
        self._claimer = claimer
        self._clock = clock
        self._open: set[bytes] = set()  # channels whose refund may still be on its way

    def is_open(self, channel: bytes) -> bool:
        """Whether a refund that nobody waits for any more, since its caller left, may still take effect."""
        if channel in self._open and not any(pending.purpose == PURPOSE for pending in self._sender.pending):
            self._open.discard(channel)
        return channel in self._open

    async def refund(self, channel: Channel, payload: wire.ChannelPayload, way: wire.Requirements) -> dict[str, str]:
        """Claims and refunds; returns the headers of the answer.

        The voucher must be the newest total charged: whoever shows it is the payer and agrees with our count.

        Raises:
            PaymentRefused: another total, nothing left, the customer has paid less than the refund's fee is worth, or
                the chain rejects it.
        """
        if payload.voucher.max_claimable_amount != channel.book.charged:
            raise PaymentRefused(Refusal.TOTAL)
        left = channel.balance - channel.book.charged
        amount = left if payload.amount is None else payload.amount
        if not 0 < amount <= left:
            raise PaymentRefused(Refusal.REFUND_NOTHING)
        if channel.book.charged < await self._claimer.worth_of_gas(REFUND_GAS):
            raise PaymentRefused(Refusal.REFUND_SMALL)
        contract, config = self._chain.settlement, vouchers.chain_config(channel.config)
        calls = [contract.refund(config, amount)]
        if channel.unclaimed:
            calls.insert(0, contract.claim([voucher_claim(channel)]))
        try:
            self._open.add(channel.id)
            receipt = await self._sender.send(
                calls[0] if len(calls) == 1 else contract.multicall(calls), purpose=PURPOSE
            )
            after = await self._claimer.refresh(channel)
            self._open.discard(channel.id)
        except Reverted as error:
            self._open.discard(channel.id)
            raise PaymentRefused(Refusal.REFUND_FAILED, str(error)) from error
        except (UserFacingError, OSError) as error:
            raise PaymentRefused(Refusal.CHAIN, str(error)) from error
        response = wire.PaymentResponse(
            success=True,
            payer=channel.config.payer,
            transaction="0x" + receipt.tx.hex(),
            network=way.network,
            amount=str(amount),
            extra=wire.ReceiptDetails(
                charged_amount=0,
                channel_state=wire.ChannelState(
                    channel_id=channel.id,
                    balance=after.balance,
                    total_claimed=after.claimed,
                    charged_cumulative_amount=after.book.charged,
                ),
            ),
        )
        return {wire.PAYMENT_RESPONSE: wire.encode(response)}

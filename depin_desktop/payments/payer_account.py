"""A customer's account with one provider: the channel leased for it, the total signed so far, and its deposits."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass, replace

from depin_desktop.chain import typed_data
from depin_desktop.net.offers import NodeOffer
from depin_desktop.payments import headers as wire
from depin_desktop.payments import vouchers
from depin_desktop.payments.payer_deposits import Deposits, Wallet
from depin_desktop.payments.payer_store import DepositIntent, LeaseLost, PayerChannel
from depin_desktop.payments.payer_terms import (
    agree,
    config_of,
    same_terms,
    terms_of,
)


@dataclass(frozen=True)
class Signed:
    """One payment on its way; `intent` is the deposit that travels with it."""

    channel: bytes
    total: int
    price: int
    header: str
    resyncs: int
    intent: DepositIntent | None = None


class Account:
    """The state of paying one provider. `sign` is called under `lock`.

    Args:
        exclusive: one request at a time uses it, so that both sides continue from what was charged.
    """

    def __init__(self, wallet: Wallet, provider: NodeOffer, *, exclusive: bool = False) -> None:
        self.exclusive = exclusive
        self._wallet = wallet
        self._network = wallet.chain.network
        self._deposits = Deposits(wallet)
        self.provider = provider
        self.way: wire.Requirements | None = None
        self.channel: PayerChannel | None = None
        self.lock = asyncio.Lock()
        self._resyncs = 0

    # --- terms ----------------------------------------------------------------------------------------------------

    async def knows_terms(self, price: int) -> bool:
        """Whether a payment can be signed without asking first: this process or an earlier one has paid before."""
        offer = self.provider
        if self.way is not None:
            return True
        for channel in await self._wallet.store.channels():
            config = channel.config
            if (
                channel.usable
                and channel.provider == offer.owner
                and (config.receiver, config.receiver_authorizer) == (offer.payout, offer.operator)
                and config.token == self._network.addresses.token
            ):
                self.way = terms_of(self._network.chain_id, config, price)
                return True
        return False

    def agree(self, required: wire.PaymentRequired, price: int | None) -> int:
        """Takes the provider's terms if they are what it offered; returns the amount it asks. Raises PaymentFailed."""
        self.way = agree(self._network, self.provider, required, price)
        if self.channel is not None and not same_terms(self.channel.config, self._config(self.way)):
            self.drop()
        return self.way.amount

    def _config(self, way: wire.Requirements, number: int = 0) -> wire.ChannelConfig:
        return config_of(self._wallet.signer.address, way, number)

    # --- the channel ----------------------------------------------------------------------------------------------

    async def _lease(self) -> PayerChannel:
        """A channel for this process alone, as the chain sees it now."""
        assert self.way is not None
        way, owner = self.way, self.provider.owner

        def fits(known: wire.ChannelConfig) -> bool:
            return same_terms(known, self._config(way))

        def create(number: int) -> PayerChannel:
            config = self._config(way, number)
            return PayerChannel(vouchers.channel_id(self._network, config), owner, config, number)

        while True:
            self.channel = await self._wallet.store.lease(owner, fits, create)
            withdrawal = await self._wallet.chain.settlement.pending_withdrawals(self.channel.id)
            self.channel = replace(self.channel, usable=withdrawal.initiated_at == 0)
            channel = await self.refresh()
            if channel.usable:
                return channel

    def adopt(self, channel: PayerChannel) -> None:
        """Uses this channel, which is leased to this process, under the terms that it was opened for."""
        self.channel, self.way = channel, terms_of(self._network.chain_id, channel.config, 0)

    async def refresh(self) -> PayerChannel:
        """The channel with the chain's balance, counting at least what the chain says was claimed.

        Raises:
            LeaseLost: it belongs to another process now.
        """
        assert self.channel is not None
        state = await self._wallet.chain.settlement.channels(self.channel.id)
        signed = max(self.channel.signed, state.total_claimed)
        self.channel = replace(self.channel, balance=state.balance, signed=signed)
        return await self._wallet.store.save(self.channel)

    def drop(self) -> None:
        """Lets go of the channel: another account, or another process, may have it."""
        if self.channel is not None:
            self._wallet.store.let_go(self.channel.id)
            self.channel = None

    async def abandon(self, signed: Signed) -> None:
        """Uses the payment's channel no more."""
        if self.channel is not None and self.channel.id == signed.channel:
            await self._wallet.store.save(replace(self.channel, usable=False))
            self.drop()

    async def keep(self) -> None:
        """Writes what receipts said since the last signature, for the next process."""
        if self.channel is not None:
            with contextlib.suppress(LeaseLost):
                await self._wallet.store.save(self.channel)

    def give_back(self, signed: Signed, charged: int = 0) -> None:
        """Counts what the provider says it did not charge as free again, where nothing was signed on top of it."""
        self.book(signed.channel, signed.total - signed.price, signed.total, charged)

    def book(self, channel_id: bytes, start: int, total: int, charged: int) -> None:
        """Counts `charged` of the signed span from `start` to `total` as paid, and the rest as in `give_back`."""
        channel = self.channel
        if channel is None or channel.id != channel_id:
            return
        signed = start + charged if channel.signed == total else channel.signed
        self.channel = replace(channel, signed=signed, paid=channel.paid + charged)

    async def resync(self, signed: Signed, required: wire.PaymentRequired) -> bool:
        """Continues from a voucher that the provider holds and this side forgot, if it bears the customer's signature.

        False when this side has forgotten nothing: then the voucher was charged before, and its answer was lost.
        """
        channel = self.channel
        if channel is None or channel.id != signed.channel or self._resyncs != signed.resyncs:
            return True  # others have caught up since this was signed
        if self.exclusive:
            return await self._continue_from_count(channel, signed, required)
        proven = max((self._proven(channel, way.extra.voucher_state) for way in required.accepts), default=0)
        self.channel = replace(channel, signed=max(channel.signed, proven))
        refreshed = await self.refresh()
        self._resyncs += 1
        return refreshed.signed > channel.signed

    async def _continue_from_count(self, channel: PayerChannel, signed: Signed, required: wire.PaymentRequired) -> bool:
        """Goes on from what the provider says it has charged, as far as this customer has signed for that much.

        Where that was the count already, from the end of all that was signed: some of it may have been charged out of
        order, by an earlier process of this customer. What lies unused in between comes back with the deposit's rest.
        """
        proven = max((self._proven(channel, way.extra.voucher_state) for way in required.accepts), default=0)
        states = (way.extra.channel_state for way in required.accepts)
        counted = max((s.charged_cumulative_amount or 0 for s in states if s is not None), default=0)
        start, signed_once = signed.total - signed.price, max(signed.total, proven)
        total = counted if start < counted <= signed_once else proven
        self.channel = replace(channel, signed=total, paid=max(channel.paid, min(counted, signed_once)))
        self._resyncs += 1
        await self.refresh()
        return total != start

    def _proven(self, channel: PayerChannel, state: wire.VoucherState | None) -> int:
        if state is None or state.signature is None or state.signed_max_claimable is None:
            return 0
        voucher = wire.Voucher(
            channel_id=channel.id, max_claimable_amount=state.signed_max_claimable, signature=state.signature
        )
        return state.signed_max_claimable if vouchers.is_signed(self._network, channel.config, voucher) else 0

    # --- signing --------------------------------------------------------------------------------------------------

    async def sign(self, price: int, expect: int = 0) -> Signed:
        """The next payment of this channel, on disk before it is returned.

        Raises:
            PaymentFailed: a deposit is needed and the budget or the funds do not suffice.
        """
        while True:
            try:
                channel = self.channel or await self._lease()
                total, intent = channel.signed + price, None
                if total > channel.balance and (intent := await self._intent(channel, total, price, expect)) is None:
                    continue  # the chain knew of a deposit that we had lost sight of
                assert self.channel is not None
                self.channel = replace(self.channel, signed=total)
                return self._signed(await self._wallet.store.save(self.channel), total, price, intent)
            except LeaseLost:
                self.drop()

    def _signed(self, channel: PayerChannel, total: int, price: int, intent: DepositIntent | None) -> Signed:
        assert self.way is not None
        signature = typed_data.sign_voucher(self._wallet.signer, self._network, channel.id, total)
        payment = wire.PaymentPayload(
            payload=wire.ChannelPayload(
                type="voucher" if intent is None else "deposit",
                channel_config=channel.config,
                voucher=wire.Voucher(channel_id=channel.id, max_claimable_amount=total, signature=signature),
                deposit=None if intent is None else self._deposits.authorised(intent),
            ),
            accepted=self.way.model_copy(update={"amount": price}),
            extensions={wire.PAYMENT_IDENTIFIER: {"info": {"required": False, "id": secrets.token_hex(16)}}},
        )
        return Signed(channel.id, total, price, wire.encode(payment), self._resyncs, intent)

    async def refund_request(self) -> tuple[int, str]:
        """A request to give the channel's rest back, under the total that receipts say was charged; and that total."""
        channel = self.channel or await self._lease()
        assert self.way is not None
        signature = typed_data.sign_voucher(self._wallet.signer, self._network, channel.id, channel.paid)
        payment = wire.PaymentPayload(
            payload=wire.ChannelPayload(
                type="refund",
                channel_config=channel.config,
                voucher=wire.Voucher(channel_id=channel.id, max_claimable_amount=channel.paid, signature=signature),
            ),
            accepted=self.way.model_copy(update={"amount": 0}),
        )
        return channel.paid, wire.encode(payment)

    async def accept_count(self, required: wire.PaymentRequired, total: int) -> bool:
        """Takes the provider's count of what was charged, if it is within what was signed and new."""
        states = (way.extra.channel_state for way in required.accepts)
        counted = next((s.charged_cumulative_amount for s in states if s is not None), None)
        if self.channel is None or counted is None or counted == total or counted > self.channel.signed:
            return False
        self.channel = await self._wallet.store.save(replace(self.channel, paid=counted))
        return True

    # --- deposits -------------------------------------------------------------------------------------------------

    async def _intent(self, channel: PayerChannel, total: int, price: int, expect: int) -> DepositIntent | None:
        """The deposit to send along; None when one turns out to be made, and the channel is up to date then."""
        assert self.way is not None
        intent = await self._deposits.intent_for(self.provider, self.way, channel, total, price, expect)
        if intent is None:
            await self.refresh()
        return intent

    async def settle_intent(self, intent: DepositIntent) -> bool:
        """Learns what became of an authorisation; True when the chain has used it."""
        used = await self._deposits.conclude(intent)
        if used and self.channel is not None and self.channel.id == intent.channel:
            await self.refresh()
        return used

"""Turning vouchers into money: bounded batches, halved when one fails, then one payout.

The contract books cumulative totals, so claiming the same voucher twice moves nothing: after a crash between a claim
and its row, the next claim repeats it at the price of gas and nobody is paid twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from depin_desktop.chain.bindings import settlement
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.reverts import Reverted
from depin_desktop.chain.sender import Sender
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_tokens
from depin_desktop.payments import policy, vouchers
from depin_desktop.payments.deposits import read_channel
from depin_desktop.payments.store import Channel, ChannelStore

log = logging.getLogger(__name__)

CLAIMS_PER_BATCH = 40  # about 26 500 gas each: near 1.1 million, far below any chain's block
CLAIM_GAS = 30_000  # of one more channel in a batch
ROUND_GAS = 90_000  # of the transaction itself, its first channel's cold slots and the payout
CLAIM, CLAIM_WITH_PAYOUT = PURPOSES = ("voucher claim", "voucher claim and payout")
RETRY_FAILED_S = 3600.0
RETRY_RELAY_S = 6 * 3600.0


class RelayedClaims(Protocol):
    """What a relayer did: the transaction as it says, and the fee in base units that it was paid."""

    @property
    def transaction(self) -> bytes: ...
    @property
    def fee(self) -> int: ...


class ClaimRelay(Protocol):
    """Sends claims for whoever has no gas (`payments.relay.Relay`)."""

    async def claim(self, channels: Sequence[Channel]) -> RelayedClaims:
        """Has these channels claimed and paid out; raises UserFacingError."""


class Claimer:
    """Claims and settles what the store holds; one round at a time.

    Args:
        fee_in_token: base units of the token that a fee of so many wei is worth; gas has no price when absent.
        relay: claims in our place while our account cannot pay for gas.
    """

    def __init__(
        self,
        chain: Chain,
        sender: Sender,
        store: ChannelStore,
        claim_policy: policy.ClaimPolicy,
        clock: Callable[[], float] = time.time,
        fee_in_token: Callable[[int], int] | None = None,
        relay: ClaimRelay | None = None,
    ) -> None:
        self.relay = relay
        self._chain = chain
        self._sender = sender
        self._store = store
        self._policy = claim_policy
        self._clock = clock
        self._fee_in_token = fee_in_token
        self._round = asyncio.Lock()
        self._failed: dict[bytes, float] = {}
        self._no_relay_before = 0.0

    def pending(self) -> int:
        """Base units charged and not yet claimed."""
        return sum(channel.unclaimed for channel in self._store.channels.values())

    def owed_by(self, payer: str) -> int:
        """Base units that one customer's vouchers hold and the chain does not know of yet."""
        return sum(channel.unclaimed for channel in self._store.channels.values() if channel.config.payer == payer)

    async def maintain(self, *, draining: bool = False) -> policy.ClaimReason | None:
        """Claims and settles when the policy says so; returns its reason."""
        due = [
            policy.Unclaimed(
                payer=channel.config.payer,
                amount=channel.unclaimed,
                since=channel.unclaimed_since,
                withdraw_delay_s=channel.config.withdraw_delay,
                withdrawing=channel.withdraw_at > 0,
            )
            for channel in self._claimable()
        ]
        fees = await self.fees() if due else policy.ClaimFees()
        reason = policy.claim_reason(due, self._policy, fees, now=self._clock(), draining=draining)
        if reason is not None:
            log.info("claiming: %s", reason.value)
            await self._collect(fees)
        return reason

    async def collect(self) -> None:
        """Claims and pays out all that is worth its fee.

        Raises:
            UserFacingError: as `Sender.send`; nothing is lost by it.
        """
        await self._collect(await self.fees())

    async def _collect(self, fees: policy.ClaimFees) -> None:
        if any(pending.purpose in PURPOSES for pending in self._sender.pending):
            log.info("an earlier claim is still on its way")  # another would cost gas and bring nothing
            return
        try:
            await self._claim_with_payout(fees)
            await self._claim(fees)
            await self.settle()
        except UserFacingError as error:
            if error.code != "no-gas" or self.relay is None or self._clock() < self._no_relay_before:
                raise
            await self._claim_by_relay(self.relay, fees)

    async def _claim_by_relay(self, relay: ClaimRelay, fees: policy.ClaimFees) -> None:
        """What was claimed is read from the chain: a relayer's word moves no figure of ours."""
        async with self._round:
            channels = sorted(self._claimable(fees), key=lambda channel: channel.unclaimed, reverse=True)
            channels = await self._sound(channels[:CLAIMS_PER_BATCH])
            if not channels:
                return
            relayed = await relay.claim(channels)
            await self._store.note_relay(relayed.transaction, relayed.fee)
            after = [await self.refresh(self._store.channels[channel.id]) for channel in channels]
            if all(new.claimed <= old.claimed for old, new in zip(channels, after, strict=True)):
                self._no_relay_before = self._clock() + RETRY_RELAY_S  # it is not paid twice for nothing
                raise UserFacingError(
                    f"The relayer took {format_tokens(relayed.fee)} tokens, and the chain knows of no claim.",
                    "Send some of the chain's coin to the operator, or use another relayer.",
                    code="relay-failed",
                    status=502,
                )

    async def _sound(self, channels: Sequence[Channel]) -> list[Channel]:
        """Those of the channels that the chain would book; the others are set aside."""
        if not channels:
            return []
        try:
            await self._sender.simulate(self._chain.settlement.claim([voucher_claim(one) for one in channels]))
        except Reverted as error:
            if len(channels) == 1:
                self._set_aside(channels[0], error)
                return []
            half = len(channels) // 2
            return await self._sound(channels[:half]) + await self._sound(channels[half:])
        return list(channels)

    async def _claim_with_payout(self, fees: policy.ClaimFees) -> None:
        """Claims and pays out in one transaction where one batch holds everything: its fee is the payout's whole fee.

        Where the chain refuses it, nothing has happened; claiming in halves finds out why.
        """
        async with self._round:
            channels = sorted(self._claimable(fees), key=lambda channel: channel.id)
            targets = {(channel.config.receiver, channel.config.token) for channel in channels}
            if not channels or len(channels) > CLAIMS_PER_BATCH or len(targets) != 1:
                return
            claims = [voucher_claim(channel) for channel in channels]
            contract = self._chain.settlement
            call = contract.multicall([contract.claim(claims), contract.settle(*targets.pop())])
            try:
                await self._sender.send(call, purpose=CLAIM_WITH_PAYOUT)
            except Reverted:
                return
            await self._claimed(channels, claims)

    async def fees(self) -> policy.ClaimFees:
        """What claiming costs now, in base units of the token."""
        fixed, each = await asyncio.gather(self.worth_of_gas(ROUND_GAS), self.worth_of_gas(CLAIM_GAS))
        network = self._chain.network
        return policy.ClaimFees(fixed, each, unknown=not (network.private or network.tokens_per_coin))

    async def worth_of_gas(self, gas: int) -> int:
        """Base units of the token that so much gas is worth now; 0 where it has no price."""
        if self._fee_in_token is None or not self._fee_in_token(10**18):
            return 0
        return self._fee_in_token(gas * int(await self._chain.rpc.request("eth_gasPrice"), 16))

    def _claimable(self, fees: policy.ClaimFees | None = None) -> list[Channel]:
        now, fees = self._clock(), fees or policy.ClaimFees()
        return [
            channel
            for channel in self._store.channels.values()
            if fees.is_worth(channel.unclaimed) and now - self._failed.get(channel.id, float("-inf")) >= RETRY_FAILED_S
        ]

    async def claim(self) -> int:
        """Claims everything, whatever it costs; returns the base units claimed. A bad voucher is set aside."""
        return await self._claim(policy.ClaimFees())

    async def _claim(self, fees: policy.ClaimFees) -> int:
        async with self._round:
            claimed = 0
            channels = sorted(self._claimable(fees), key=lambda channel: channel.id)
            if sum(channel.unclaimed for channel in channels) <= fees.of(len(channels)):
                return 0
            for start in range(0, len(channels), CLAIMS_PER_BATCH):
                claimed += await self._claim_batch(channels[start : start + CLAIMS_PER_BATCH])
            return claimed

    def _set_aside(self, channel: Channel, error: Reverted) -> None:
        log.warning("voucher of channel %s cannot be claimed: %s", channel.id.hex(), error)
        self._failed[channel.id] = self._clock()

    async def _claim_batch(self, channels: Sequence[Channel]) -> int:
        claims = [voucher_claim(channel) for channel in channels]
        try:
            await self._sender.send(self._chain.settlement.claim(claims), purpose=CLAIM)
        except Reverted as error:
            if len(channels) == 1:
                self._set_aside(channels[0], error)
                return 0
            half = len(channels) // 2
            return await self._claim_batch(channels[:half]) + await self._claim_batch(channels[half:])
        return await self._claimed(channels, claims)

    async def _claimed(self, channels: Sequence[Channel], claims: Sequence[settlement.VoucherClaim]) -> int:
        """Writes down what the chain has booked; returns by how much that is more."""
        gained = 0
        for channel, claim in zip(channels, claims, strict=True):
            newest = self._store.channels[channel.id]
            gained += max(0, claim.total_claimed - newest.claimed)
            await self._store.remember(replace(newest, claimed=max(newest.claimed, claim.total_claimed)))
        return gained

    async def settle(self) -> int:
        """Pays out what was claimed, per receiver and token of our channels; returns the base units moved."""
        async with self._round:
            paid = 0
            targets = {(c.config.receiver, c.config.token) for c in self._store.channels.values() if c.claimed}
            for receiver, token in sorted(targets):
                state = await self._chain.settlement.receivers(receiver, token)
                if state.total_claimed > state.total_settled:
                    receipt = await self._sender.send(self._chain.settlement.settle(receiver, token), purpose="settle")
                    # Anyone may settle: whoever came first left nothing to do, and the contract did nothing.
                    paid += sum(int(event.args["amount"]) for event in receipt.events if event.name == "Settled")
            return paid

    async def refresh(self, channel: Channel) -> Channel:
        """The channel with the chain's side of it read again."""
        return await self._store.remember(await read_channel(self._chain, channel, self._clock()))


def voucher_claim(channel: Channel) -> settlement.VoucherClaim:
    """The claim of everything charged under the channel's newest voucher."""
    return settlement.VoucherClaim(
        config=vouchers.chain_config(channel.config),
        max_claimable_amount=channel.book.signed,
        signature=channel.signature,
        total_claimed=channel.book.charged,
    )

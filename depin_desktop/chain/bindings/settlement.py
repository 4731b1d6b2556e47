"""BatchSettlement: x402's payment channels. Amounts in base units of the channel's token, totals only ever grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from eth_abi.abi import encode

from depin_desktop.chain.bindings.contract import Contract
from depin_desktop.chain.calls import Call


@dataclass(frozen=True)
class ChannelConfig:
    """The immutable terms of a channel; their digest is its id (`typed_data.channel_id`).

    Attributes:
        payer_authorizer: the hot key whose signature vouchers carry.
        receiver_authorizer: the key that may claim and refund by signature.
        withdraw_delay: seconds between the payer's wish to withdraw and the withdrawal, 900 to 2 592 000.
        salt: 32 bytes; another salt is another channel.
    """

    payer: str
    payer_authorizer: str
    receiver: str
    receiver_authorizer: str
    token: str
    withdraw_delay: int
    salt: bytes

    def abi(self) -> tuple[Any, ...]:
        """The tuple that the contract takes."""
        return (
            self.payer,
            self.payer_authorizer,
            self.receiver,
            self.receiver_authorizer,
            self.token,
            self.withdraw_delay,
            self.salt,
        )


@dataclass(frozen=True)
class VoucherClaim:
    """A payer's voucher and how much of it the receiver takes: `total_claimed` <= `max_claimable_amount`."""

    config: ChannelConfig
    max_claimable_amount: int
    signature: bytes
    total_claimed: int

    def abi(self) -> tuple[Any, ...]:
        """The tuple that the contract takes."""
        return ((self.config.abi(), self.max_claimable_amount), self.signature, self.total_claimed)


@dataclass(frozen=True)
class ChannelState:
    """What a channel holds and how much of it was ever claimed."""

    balance: int
    total_claimed: int


@dataclass(frozen=True)
class PendingWithdrawal:
    """A withdrawal that the payer has announced; `initiated_at` is 0 when there is none."""

    amount: int
    initiated_at: int


@dataclass(frozen=True)
class ReceiverState:
    """What a receiver has claimed and was paid in one token; the difference waits for `settle`."""

    total_claimed: int
    total_settled: int


class BatchSettlement(Contract):
    """x402's channel contract at its canonical address."""

    async def channels(self, channel_id: bytes) -> ChannelState:
        return ChannelState(*await self._view("channels", channel_id))

    async def pending_withdrawals(self, channel_id: bytes) -> PendingWithdrawal:
        return PendingWithdrawal(*await self._view("pendingWithdrawals", channel_id))

    async def receivers(self, receiver: str, token: str) -> ReceiverState:
        return ReceiverState(*await self._view("receivers", receiver, token))

    async def refund_nonce(self, channel_id: bytes) -> int:
        return cast(int, await self._value("refundNonce", channel_id))

    async def get_channel_id(self, config: ChannelConfig) -> bytes:
        return cast(bytes, await self._value("getChannelId", config.abi()))

    async def get_voucher_digest(self, channel_id: bytes, max_claimable_amount: int) -> bytes:
        return cast(bytes, await self._value("getVoucherDigest", channel_id, max_claimable_amount))

    async def get_refund_digest(self, channel_id: bytes, nonce: int, amount: int) -> bytes:
        return cast(bytes, await self._value("getRefundDigest", channel_id, nonce, amount))

    async def get_claim_batch_digest(self, claims: Sequence[VoucherClaim]) -> bytes:
        return cast(bytes, await self._value("getClaimBatchDigest", [claim.abi() for claim in claims]))

    def deposit(self, config: ChannelConfig, amount: int, collector: str, collector_data: bytes) -> Call:
        return self._call("deposit", config.abi(), amount, collector, collector_data)

    def claim(self, claims: Sequence[VoucherClaim]) -> Call:
        """Books vouchers; sent by their receiver authoriser. An unchanged total is a no-op."""
        return self._call("claim", [claim.abi() for claim in claims])

    def claim_with_signature(self, claims: Sequence[VoucherClaim], authorizer_signature: bytes) -> Call:
        """The same, sent by anybody with the authoriser's signature over the batch."""
        return self._call("claimWithSignature", [claim.abi() for claim in claims], authorizer_signature)

    def settle(self, receiver: str, token: str) -> Call:
        """Pays out what was claimed, in one transfer."""
        return self._call("settle", receiver, token)

    def refund(self, config: ChannelConfig, amount: int) -> Call:
        return self._call("refund", config.abi(), amount)

    def refund_with_signature(self, config: ChannelConfig, amount: int, nonce: int, signature: bytes) -> Call:
        return self._call("refundWithSignature", config.abi(), amount, nonce, signature)

    def initiate_withdraw(self, config: ChannelConfig, amount: int) -> Call:
        return self._call("initiateWithdraw", config.abi(), amount)

    def finalize_withdraw(self, config: ChannelConfig) -> Call:
        return self._call("finalizeWithdraw", config.abi())

    def multicall(self, calls: Sequence[Call]) -> Call:
        """Several of this contract's calls in one transaction, all or nothing."""
        return self._call("multicall", [call.data for call in calls])


def erc3009_collector_data(valid_after: int, valid_before: int, salt: bytes, signature: bytes) -> bytes:
    """What the ERC-3009 collector wants with a deposit; `salt` is the one in `typed_data.deposit_nonce`."""
    return encode(
        ["uint256", "uint256", "uint256", "bytes"],
        [valid_after, valid_before, int.from_bytes(salt, "big"), signature],
    )

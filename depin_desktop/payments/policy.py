"""Decisions about money, pure: when to claim, how large a deposit to ask for, how large a deposit to make."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction


class ClaimReason(StrEnum):
    """Why a claim is due, most pressing first."""

    WITHDRAWAL = "withdrawal"  # the payer has begun to withdraw: claim before the delay ends
    DRAIN = "drain"  # this node is stopping
    EXPOSURE = "exposure"  # a customer owes more than the cap
    AGE = "age"  # a withdrawal begun now, unseen by us, could be over before we claim
    CHEAP = "cheap"  # the fee is a small enough share


@dataclass(frozen=True)
class ClaimPolicy:
    """When vouchers are worth a transaction.

    Attributes:
        max_fee_share: a claim is cheap when its fee is at most this share of what it brings.
        exposure_cap: unclaimed base units of one customer from which a claim is due whatever it costs.
        delay_share: vouchers older than this share of their channel's withdraw delay are claimed.
    """

    max_fee_share: Fraction = Fraction(1, 50)
    exposure_cap: int = 0
    delay_share: Fraction = Fraction(1, 3)


@dataclass(frozen=True)
class Unclaimed:
    """One channel's unclaimed money, as the decision needs it; `since` is when the oldest unclaimed voucher came."""

    payer: str
    amount: int
    since: float
    withdraw_delay_s: int
    withdrawing: bool


@dataclass(frozen=True)
class ClaimFees:
    """What a round of claims costs, in base units of the token: `fixed` and for `each` channel; 0 where gas is free."""

    fixed: int = 0
    each: int = 0
    unknown: bool = False  # gas costs something, and nobody has said what that is worth in tokens

    def of(self, channels: int) -> int:
        """The fee of one round with so many channels."""
        return self.fixed + self.each * channels

    def is_worth(self, amount: int) -> bool:
        """Whether a channel's unclaimed money belongs into a round: claiming less would cost more than it brings."""
        return amount > self.each


def claim_reason(
    channels: Iterable[Unclaimed], policy: ClaimPolicy, fees: ClaimFees, *, now: float, draining: bool
) -> ClaimReason | None:
    """Why what is worth its fee should be claimed now, or None.

    Nothing makes a round due that costs more than it brings: else a customer who buys for a base unit and withdraws
    would make the provider burn gas.

    Args:
        now: Unix seconds.
        draining: the node is about to stop.
    """
    worth = [channel for channel in channels if fees.is_worth(channel.amount)]
    total, fee = sum(channel.amount for channel in worth), fees.of(len(worth))
    if total <= fee:
        return None
    if any(channel.withdrawing for channel in worth):
        return ClaimReason.WITHDRAWAL
    if draining:
        return ClaimReason.DRAIN
    if policy.exposure_cap and exposure_of(worth) >= policy.exposure_cap:
        return ClaimReason.EXPOSURE
    if any(now - channel.since >= channel.withdraw_delay_s * policy.delay_share for channel in worth):
        return ClaimReason.AGE
    if fee <= total * policy.max_fee_share and not fees.unknown:
        return ClaimReason.CHEAP
    return None


def exposure_of(channels: Iterable[Unclaimed]) -> int:
    """The largest sum that any one payer owes over all its channels."""
    owed: dict[str, int] = {}
    for channel in channels:
        owed[channel.payer] = owed.get(channel.payer, 0) + channel.amount
    return max(owed.values(), default=0)


MIN_DEPOSIT_REQUESTS = 10
"""A provider asks for a deposit worth at least this many of the request at hand (x402's default)."""


DEPOSIT_FEE_SHARE = Fraction(1, 20)
"""A deposit whose fee, which the provider pays, is a larger share of it is not made."""


def deposit_floor(fee: int) -> int:
    """The smallest deposit that is worth its fee, in base units."""
    return math.ceil(fee / DEPOSIT_FEE_SHARE)


def announced_deposit(price: int, floor: int) -> int:
    """The smallest deposit that a provider accepts for a request of `price`."""
    return max(price * MIN_DEPOSIT_REQUESTS, floor)


@dataclass(frozen=True)
class DepositPolicy:
    """How a customer sizes deposits: few transactions, without much money lying in one provider's channel.

    Attributes:
        requests: a first deposit pays for this many requests like the one at hand.
        growth: a deposit brings at least this share of what the channel has paid, or is expected to pay soon.
    """

    requests: int = 16
    growth: Fraction = Fraction(1)


def deposit_amount(
    price: int, *, missing: int, minimum: int, wished: int, allowed: int, policy: DepositPolicy
) -> int | None:
    """Base units to deposit so that a request of `price` can be paid; None when the budget does not allow it.

    Args:
        missing: what the channel lacks for this request.
        minimum: the provider's smallest deposit.
        wished: what this channel has paid so far, or what will soon be asked of it if that is more.
        allowed: what the budget and the wallet still hold.
    """
    needed = max(missing, minimum)
    if needed > allowed:
        return None
    target = max(needed, price * policy.requests, int(wished * policy.growth))
    return min(target, allowed)

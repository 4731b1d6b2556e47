"""The owner's money: what there is, how it came, and what a step with it would do and cost."""

from __future__ import annotations

from enum import StrEnum

from depin_desktop.api.models import Money, Snapshot


class HistoryEntry(Snapshot):
    """One line of the wallet's history, from the chain's log or a persisted voucher."""

    at: float
    kind: str  # storage | reads | deposit | transfer-in | transfer-out | stake | unstake | slash | faucet
    amount: Money  # signed: what this added to, or took from, the owner
    fee: Money = 0  # in the chain's own coin (wei), where this node paid it
    fee_worth: Money = 0  # that in base units of the token (0 where gas has no price), and what a relayer took
    counterparty: str = ""
    transaction: str = ""
    block: int | None = None
    detail: str = ""
    status: str = "confirmed"  # pending | confirmed

    @property
    def net(self) -> int:
        """What is left of the gross amount after the fee."""
        return self.amount - self.fee_worth


class Thaw(Snapshot):
    """Stake that was asked back; it can be taken out from `ends` on, by the chain's clock."""

    amount: Money
    ends: float


class WalletStatus(Snapshot):
    """The owner's money. `pending` is earned but not yet paid out; `claimed` has reached the payout address.

    Attributes:
        stake: what may be slashed, the thawing part included.
        thawing: stake that was asked back and not taken out yet, the first to end first.
        thaw_s: how long stake thaws.
        chain_at: the chain's clock at `as_of`; an embedded chain's may be ahead of this machine's.
    """

    owner: str
    payout: str
    operator: str
    spender: str
    backed_up: bool
    registered: bool
    balance: Money
    spending_balance: Money
    pending: Money
    claimed: Money
    stake: Money
    thawing: tuple[Thaw, ...] = ()
    least_stake: Money
    thaw_s: float
    earned_today: Money
    earned_total: Money
    operator_gas: Money
    owner_gas: Money
    as_of_block: int
    as_of: float
    chain_at: float

    @property
    def free_stake(self) -> int:
        """What may still be asked back."""
        return self.stake - sum(thaw.amount for thaw in self.thawing)


class StepKind(StrEnum):
    """What only the owner can do; each is a command of `depin wallet`."""

    SEND = "send"
    SEND_COIN = "send-coin"  # the chain's own coin, which pays for gas
    BUDGET = "budget"
    STAKE = "stake"
    UNSTAKE = "unstake"  # asks for stake back
    WITHDRAW = "withdraw"  # takes out what has thawed
    PAYOUT = "payout"


class LookAt(Snapshot):
    """A step to be looked at: simulated and priced, with nothing signed or sent.

    Attributes:
        to: of what has a receiver, its address in EIP-55.
        amount: base units, or wei of the coin; None for all that there is.
    """

    kind: StepKind
    to: str = ""
    amount: Money | None = None


class Look(Snapshot):
    """What a step would do and cost.

    Attributes:
        amount: what it moves, 0 where it moves nothing.
        highest_fee: wei; `fee_worth` in base units of the token, 0 where gas has no price.
        coin_left: wei that the owner has for gas afterwards, at least.
        notes: sentences that the owner should read before saying yes.
        ends: from when on stake that is asked back can be taken out, by the chain's clock.
    """

    kind: StepKind
    to: str
    amount: Money
    highest_fee: Money
    fee_worth: Money
    coin_left: Money
    notes: tuple[str, ...] = ()
    ends: float | None = None

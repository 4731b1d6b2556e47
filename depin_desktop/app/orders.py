"""What the owner says yes to, how far it is, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from depin_desktop.api.models import Money, Snapshot
from depin_desktop.api.wallet import StepKind
from depin_desktop.app.words import exact_amount


@dataclass(frozen=True)
class Order:
    """What the owner said yes to.

    Attributes:
        amount: base units, or wei of the coin; None for all.
        fee_limit: wei; nothing is sent where the fee might be higher by then.
    """

    kind: StepKind
    to: str = ""
    amount: int | None = None
    fee_limit: int = 0

    def command(self) -> tuple[str, ...]:
        """The arguments of `depin`; there is nothing secret in them."""
        amount = "all" if self.amount is None else exact_amount(self.amount, "")
        step = {
            StepKind.SEND: ("send", self.to, amount),
            StepKind.SEND_COIN: ("send", self.to, amount, "--coin"),
            StepKind.BUDGET: ("budget", amount),
            StepKind.STAKE: ("stake", amount),
            StepKind.UNSTAKE: ("unstake", amount),
            StepKind.WITHDRAW: ("unstake",),
            StepKind.PAYOUT: ("payout", self.to),
        }[self.kind]
        return ("wallet", *step, "--yes", "--password-stdin", "--fee-limit", exact_amount(self.fee_limit, ""))


class Done(Snapshot):
    """The command's answer: the transaction that did it, and the fee in wei and, where gas has a price, in tokens."""

    transaction: str
    block: int
    amount: Money
    fee: Money
    fee_worth: Money


class Stage(IntEnum):
    """How far an errand is."""

    UNLOCKING = 0
    SIGNING = 1
    SENT = 2
    DONE = 3
    REFUSED = 4

"""What was earned and what moved, as pure functions of the chain's log and of the takings from vouchers.

Storage is earned when a proof is paid on chain (`Proven`), reads and work when their voucher is on disk. All are money
that still lies in a contract; a line "payout" tells when it reached the payout address. So earnings are the sum of
"storage", "reads" and "compute", and every other line is a change of what is in hand. Nothing here is a counter: the
same events always give the same figures.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from depin_desktop.api.models import EarningsPoint
from depin_desktop.api.wallet import HistoryEntry
from depin_desktop.chain.calls import LogEvent
from depin_desktop.chain.network import Addresses

QUARTER_S = 900  # the finest bucket: every time zone's midnight falls on one
HOUR_S = 3600
STORAGE, READS, COMPUTE, PAYOUT = "storage", "reads", "compute", "payout"
EARNED_KINDS = frozenset({STORAGE, READS, COMPUTE})
EVENTS = ("Proven", "Settled", "Staked", "Unstaked", "Slashed", "Transfer")
_ZERO = "0x" + "0" * 40


class Taking(Protocol):
    """What one customer paid by vouchers for one kind of thing in the hour that begins at `at`."""

    @property
    def at(self) -> float: ...
    @property
    def payer(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def amount(self) -> int: ...
    @property
    def requests(self) -> int: ...


@dataclass(frozen=True)
class Parties:
    """Whose ledger this is, and who is known; addresses in EIP-55.

    Attributes:
        payout: where earnings go now; `former` are the addresses where they went before.
    """

    owner: str
    payout: str
    operator: str
    spender: str
    contracts: Addresses
    faucet: str = ""
    former: frozenset[str] = frozenset()

    @property
    def in_hand(self) -> frozenset[str]:
        """Addresses whose balance is the owner's own."""
        return frozenset({self.owner, self.spender})

    @property
    def payouts(self) -> frozenset[str]:
        """Every address that earnings go to or went to."""
        return frozenset({self.payout}) | self.former


class Entry(NamedTuple):
    """One line from the chain's log; `amount` is signed base units."""

    kind: str
    amount: int
    counterparty: str = ""
    detail: str = ""


class Source(NamedTuple):
    """Where lines come from: an event of a contract, with values of its indexed arguments."""

    contract: str
    name: str
    indexed: dict[str, Any]


def sources(parties: Parties) -> tuple[Source, ...]:
    """All events that `entry_of` could have something to say about; a log may be in more than one."""
    owner = parties.owner
    receivers = sorted({owner} | parties.payouts)
    return (
        Source("deals", "Proven", {"provider": owner}),
        Source("deals", "Settled", {"provider": owner}),
        *(Source("settlement", "Settled", {"receiver": receiver}) for receiver in receivers),
        *(Source("registry", name, {"owner": owner}) for name in ("Staked", "Unstaked")),
        Source("registry", "Slashed", {}),  # of others, too: reporting them is rewarded
        *(Source("token", "Transfer", {end: one}) for end in ("from", "to") for one in sorted(parties.in_hand)),
    )


def entry_of(event: LogEvent, parties: Parties) -> Entry | None:
    """What an event means to these parties; None when it is not theirs, or another event of its transaction says it."""
    args = event.args
    match event.contract, event.name:
        case "deals", "Proven" if args["provider"] == parties.owner and args["paid"]:
            return Entry(STORAGE, args["paid"], detail=f"data set 0x{args['set_id'].hex()}, period {args['period']}")
        case "deals", "Settled" if args["provider"] == parties.owner:
            return Entry(PAYOUT, args["amount"], args["payout"], "storage")
        case "settlement", "Settled" if _is_our_settlement(args, parties):
            return Entry(PAYOUT, args["amount"], args["receiver"], "vouchers")
        case "registry", "Staked" if args["owner"] == parties.owner:
            return Entry("stake", -args["amount"])
        case "registry", "Unstaked" if args["owner"] == parties.owner:
            return Entry("unstake", args["amount"])
        case "registry", "Slashed":
            return _slashed(args, parties)
        case "token", "Transfer":
            return _transfer(args["from"], args["to"], args["value"], parties)
    return None


def _is_our_settlement(args: Mapping[str, object], parties: Parties) -> bool:
    """The contract settles any token; only ours counts."""
    return args["token"] == parties.contracts.token and args["receiver"] in {parties.owner} | parties.payouts


def _slashed(args: Mapping[str, object], parties: Parties) -> Entry | None:
    burnt, reward = _int(args["burnt"]), _int(args["reward"])
    if args["owner"] == parties.owner:
        return Entry("slash", -(burnt + reward), str(args["reporter"]))
    if args["reporter"] in parties.in_hand and reward:
        return Entry("transfer-in", reward, str(args["owner"]), "reward for reporting a fault")
    return None


def _transfer(sender: str, receiver: str, value: int, parties: Parties) -> Entry | None:
    ours, contracts = parties.in_hand, parties.contracts
    if (sender in ours) == (receiver in ours) or not value:
        return None
    other = receiver if sender in ours else sender
    sign = -1 if sender in ours else 1
    if other == contracts.registry:
        return None  # Staked, Unstaked and Slashed say it
    if other in (contracts.deals, contracts.settlement, contracts.erc3009_collector):
        if parties.spender in (sender, receiver):
            return Entry("deposit", sign * value, other, "" if sign < 0 else "returned")
        return None  # a payout to the owner: Settled says it
    if sender == parties.faucet and parties.faucet:
        return Entry("faucet", value, other)
    return Entry("transfer-out" if sign < 0 else "transfer-in", sign * value, "" if other == _ZERO else other)


def voucher_kind(what: str) -> str:
    """The kind of what vouchers paid for, from the first word of its description; anything but reading is work."""
    return READS if what.startswith(("read", "piece")) else COMPUTE


def voucher_entry(taking: Taking) -> HistoryEntry:
    """The line for what one customer paid by vouchers for one thing within an hour."""
    requests = f"{taking.requests} request{'' if taking.requests == 1 else 's'}"
    return HistoryEntry(
        at=taking.at,
        kind=voucher_kind(taking.what),
        amount=taking.amount,
        counterparty=taking.payer,
        detail=f"{taking.what}, {requests}",
    )


def with_fees(
    lines: Iterable[HistoryEntry],
    fees: Mapping[str, int],
    worth: Callable[[int], int],
    relayed: Mapping[str, int] | None = None,
) -> list[HistoryEntry]:
    """The lines with what their transactions cost; a transaction of several lines is counted in its first here.

    Args:
        fees: wei by transaction hash.
        worth: base units of the token that so many wei are worth; 0 where gas has no price.
        relayed: base units that a relayer took, by the hash of the transaction that it sent.
    """
    left, taken = dict(fees), dict(relayed or {})
    found = []
    for line in lines:
        fee, to_relayer = left.pop(line.transaction, 0), taken.pop(line.transaction, 0)
        changes: dict[str, object] = {"fee": fee, "fee_worth": worth(fee) + to_relayer} if fee or to_relayer else {}
        if to_relayer:
            changes["detail"] = f"{line.detail}, sent by a relayer".removeprefix(", ")
        found.append(line.model_copy(update=changes))
    return found


# --- sums ---------------------------------------------------------------------------------------------------------


class Amount(NamedTuple):
    """An amount earned at a time, or within the bucket that begins then."""

    at: float
    amount: int


def local_midnight(now: float, zone: datetime.tzinfo | None = None, *, days_ago: int = 0) -> float:
    """When the local day of `now` began, or an earlier one; `zone` None is this machine's. Knows of summer time."""
    today = datetime.datetime.fromtimestamp(now, zone).date()
    day = today - datetime.timedelta(days=days_ago)
    return datetime.datetime.combine(day, datetime.time(), tzinfo=zone).timestamp()


def earned_total(amounts: Iterable[Amount]) -> int:
    return sum(amount for _, amount in amounts)


def earned_since(amounts: Iterable[Amount], start: float) -> int:
    """What was earned at `start` or later."""
    return sum(amount for at, amount in amounts if at >= start)


def earnings_points(
    amounts: Iterable[Amount],
    now: float,
    *,
    step: Literal["hour", "day"],
    count: int,
    zone: datetime.tzinfo | None = None,
) -> tuple[EarningsPoint, ...]:
    """The last `count` hours or local days including the present one, oldest first; empty ones are there with 0."""
    if step == "hour":
        last = now // HOUR_S * HOUR_S
        starts = [last - HOUR_S * ago for ago in reversed(range(count))]
    else:
        starts = [local_midnight(now, zone, days_ago=ago) for ago in reversed(range(count))]
    sums = [0] * count
    for at, amount in amounts:
        index = _bucket(starts, at)
        if index >= 0:
            sums[index] += amount
    return tuple(EarningsPoint(at=start, amount=amount) for start, amount in zip(starts, sums, strict=True))


def _bucket(starts: list[float], at: float) -> int:
    """The index of the bucket that holds `at`; −1 before the first. The last is open: a chain may be ahead of us."""
    for index in reversed(range(len(starts))):
        if at >= starts[index]:
            return index
    return -1


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value

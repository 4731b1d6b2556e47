"""What the storage service decides, without any I/O: prices, room, states, when to prove and when to settle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256

from depin_desktop.api.models import FolderState, ServiceState
from depin_desktop.core.units import GIB, MIB, SECONDS_PER_MONTH, TIB, format_age, format_size
from depin_desktop.sealing import LEAF, leaf_count
from depin_desktop.sealing.merkle import layer_size

MAX_PIECE_BYTES = 1 * GIB
MAX_PIECES_PER_CALL = 128
RECEIPT_LIFE_S = 3600
UNPAID_CAP_BYTES = 4 * GIB
"""What one customer may have stored without having put it into a data set."""
MAX_UPLOADS = 32
MIN_TERM_PERIODS = 2
UNFUNDED_PERIODS = 3  # what a customer has to bring money: an escrow may run dry over a weekend, not for good
MAX_AUTHORISATION_LIFE_S = 86_400
MAX_KEEP_FREE = 10 * 10**9
BLOCK = 4096
NEARLY_FULL = 1 * MIB
SETS_PER_PROOF = 10
"""A 5-challenge proof costs some 200,000 gas, so ten fit any chain's block many times over (proof-frontier.md)."""


# --- prices -------------------------------------------------------------------------------------------------------


def leaf_period_price(price_per_tib_month: int, period_s: int) -> int:
    """Base units per 256-byte leaf and period, rounded up so that the month's price is never undercut."""
    return -(-price_per_tib_month * LEAF * period_s // (TIB * SECONDS_PER_MONTH))


def tib_month_price(price_per_leaf_period: int, period_s: int) -> int:
    """Base units per TiB and month of 30 days, for showing."""
    return price_per_leaf_period * TIB * SECONDS_PER_MONTH // (LEAF * period_s)


def read_price(count: int, price_per_gib_read: int) -> int:
    """Base units for `count` bytes read, rounded up, at least 1."""
    return max(1, -(-count * price_per_gib_read // GIB))


def funding_needed(price: int, leaves: int) -> int:
    """Escrow that pays the shortest term for `leaves` leaves."""
    return price * leaves * MIN_TERM_PERIODS


# --- space --------------------------------------------------------------------------------------------------------


def footprint(size: int) -> int:
    """Disk space that a piece of `size` bytes takes, its cached layer and the file system's rounding included."""
    return sum(-(-part // BLOCK) * BLOCK for part in (size, layer_size(leaf_count(size))))


def default_keep_free(disk_total: int) -> int:
    """What is left for the rest of the machine unless the owner says otherwise: 5 %, at most 10 GB."""
    return min(disk_total // 20, MAX_KEEP_FREE)


@dataclass(frozen=True)
class FolderFacts:
    """What is known of one shared folder; bytes.

    Attributes:
        fault: what the last probe found wrong, None when it found nothing.
        reserved: promised to uploads that are under way.
    """

    allocated: int
    stored: int
    reserved: int
    disk_free: int
    keep_free: int
    leaving: bool = False
    fault: FolderState | None = None


def room(facts: FolderFacts) -> int:
    """Bytes that may still be promised; 0 when the folder takes nothing."""
    if facts.leaving or facts.fault is not None:
        return 0
    within_allocation = facts.allocated - facts.stored - facts.reserved
    within_disk = facts.disk_free - facts.keep_free - facts.reserved
    return max(0, min(within_allocation, within_disk))


def folder_state(facts: FolderFacts) -> FolderState:
    """The one state to show, the most pressing first."""
    if facts.fault is not None:
        return facts.fault
    if facts.leaving:
        return FolderState.LEAVING
    if facts.stored > facts.allocated:
        return FolderState.SHRINKING
    if room(facts) < NEARLY_FULL:
        return FolderState.FULL
    return FolderState.OK


def folder_detail(facts: FolderFacts) -> str:
    """A sentence that explains `folder_state` where its word does not."""
    match folder_state(facts):
        case FolderState.LEAVING:
            return f"Keeps {format_size(facts.stored)} until the customers' deals end; takes nothing new."
        case FolderState.SHRINKING:
            return (
                f"Holds {format_size(facts.stored)}, more than its {format_size(facts.allocated)}; "
                "takes nothing new until customers leave."
            )
        case FolderState.FULL if facts.allocated - facts.stored - facts.reserved >= NEARLY_FULL:
            return f"Only {format_size(facts.disk_free)} are free on this disk, {format_size(facts.keep_free)} stay so."
        case FolderState.FULL:
            return "Everything that you share here is in use."
        case _:
            return ""


def choose(rooms: Sequence[int], need: int) -> int | None:
    """Which folder takes `need` bytes: the one with most room, so that disks fill evenly. None when none can."""
    best = max(range(len(rooms)), key=lambda at: rooms[at], default=None)
    return best if best is not None and rooms[best] >= need else None


# --- proving ------------------------------------------------------------------------------------------------------


def poke_delay_s(provider: str, period: int, window_s: int) -> float:
    """Providers take turns at fixing the seed: each waits its own, every period another, part of a tenth of the window.

    Whoever comes second finds the seed fixed and pays nothing.
    """
    ticket = int.from_bytes(sha256(f"{provider.lower()}/{period}".encode()).digest()[:4], "big") / 2**32
    return ticket * window_s / 10


def next_round_s(moments: Iterable[float], now: float, *, period_s: int) -> float:
    """Seconds until the next look at the data sets: at the earliest moment that one of them named, but not too rarely.

    A restarted chain or a warped clock is noticed within a quarter of a period.
    """
    soonest = min(moments, default=now + period_s)
    return min(max(1.0, soonest - now), max(1.0, period_s / 4), 60.0)


def retry_s(failures: int, time_left_s: float) -> float:
    """Seconds to wait after `failures` failures in a row: 1 doubling to 30, never past a quarter of the time left."""
    return max(1.0, min(2.0 ** min(failures - 1, 5), 30.0, time_left_s / 4))


# --- settling and clearing up -------------------------------------------------------------------------------------

MAX_FEE_SHARE = Fraction(1, 50)
"""A fee that is at most this share of what it moves is small, as for claims of vouchers."""
PROOFS_PER_SETTLING = 21
"""Settling costs 78,000 gas and a proof 194,000: after so many proofs it adds less than a fiftieth to their gas."""
INACTIVE_PERIODS = 30  # the contract's: after so many without a proof anyone may end a data set


def settle_every_s(period_s: int, *, private: bool) -> int:
    """Pay is moved to the payout address no more often than this: each day; each period where gas costs nothing."""
    return period_s if private else 86_400


def worth_settling(owed: int, fee: int | None, *, proofs: int, running: bool) -> bool:
    """Whether to move accrued pay to the payout address now; it cannot be lost where it is, so only the fee counts.

    Args:
        fee: what that costs, in base units; None where gas has a price and nobody says what it is worth.
        proofs: transactions whose pay is still owed.
        running: whether more pay will come; if not, what there is goes out as soon as it is worth anything.
    """
    if owed == 0:
        return False
    if fee is None:
        return proofs >= PROOFS_PER_SETTLING or not running
    return fee <= owed * MAX_FEE_SHARE if running else fee < owed


def worth_tidying(paid: int, fee: int | None) -> bool:
    """Whether to pay for a transaction that serves a customer: it has paid for at least as much, in this data set."""
    return paid > 0 if fee is None else paid >= fee


def worth_giving_back(escrow: int, paid: int, fee: int | None) -> bool:
    """Whether to send the rest of an escrow back: it is worth more than its fee, and the customer has paid for that."""
    return worth_tidying(paid, fee) and escrow > (fee or 0)


# --- the whole service --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ServiceFacts:
    """What the one sentence about the service is made of; times in Unix seconds."""

    sharing: bool
    folders: tuple[FolderState, ...]
    chain_problem: str  # why the chain cannot be used; empty when it can
    damaged_pieces: int
    missed_period_at: float | None  # when the last missed proof was noticed, None if the newest one succeeded
    data_sets: int
    last_proven_at: float | None
    now: float


_BROKEN = (FolderState.MISSING, FolderState.READ_ONLY, FolderState.FOREIGN, FolderState.SLOW)


def service_state(facts: ServiceFacts) -> tuple[ServiceState, str]:
    """The state and its one reason, in order of urgency."""
    broken = [state for state in facts.folders if state in _BROKEN]
    if not facts.folders:
        return ServiceState.OFF, "No folder is shared yet."
    if len(broken) == len(facts.folders):
        return ServiceState.FAULT, f"The shared folder is {broken[0].value}." if len(broken) == 1 else (
            "None of the shared folders can be used."
        )
    if facts.damaged_pieces:
        return ServiceState.ATTENTION, f"{facts.damaged_pieces} stored pieces are damaged or lost; check the disk."
    if facts.missed_period_at is not None:
        return ServiceState.ATTENTION, f"A proof was missed {format_age(facts.now - facts.missed_period_at)}."
    if broken:
        return ServiceState.ATTENTION, f"One shared folder is {broken[0].value}."
    if facts.chain_problem:
        return ServiceState.ATTENTION, facts.chain_problem
    if not facts.sharing:
        return ServiceState.PAUSED, "Paused: what is stored is still kept and proven."
    if facts.data_sets:
        sets = f"{facts.data_sets} data set{'s' if facts.data_sets > 1 else ''}"
        if facts.last_proven_at is None:
            return ServiceState.EARNING, f"Keeping {sets}; the first proof comes with the next period."
        return ServiceState.EARNING, f"Keeping {sets}, proven {format_age(facts.now - facts.last_proven_at)}."
    if all(state is FolderState.FULL for state in facts.folders):
        return ServiceState.IDLE, "Full, but nothing is under contract yet."
    return ServiceState.IDLE, "Offered; nobody has stored anything yet."

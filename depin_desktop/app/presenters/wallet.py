"""The Wallet page in words: amounts, addresses, the history and its export."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from depin_desktop.api.wallet import HistoryEntry, WalletStatus
from depin_desktop.app.known import Known
from depin_desktop.app.presenters.thaws import thawed
from depin_desktop.app.words import Words, age, exact_amount, full_time, short_address, signed_amount, tr, when
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_tokens, parse_tokens

LOW_GAS_WEI = 10**16
COIN = "ETH"  # the chain's own coin, as every EVM tool names it


@dataclass(frozen=True)
class Amount:
    """An amount under its name."""

    name: str
    value: str
    unit: str
    tip: str
    tone: str = "text"


@dataclass(frozen=True)
class Money:
    """The wallet's cards; `known` is false while nothing has been heard."""

    known: bool
    balance: Amount
    row: tuple[Amount, ...]
    keys: tuple[Amount, ...]
    as_of: Words


def money(known: Known, now: float) -> Money:
    """Every amount of the page, formatted."""
    wallet, symbol = known.wallet, known.symbol
    if wallet is None:
        return Money(False, Amount(tr("Balance"), "–", symbol, ""), (), (), Words(tr("Reading the chain…"), "muted"))

    def amount(name: str, value: int, explanation: str) -> Amount:
        return Amount(name, format_tokens(value), symbol, f"{exact_amount(value, symbol)}\n{explanation}")

    return Money(
        True,
        amount(tr("Balance"), wallet.balance, tr("Tokens at your own address.")),
        (
            amount(tr("Pending"), wallet.pending, tr("Earned, and paid out once the batch is worth its fee.")),
            amount(tr("Paid out"), wallet.claimed, tr("Earnings that have reached your payout address.")),
            amount(tr("Earned in total"), wallet.earned_total, tr("Paid out and pending together.")),
        ),
        (
            _stake(
                amount(tr("Stake"), wallet.stake, tr("Held by the registry as your promise to keep what you store.")),
                wallet,
            ),
            amount(tr("Spending budget"), wallet.spending_balance, tr("What this machine may spend as a customer.")),
            _gas(tr("Gas, operator"), wallet.operator_gas, tr("Pays the fees of proofs and claims.")),
            _gas(tr("Gas, yours"), wallet.owner_gas, tr("Pays the fees when you move money or stake.")),
        ),
        _as_of(wallet, now),
    )


@dataclass(frozen=True)
class Wishes:
    """Which steps may be begun; `tip` says why none may."""

    send: bool
    stake: bool
    release: bool
    withdraw: bool
    payout: bool
    tip: str = ""


def wishes(known: Known, now: float, *, busy: bool) -> Wishes:
    """What the owner may ask for: one step at a time, and only while the engine can look at it."""
    wallet, live = known.wallet, known.link.live
    if wallet is None or not live or busy:
        tip = tr("One step at a time: the last is still on its way.") if busy else tr("The engine is away.")
        return Wishes(False, False, False, False, False, tip)
    provides = wallet.registered
    tip = "" if provides else tr("This wallet is not registered as a provider.")
    return Wishes(True, provides, provides and wallet.free_stake > 0, thawed(wallet, now) > 0, provides, tip)


def payout(known: Known) -> Words:
    """Where earnings go; empty while that is not known."""
    wallet = known.wallet
    if wallet is None:
        return Words("")
    if wallet.payout == wallet.owner:
        return Words(tr("Earnings come to this wallet."), "muted", wallet.payout)
    return Words(tr("Earnings go to {address}.", address=short_address(wallet.payout)), "text", wallet.payout)


def _gas(name: str, wei: int, explanation: str) -> Amount:
    low = wei < LOW_GAS_WEI
    tip = f"{exact_amount(wei, COIN)}\n{explanation}"
    if low:
        tip += "\n" + tr("Low: send some {coin} to this address soon.", coin=COIN)
    return Amount(name, format_tokens(wei), COIN, tip, "warning" if low else "text")


def _stake(stake: Amount, wallet: WalletStatus) -> Amount:
    """The stake, marked where what is not being released is too little for customers."""
    if not wallet.registered or wallet.free_stake >= wallet.least_stake:
        return stake
    least = format_tokens(wallet.least_stake)
    tip = tr("Less than {least} of it stays: customers do not choose this node.", least=least)
    return replace(stake, tone="warning", tip=f"{stake.tip}\n{tip}")


def plain_tokens(base_units: int) -> str:
    """An amount as it is typed: every digit, no spaces."""
    return exact_amount(base_units, "")


def budget_move(text: str, wallet: WalletStatus, symbol: str) -> Words:
    """What setting the spending budget to `text` moves; tone "text" where it can be done."""
    if not text.strip():
        return Words(tr("Write how much it may hold."), "muted")
    try:
        wanted = parse_tokens(text)
    except UserFacingError as problem:
        return Words(str(problem), "warning")
    more = wanted - wallet.spending_balance
    if more == 0:
        return Words(tr("That is what it holds now."), "muted")
    if more > wallet.balance:
        have = format_tokens(wallet.balance)
        return Words(tr("Your wallet has only {have} {symbol}.", have=have, symbol=symbol), "warning")
    sentence = tr("{amount} {symbol} move from your wallet to this machine’s budget.")
    if more < 0:
        sentence = tr("{amount} {symbol} move from this machine’s budget back to your wallet.")
    return Words(sentence.format(amount=format_tokens(abs(more)), symbol=symbol))


def _as_of(wallet: WalletStatus, now: float) -> Words:
    block = f"{wallet.as_of_block:,}".replace(",", "\u2009")
    return Words(
        tr("As of block {block}, {age}", block=block, age=age(now, wallet.as_of)), "faint", full_time(wallet.as_of)
    )


HISTORY_COLUMNS = ("Time", "What", "Amount", "Counterparty", "Transaction")
HISTORY_RIGHT = frozenset({2})

KINDS = {
    "storage": "Storage proven",
    "reads": "Pieces read",
    "compute": "Work done",
    "payout": "Paid out",
    "deposit": "Deposit",
    "transfer-in": "Received",
    "transfer-out": "Sent",
    "stake": "Staked",
    "unstake": "Unstaked",
    "slash": "Stake lost",
    "faucet": "From the faucet",
}


def kind_name(kind: str) -> str:
    """A kind of entry in words; an unknown one is shown as it came."""
    return tr(KINDS[kind]) if kind in KINDS else kind


def history_cell(entry: HistoryEntry, column: int, now: float, symbol: str) -> Words:
    """One cell of the history."""
    if column == 0:
        return Words(when(now, entry.at), "muted", full_time(entry.at))
    if column == 1:
        pending = entry.status == "pending"
        text = kind_name(entry.kind) + (" · " + tr("pending") if pending else "")
        tip = entry.detail
        if entry.fee:
            tip += ("\n" if tip else "") + tr("Fee {fee}", fee=exact_amount(entry.fee, COIN))
        if entry.fee_worth:
            tip += "\n" + tr("Net {net}", net=exact_amount(entry.net, ""))
        return Words(text, "fault" if entry.kind == "slash" else "text", tip)
    if column == 2:
        # A payout moves what was earned, and told, before: one accent for each token is enough.
        gained = entry.amount > 0 and entry.kind != "payout"
        tone = "fault" if entry.kind == "slash" else "accent" if gained else "text"
        return Words(signed_amount(entry.amount), tone, exact_amount(entry.amount, symbol))
    if column == 3:
        return Words(short_address(entry.counterparty) or "–", "muted", entry.counterparty)
    if not entry.transaction:
        text = tr("voucher") if entry.kind in ("reads", "compute") else "–"
        return Words(text, "faint", tr("A signed promise; it reaches the chain with the next claim."))
    block = "" if entry.block is None else "\n" + tr("Block {n}", n=entry.block)
    return Words(short_address(entry.transaction), "muted", entry.transaction + block)


def history_sort_key(entry: HistoryEntry, column: int) -> float | str:
    """What a column is ordered by."""
    keys: tuple[float | str, ...] = (
        entry.at,
        kind_name(entry.kind).lower(),
        entry.amount / 1e18,
        entry.counterparty.lower(),
        entry.transaction,
    )
    return keys[column]


def history_matches(entry: HistoryEntry, text: str, kind: str) -> bool:
    """Whether the filter lets an entry through; `kind` empty means all."""
    if kind and entry.kind != kind:
        return False
    wanted = text.strip().lower()
    hay = (entry.kind, kind_name(entry.kind), entry.counterparty, entry.transaction, entry.detail)
    return not wanted or any(wanted in value.lower() for value in hay)


def copied_row(entry: HistoryEntry, symbol: str) -> str:
    """A row as text for the clipboard: whole values, tab-separated."""
    return "\t".join(_export_row(entry, symbol))


def _export_row(entry: HistoryEntry, symbol: str) -> list[str]:
    return [
        datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="seconds"),
        entry.kind,
        exact_amount(entry.amount, ""),
        symbol,
        exact_amount(entry.fee, ""),
        entry.counterparty,
        entry.transaction,
        "" if entry.block is None else str(entry.block),
        entry.status,
        entry.detail,
    ]


CSV_HEADER = (
    "time_utc",
    "kind",
    "amount",
    "token",
    "fee_coin",
    "counterparty",
    "transaction",
    "block",
    "status",
    "detail",
)


def export_csv(entries: Iterable[HistoryEntry], symbol: str) -> str:
    """The history as CSV (RFC 4180): ISO times in UTC, exact amounts, whole hashes.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(CSV_HEADER)
    for entry in entries:
        row = _export_row(entry, symbol)
        row[9] = "'" + row[9] if row[9][:1] in ("=", "+", "-", "@") else row[9]
        writer.writerow(row)
    return out.getvalue()

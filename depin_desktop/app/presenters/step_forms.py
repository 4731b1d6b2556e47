"""The forms of what only the owner can do, judged as they are typed."""

from __future__ import annotations

from dataclasses import dataclass

from depin_desktop.api.wallet import HistoryEntry, LookAt, StepKind, WalletStatus
from depin_desktop.app.presenters.thaws import thawed
from depin_desktop.app.presenters.wallet import COIN, budget_move
from depin_desktop.app.words import Words, date, exact_amount, full_time, short_address, tr
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_tokens, parse_tokens

ALL = "all"
DIGITS = 40
SIMILAR_DIGITS = 4  # at either end: what people compare, and what swindlers imitate
NOTHING = Words("")


@dataclass(frozen=True)
class Form:
    """What a form says of what was typed.

    Attributes:
        ask: the step to look at; None while the form cannot be gone on with.
        amount: words on the amount; `about` on the address.
    """

    ask: LookAt | None
    amount: Words = NOTHING
    about: Words = NOTHING


def send_form(
    to: str, amount: str, coin: bool, wallet: WalletStatus, history: tuple[HistoryEntry, ...], symbol: str, now: float
) -> Form:
    """Sending tokens, or the chain's own coin."""
    receiver, about = address_words(to, wallet, history, now)
    kind = StepKind.SEND_COIN if coin else StepKind.SEND
    held, unit = (wallet.owner_gas, COIN) if coin else (wallet.balance, symbol)
    wanted, words = _amount(amount, held, unit, tr("Your wallet"))
    if words is None:
        if wanted is None:
            words = Words(tr("Everything but the fee."), "muted") if coin else Words(tr("Everything."), "muted")
        else:
            left = format_tokens(held - wanted)
            template = (
                tr("{left} {unit} stay for gas, less the fee.") if coin else tr("{left} {unit} stay in the wallet.")
            )
            words = Words(template.format(left=left, unit=unit), "muted")
        if receiver:
            return Form(LookAt(kind=kind, to=receiver, amount=wanted), words, about)
    return Form(None, words, about)


def address_words(text: str, wallet: WalletStatus, history: tuple[HistoryEntry, ...], now: float) -> tuple[str, Words]:
    """The address that was typed, empty while it is none, and what there is to say about it."""
    from depin_desktop.core.addresses import parse_address  # 0.05 s; `wallet_controller` loads it ahead, in a thread

    if not text:
        return "", Words(tr("0x and 40 digits: better pasted than typed."), "muted")
    try:
        address = parse_address(text)
    except UserFacingError:
        return "", _no_address(text)
    own = {
        wallet.owner: Words(tr("This is your own wallet."), "warning"),
        wallet.operator: Words(tr("This machine’s operator, which pays the fees of proofs and claims."), "info"),
        wallet.spender: Words(tr("This machine’s spending budget."), "info"),
    }
    if (known := next((words for mine, words in own.items() if mine.lower() == address.lower()), None)) is not None:
        return address, known
    return address, _acquaintance(address, history, now)


def _no_address(text: str) -> Words:
    digits = text.removeprefix("0x")
    if any(digit not in "0123456789abcdefABCDEF" for digit in digits) or len(digits) > DIGITS:
        return Words(tr("That is not an address: it is 0x and {n} digits from 0 to 9 and a to f.", n=DIGITS), "warning")
    if len(digits) < DIGITS:
        return Words(tr("{n} of {all} digits", n=len(digits), all=DIGITS), "muted")
    return Words(tr("There is a slip in it: its letters’ case does not fit. Copy it once more."), "warning")


def _acquaintance(address: str, history: tuple[HistoryEntry, ...], now: float) -> Words:
    """Whether something was sent there before; an address that only looks like a known one is what swindlers use."""
    sent = {entry.counterparty.lower(): entry for entry in reversed(history) if entry.kind == "transfer-out"}
    known = {entry.counterparty.lower(): entry.counterparty for entry in history if entry.counterparty}
    if (before := sent.get(address.lower())) is not None:
        return Words(
            tr("You sent something there before: {when}.", when=date(before.at)), "accent", full_time(before.at)
        )
    alike = next((seen for key, seen in known.items() if key != address.lower() and _look_alike(key, address)), None)
    if alike is not None:
        return Words(
            tr(
                "Not {known} of your history, although it looks like it: compare every digit.",
                known=short_address(alike),
            ),
            "warning",
            alike,
        )
    return Words(tr("New: nothing was sent to this address from here before."), "muted")


def _look_alike(one: str, other: str) -> bool:
    one, other = one.lower().removeprefix("0x"), other.lower().removeprefix("0x")
    return (one[:SIMILAR_DIGITS], one[-SIMILAR_DIGITS:]) == (other[:SIMILAR_DIGITS], other[-SIMILAR_DIGITS:])


def stake_form(amount: str, wallet: WalletStatus, symbol: str) -> Form:
    """More stake."""
    wanted, words = _amount(amount, wallet.balance, symbol, tr("Your wallet"))
    if words is not None:
        return Form(None, words)
    total = format_tokens(wallet.free_stake + (wallet.balance if wanted is None else wanted))
    return Form(
        LookAt(kind=StepKind.STAKE, amount=wanted),
        Words(tr("The stake will be {n} {unit}.", n=total, unit=symbol), "muted"),
    )


def release_form(amount: str, wallet: WalletStatus, symbol: str) -> Form:
    """Stake asked back."""
    wanted, words = _amount(amount, wallet.free_stake, symbol, tr("The stake that is not being released"))
    if words is not None:
        return Form(None, words)
    left = wallet.free_stake - (wallet.free_stake if wanted is None else wanted)
    words = Words(tr("{n} {unit} stay staked.", n=format_tokens(left), unit=symbol), "muted")
    if left < wallet.least_stake:
        words = Words(
            tr(
                "{n} {unit} stay staked, less than the least of {least}: customers will not choose this node.",
                n=format_tokens(left),
                unit=symbol,
                least=format_tokens(wallet.least_stake),
            ),
            "warning",
        )
    return Form(LookAt(kind=StepKind.UNSTAKE, amount=wanted), words)


def withdraw_form(wallet: WalletStatus, symbol: str, now: float) -> Form:
    """What has thawed, taken out."""
    ready = thawed(wallet, now)
    if not ready:
        return Form(None, Words(tr("Nothing can be taken out yet."), "muted"))
    return Form(
        LookAt(kind=StepKind.WITHDRAW),
        Words(tr("{n} {unit} can be taken out now.", n=format_tokens(ready), unit=symbol)),
    )


def payout_form(to: str, wallet: WalletStatus, history: tuple[HistoryEntry, ...], now: float) -> Form:
    """Earnings paid to another address."""
    receiver, about = address_words(to, wallet, history, now)
    if receiver and receiver.lower() == wallet.payout.lower():
        return Form(None, about=Words(tr("Earnings go there already."), "muted"))
    if receiver and receiver.lower() == wallet.owner.lower():
        about = Words(tr("This is your own wallet."), "info")
    return Form(LookAt(kind=StepKind.PAYOUT, to=receiver) if receiver else None, about=about)


def budget_form(amount: str, wallet: WalletStatus, symbol: str) -> Form:
    """What this machine may spend; the words say what moves."""
    words = budget_move(amount, wallet, symbol)
    ready = words.tone == "text"
    return Form(LookAt(kind=StepKind.BUDGET, amount=parse_tokens(amount)) if ready else None, words)


def _amount(text: str, held: int, unit: str, holder: str) -> tuple[int | None, Words | None]:
    """The amount that was typed, None for all; with words where it cannot be had."""
    have = Words(tr("{holder} has {have} {unit}.", holder=holder, have=format_tokens(held), unit=unit), "muted")
    if not text.strip():
        return None, have
    if text.strip().lower() in (ALL, tr(ALL)):
        return None, None if held else Words(have.text, "warning")
    try:
        wanted = parse_tokens(text)
    except UserFacingError as problem:
        return None, Words(str(problem), "warning")
    if wanted == 0:
        return None, have
    if wanted > held:
        only = tr("{holder} has only {have} {unit}.", holder=holder, have=format_tokens(held), unit=unit)
        return None, Words(only, "warning", exact_amount(held, unit))
    return wanted, None

"""What only the owner can do, in words: before it is signed, on its way, and done."""

from __future__ import annotations

from dataclasses import dataclass

from depin_desktop.api.wallet import Look, LookAt, StepKind, WalletStatus
from depin_desktop.app.orders import Done, Order, Stage
from depin_desktop.app.presenters.thaws import local_end, moment_words
from depin_desktop.app.presenters.wallet import COIN, LOW_GAS_WEI
from depin_desktop.app.words import Words, exact_amount, full_time, short_address, tr, whole_amount
from depin_desktop.core.units import format_tokens

FEE_HEADROOM_PERCENT = 25  # by which fees may rise between the review and the signature


@dataclass(frozen=True)
class Fact:
    """One line of a review or a receipt."""

    name: str
    value: str
    tip: str = ""


def order_of(ask: LookAt, look: Look) -> Order:
    """What is signed when the owner says yes to a look: the amount that was shown, whatever has come in since."""
    amount = look.amount
    if ask.kind is StepKind.BUDGET:
        amount = ask.amount or 0  # what it shall hold, not what moves
    everything = ask.kind is StepKind.SEND_COIN and ask.amount is None  # the fee decides how much that is
    return Order(ask.kind, look.to, None if everything else amount, highest_fee(look))


def highest_fee(look: Look) -> int:
    """Wei that the owner is asked to agree to."""
    return look.highest_fee * (100 + FEE_HEADROOM_PERCENT) // 100


TITLES = {
    StepKind.SEND: "Send",
    StepKind.SEND_COIN: "Send",
    StepKind.BUDGET: "Spending budget",
    StepKind.STAKE: "Add to the stake",
    StepKind.UNSTAKE: "Release stake",
    StepKind.WITHDRAW: "Take out released stake",
    StepKind.PAYOUT: "Payout address",
}
VERBS = {
    StepKind.SEND: "Send now",
    StepKind.SEND_COIN: "Send now",
    StepKind.BUDGET: "Set the budget",
    StepKind.STAKE: "Stake now",
    StepKind.UNSTAKE: "Release now",
    StepKind.WITHDRAW: "Take out now",
    StepKind.PAYOUT: "Change now",
}


def review_facts(ask: LookAt, look: Look, wallet: WalletStatus, symbol: str, now: float) -> tuple[Fact, ...]:
    """What will happen, without the address, line by line."""
    coin = ask.kind is StepKind.SEND_COIN
    unit = COIN if coin else symbol
    facts = []
    if look.amount:
        facts.append(Fact(_amount_name(ask, wallet), whole_amount(look.amount, unit)))
    if ask.kind is StepKind.BUDGET:
        facts.append(Fact(tr("Budget afterwards"), whole_amount(ask.amount or 0, symbol)))
    if ask.kind is StepKind.SEND:
        facts.append(Fact(tr("Stays in the wallet"), whole_amount(max(0, wallet.balance - look.amount), symbol)))
    facts.append(fee_fact(tr("Fee, at most"), highest_fee(look), look, symbol))
    left = max(0, look.coin_left - (highest_fee(look) - look.highest_fee))
    facts.append(Fact(tr("Stays for gas, at least"), f"{format_tokens(left)} {COIN}", exact_amount(left, COIN)))
    if look.ends is not None:
        at = local_end(look.ends, wallet)
        facts.append(Fact(tr("Can be taken out"), moment_words(at, now), full_time(at)))
    return tuple(facts)


def _amount_name(ask: LookAt, wallet: WalletStatus) -> str:
    if ask.kind is StepKind.BUDGET:
        less = (ask.amount or 0) < wallet.spending_balance
        return tr("Back to the wallet") if less else tr("Out of the wallet")
    return tr("Amount")


def fee_fact(name: str, wei: int, look: Look, symbol: str) -> Fact:
    """A fee that is paid at most."""
    value = f"{format_tokens(wei, up=True)} {COIN}"
    if look.fee_worth:
        worth = look.fee_worth * (100 + FEE_HEADROOM_PERCENT) // 100
        value += tr(" (about {n} {symbol})", n=format_tokens(worth, up=True), symbol=symbol)
    return Fact(name, value, exact_amount(wei, COIN))


def warnings(look: Look) -> tuple[str, ...]:
    """What should be read before saying yes."""
    found = list(look.notes)
    if look.coin_left < LOW_GAS_WEI:
        found.append(tr("Hardly any {coin} stays for gas: the next step could not be paid for.", coin=COIN))
    return tuple(found)


STAGES = ("Unlock the wallet", "Sign it and send it", "Wait for its block")


def done_words(order: Order, amount: int, symbol: str) -> str:
    """What an order has done, as a sentence."""
    tokens = f"{format_tokens(amount)} {symbol}"
    match order.kind:
        case StepKind.SEND:
            return tr("{amount} sent to {to}.", amount=tokens, to=short_address(order.to))
        case StepKind.SEND_COIN:
            coins = f"{format_tokens(amount)} {COIN}"
            return tr("{amount} sent to {to}.", amount=coins, to=short_address(order.to))
        case StepKind.BUDGET:
            held = format_tokens(order.amount or 0)
            return tr("This machine may spend {amount} {symbol} now.", amount=held, symbol=symbol)
        case StepKind.STAKE:
            return tr("{amount} were added to the stake.", amount=tokens)
        case StepKind.UNSTAKE:
            return tr("{amount} of the stake are being released.", amount=tokens)
        case StepKind.WITHDRAW:
            return tr("{amount} of released stake are back in the wallet.", amount=tokens)
        case StepKind.PAYOUT:
            return tr("Earnings go to {to} from now on.", to=short_address(order.to))


def receipt_facts(done: Done, symbol: str) -> tuple[Fact, ...]:
    """Where it is on the chain, and what it cost."""
    fee = f"{format_tokens(done.fee)} {COIN}"
    if done.fee_worth:
        fee += tr(" (about {n} {symbol})", n=format_tokens(done.fee_worth), symbol=symbol)
    block = f"{done.block:,}".replace(",", "\u2009")
    return (Fact(tr("Block"), block), Fact(tr("Fee"), fee, exact_amount(done.fee, COIN)))


def errand_words(order: Order, stage: Stage, transaction: str, symbol: str) -> Words:
    """An order under way, in a line for the page."""
    unit = COIN if order.kind is StepKind.SEND_COIN else symbol
    what = tr(TITLES[order.kind])
    if order.kind in (StepKind.SEND, StepKind.SEND_COIN):
        amount = tr("everything") if order.amount is None else f"{format_tokens(order.amount)} {unit}"
        what = tr("Sending {amount} to {to}", amount=amount, to=short_address(order.to))
    state = {
        Stage.UNLOCKING: tr("the wallet is being unlocked"),
        Stage.SIGNING: tr("being signed and sent"),
        Stage.SENT: tr("sent, waiting for its block"),
    }.get(stage, "")
    return Words(f"{what}: {state}.", "text", transaction)

"""Stake that was asked back, in words: how much, and when it can be taken out."""

from __future__ import annotations

from depin_desktop.api.wallet import Thaw, WalletStatus
from depin_desktop.app.words import Words, ahead, clock, date, full_time, tr
from depin_desktop.core.units import format_tokens


def local_end(ends: float, wallet: WalletStatus) -> float:
    """A time of the chain's clock by this machine's."""
    return ends - wallet.chain_at + wallet.as_of


def thawed(wallet: WalletStatus, now: float) -> int:
    """What can be taken out now."""
    return sum(thaw.amount for thaw in wallet.thawing if local_end(thaw.ends, wallet) <= now)


def thaw_words(thaw: Thaw, wallet: WalletStatus, symbol: str, now: float) -> Words:
    """One release of stake, and when it can be taken out."""
    amount = f"{format_tokens(thaw.amount)} {symbol}"
    at = local_end(thaw.ends, wallet)
    if at <= now:
        return Words(tr("{amount} can be taken out", amount=amount), "accent", full_time(at))
    return Words(tr("{amount} from {time}", amount=amount, time=moment_words(at, now)), "muted", full_time(at))


def thawing_words(wallet: WalletStatus | None, symbol: str, now: float) -> Words:
    """All releases in a line; empty where there is none."""
    if wallet is None or not wallet.thawing:
        return Words("")
    lines = [thaw_words(thaw, wallet, symbol, now) for thaw in wallet.thawing]
    tip = "\n".join(f"{line.text} ({line.tip})" for line in lines)
    ready = thawed(wallet, now)
    if ready:
        return Words(
            tr("{n} {unit} of released stake can be taken out.", n=format_tokens(ready), unit=symbol), "text", tip
        )
    total = sum(thaw.amount for thaw in wallet.thawing)
    first = min(local_end(thaw.ends, wallet) for thaw in wallet.thawing)
    return Words(
        tr(
            "{n} {unit} of the stake are being released, the first from {time}.",
            n=format_tokens(total),
            unit=symbol,
            time=moment_words(first, now),
        )
        if len(wallet.thawing) > 1
        else tr(
            "{n} {unit} of the stake are being released, until {time}.",
            n=format_tokens(total),
            unit=symbol,
            time=moment_words(first, now),
        ),
        "muted",
        tip,
    )


def moment_words(at: float, now: float) -> str:
    """A local time to come, with how far off it is: "24 Oct, 14:05 (in 21 days)"."""
    return f"{date(at)}, {clock(at)} ({ahead(at - now)})"

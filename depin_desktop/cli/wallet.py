"""`depin wallet`: what was earned, what is owned, and how it came."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence

import click

from depin_desktop.api.client import EngineClient, EngineUnreachable
from depin_desktop.api.wallet import HistoryEntry, Thaw, WalletStatus
from depin_desktop.cli import asking, deposits, spending
from depin_desktop.cli.output import Context, command, table
from depin_desktop.cli.password import new_password, password_option, wallet_password
from depin_desktop.core.units import format_tokens


def register(root: click.Group) -> None:
    root.add_command(wallet)
    spending.register(wallet)
    deposits.register(wallet)


@click.group(invoke_without_command=True)
@command
async def wallet(context: Context) -> None:
    """Show balance, pending and claimed earnings, stake and gas."""
    if click.get_current_context().invoked_subcommand is not None:
        return
    answer = await _status(context)
    context.answer(answer, describe(answer))
    if not answer.backed_up:
        context.note(
            "The wallet's words are not written down yet; whoever loses this disk loses it: depin wallet backup"
        )


async def _status(context: Context) -> WalletStatus:
    """From the engine where one runs, else straight from the chain."""
    try:
        async with EngineClient(context.home) as client:
            return await client.wallet()
    except EngineUnreachable:
        from depin_desktop.engine.offline import wallet_status

        return await wallet_status(context.home)


def describe(status: WalletStatus) -> str:
    """The wallet for people: one amount a line."""
    amounts = [
        ("balance", status.balance),
        ("spending budget", status.spending_balance),
        ("pending", status.pending),
        ("claimed", status.claimed),
        ("earned today", status.earned_today),
        ("earned in total", status.earned_total),
        ("stake", status.stake),
        ("gas, operator", status.operator_gas),
        ("gas, owner", status.owner_gas),
    ]
    rows = [("address", status.owner), *((name, format_tokens(amount, significant=4)) for name, amount in amounts)]
    if status.payout != status.owner:
        rows.append(("earnings go to", status.payout))
    rows += [("being released", spoken_thaw(thaw)) for thaw in status.thawing]
    return table(rows)


def spoken_thaw(thaw: Thaw) -> str:
    """Stake that was asked back, and from when on it can be taken out, in local time."""
    return f"{format_tokens(thaw.amount, significant=4)} from {time.strftime('%c', time.localtime(thaw.ends))}"


@wallet.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@command
async def history(context: Context, limit: int) -> None:
    """List what came and went, the newest first."""
    entries: Sequence[HistoryEntry]
    try:
        async with EngineClient(context.home) as client:
            entries = await client.history(limit)
    except EngineUnreachable:
        from depin_desktop.engine.offline import wallet_history

        entries = await wallet_history(context.home, limit)
    lines = [_HEADER, *(_line(entry) for entry in entries)]
    plain = [{**entry.model_dump(mode="json"), "net": str(entry.net)} for entry in entries]
    context.answer(plain, table(lines, right=frozenset({2, 3, 4})) if entries else "Nothing yet.")


_HEADER = ("when", "what", "gross", "fee", "net", "with", "transaction")


def _line(entry: HistoryEntry) -> tuple[str, ...]:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.at))
    what = f"{entry.kind} ({entry.status})" if entry.status != "confirmed" else entry.kind
    fee = format_tokens(entry.fee_worth, significant=2)  # of a relayer, or what our gas is worth
    if entry.fee:
        coin = f"{format_tokens(entry.fee, significant=2)} coin"
        fee = f"{fee} ({coin})" if entry.fee_worth else coin
    return when, what, _signed(entry.amount), fee, _signed(entry.net), entry.counterparty, entry.transaction


def _signed(amount: int) -> str:
    return f"{'+' if amount >= 0 else '−'}{format_tokens(abs(amount), significant=4)}"


@wallet.command()
@click.option("--written-down", is_flag=True, help="Remember that they are on paper, without showing them.")
@password_option
@command
async def backup(context: Context, written_down: bool, password_stdin: bool) -> None:
    """Show the wallet's words, to be written on paper."""
    from depin_desktop.wallet.vault import Vault

    vault = await asyncio.to_thread(Vault.load, context.home.vault)
    if written_down:
        await asyncio.to_thread(vault.mark_backed_up)
        context.answer({"backed_up": True}, "Good. Keep them where nobody else looks.")
        return
    words = await asyncio.to_thread(vault.words, await wallet_password(context.home, from_stdin=password_stdin))
    context.note("Write these words down and keep them where nobody else looks. Whoever has them has the wallet.")
    context.answer({"words": words}, words)
    if sys.stdin.isatty() and not vault.backed_up and asking.confirm("Are they on paper now?"):
        await asyncio.to_thread(vault.mark_backed_up)


@wallet.command()
@click.option("--password-stdin", is_flag=True, help="Read the old and the new one from standard input, a line each.")
@command
async def password(context: Context, password_stdin: bool) -> None:
    """Choose another password."""
    from depin_desktop.wallet import unlock_cache
    from depin_desktop.wallet.vault import Vault

    vault = await asyncio.to_thread(Vault.load, context.home.vault)
    if password_stdin:
        old = await wallet_password(context.home, from_stdin=True)
    else:
        old = asking.hidden("Password")
    await asyncio.to_thread(vault.words, old)  # a wrong one is told before a new one is asked for
    new = new_password(from_stdin=password_stdin)
    await asyncio.to_thread(vault.change_password, old, new)
    await asyncio.to_thread(unlock_cache.forget, vault.owner)
    context.answer({"changed": True}, "The wallet has its new password.")


@wallet.command()
@password_option
@command
async def unlock(context: Context, password_stdin: bool) -> None:
    """Let the system's key store remember the password, so that it is not asked for again."""
    from depin_desktop.wallet import unlock_cache
    from depin_desktop.wallet.vault import Vault

    vault = await asyncio.to_thread(Vault.load, context.home.vault)
    given = await wallet_password(context.home, from_stdin=password_stdin)
    await asyncio.to_thread(vault.words, given)
    await asyncio.to_thread(unlock_cache.remember, vault.owner, given)
    context.answer({"remembered": True}, "The system's key store remembers the password: depin wallet lock")


@wallet.command()
@command
async def lock(context: Context) -> None:
    """Have the system's key store forget the password."""
    from depin_desktop.wallet import unlock_cache
    from depin_desktop.wallet.vault import Vault

    vault = await asyncio.to_thread(Vault.load, context.home.vault)
    await asyncio.to_thread(unlock_cache.forget, vault.owner)
    context.answer({"remembered": False}, "The password is asked for each time.")

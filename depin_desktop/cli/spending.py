"""`depin wallet send|stake|unstake|payout|budget`: needs the password; shown with its fee and asked first."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import click

from depin_desktop.cli import asking
from depin_desktop.cli.output import Context, command, table
from depin_desktop.cli.password import password_option, wallet_password
from depin_desktop.core.units import format_tokens, parse_tokens

if TYPE_CHECKING:
    from depin_desktop.wallet.owner import Owner, Step

ALL, OPERATOR, SPENDER = "all", "operator", "spender"
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


def register(wallet: click.Group) -> None:
    for entry in (send, stake, unstake, payout, budget):
        wallet.add_command(entry)


def _amount(text: str) -> int | None:
    return None if text == ALL else parse_tokens(text)


@click.command()
@click.argument("address")
@click.argument("amount")
@click.option("--coin", is_flag=True, help="The chain's own coin, which pays for gas, instead of the token.")
@_yes
@password_option
@command
async def send(context: Context, address: str, amount: str, coin: bool, yes: bool, password_stdin: bool) -> None:
    """Send AMOUNT tokens, or “all”, from the wallet to ADDRESS; or to this machine's “operator” or “spender”."""
    from depin_desktop.core.addresses import parse_address

    wanted = _amount(amount)
    known = None if address in (OPERATOR, SPENDER) else parse_address(address)

    async def look(owner: Owner) -> Step:
        to = known or (owner.operator if address == OPERATOR else owner.spender)
        return await (owner.send_coin(to, wanted) if coin else owner.send(to, wanted))

    await _do(context, look, yes, password_stdin)


@click.command()
@click.argument("amount")
@_yes
@password_option
@command
async def stake(context: Context, amount: str, yes: bool, password_stdin: bool) -> None:
    """Add AMOUNT tokens to the stake behind this home's promises."""
    wanted = parse_tokens(amount)
    await _do(context, lambda owner: owner.stake(wanted), yes, password_stdin)


@click.command()
@click.argument("amount", required=False)
@_yes
@password_option
@command
async def unstake(context: Context, amount: str | None, yes: bool, password_stdin: bool) -> None:
    """Release AMOUNT tokens (or “all”) of the stake; without AMOUNT, take out what has waited long enough."""
    if amount is not None:
        wanted = _amount(amount)
        await _do(context, lambda owner: owner.begin_thaw(wanted), yes, password_stdin)
        return
    await _do(context, lambda owner: owner.end_of_thaw(), yes, password_stdin, otherwise=_thaws)


async def _thaws(owner: Owner) -> tuple[object, str]:
    waiting = await owner.thaws()
    rows = [(format_tokens(one.amount), f"from {time.strftime('%c', time.localtime(one.ends))}") for one in waiting]
    plain = [{"amount": str(one.amount), "ends": one.ends} for one in waiting]
    return {"thawing": plain}, table(rows, right=frozenset({0})) or "Nothing is being released."


@click.command()
@click.argument("address")
@_yes
@password_option
@command
async def payout(context: Context, address: str, yes: bool, password_stdin: bool) -> None:
    """Have earnings paid to ADDRESS instead of the wallet."""
    from depin_desktop.core.addresses import parse_address

    to = parse_address(address)
    await _do(context, lambda owner: owner.set_payout(to), yes, password_stdin)


@click.command()
@click.argument("amount")
@_yes
@password_option
@command
async def budget(context: Context, amount: str, yes: bool, password_stdin: bool) -> None:
    """Let the spending account hold AMOUNT tokens: moves what is missing there, or takes the rest back."""
    wanted = parse_tokens(amount)

    async def nothing(_: Owner) -> tuple[object, str]:
        return {"amount": str(wanted)}, "The spending account holds that already."

    await _do(context, lambda owner: owner.set_budget(wanted), yes, password_stdin, otherwise=nothing)


async def _do(
    context: Context,
    look: Callable[[Owner], Coroutine[Any, Any, Step | None]],
    yes: bool,
    password_stdin: bool,
    *,
    otherwise: Callable[[Owner], Awaitable[tuple[object, str]]] | None = None,
) -> None:
    """Looks, asks, and takes the step; `otherwise` answers where there is none to take."""
    from depin_desktop.core.errors import UserFacingError
    from depin_desktop.wallet.owner import open_owner

    if not yes and not sys.stdin.isatty():
        raise UserFacingError(
            "This moves money and nobody is here to be asked.",
            "Add --yes to go on without a question.",
            code="not-asked",
        )
    async with open_owner(context.home, await wallet_password(context.home, from_stdin=password_stdin)) as owner:
        step = await look(owner)
        if step is None:
            assert otherwise is not None, "only steps that may be unnecessary are None"
            context.answer(*await otherwise(owner))
            return
        context.note(f"{step.summary}. Fee: at most {_fee(owner, step.highest_fee)}.")
        if step.note:
            context.note(step.note)
        if not yes:
            asking.confirm("Go on?", abort=True)
        taken = await owner.take(step)
        context.answer(
            taken, f"Done in block {taken.block} for a fee of {_fee(owner, taken.fee)}.\n{taken.transaction}"
        )


def _fee(owner: Owner, wei: int) -> str:
    worth, symbol = owner.chain.network.fee_in_token(wei), owner.chain.network.symbol
    in_tokens = f" (about {format_tokens(worth)} {symbol})" if worth else ""
    return f"{format_tokens(wei)} of the chain's coin{in_tokens}"

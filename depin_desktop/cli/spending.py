"""`depin wallet send|stake|unstake|payout|budget`: needs the password; shown with its fee and asked first."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from depin_desktop.cli import asking
from depin_desktop.cli.output import Context, command, table
from depin_desktop.cli.password import password_option, wallet_password
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_tokens, parse_tokens

if TYPE_CHECKING:
    from depin_desktop.wallet.owner import Owner, Step

ALL, OPERATOR, SPENDER = "all", "operator", "spender"
Looking = Callable[["Owner"], Coroutine[Any, Any, "Step | None"]]
Otherwise = Callable[["Owner"], Awaitable[tuple[object, str]]]


@dataclass(frozen=True)
class Consent:
    """How the owner agrees to a step: by password, when asked or beforehand, and up to a fee in wei."""

    yes: bool
    password_stdin: bool
    fee_limit: int | None


def consent(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options by which the owner agrees; the function gets them as `consent`."""

    @click.option("--yes", is_flag=True, help="Do not ask.")
    @click.option("--fee-limit", metavar="COINS", help="Refuse where the fee may be above so much of the chain's coin.")
    @password_option
    @functools.wraps(function)
    def wrapped(*args: Any, yes: bool, password_stdin: bool, fee_limit: str | None, **options: Any) -> Any:
        limit = None if fee_limit is None else parse_tokens(fee_limit)
        return function(*args, consent=Consent(yes, password_stdin, limit), **options)

    return wrapped


def register(wallet: click.Group) -> None:
    for entry in (send, stake, unstake, payout, budget):
        wallet.add_command(entry)


def _amount(text: str) -> int | None:
    return None if text == ALL else parse_tokens(text)


@click.command()
@click.argument("address")
@click.argument("amount")
@click.option("--coin", is_flag=True, help="The chain's own coin, which pays for gas, instead of the token.")
@command
@consent
async def send(context: Context, address: str, amount: str, coin: bool, consent: Consent) -> None:
    """Send AMOUNT tokens, or “all”, from the wallet to ADDRESS; or to this machine's “operator” or “spender”."""
    from depin_desktop.core.addresses import parse_address

    wanted = _amount(amount)
    known = None if address in (OPERATOR, SPENDER) else parse_address(address)

    async def look(owner: Owner) -> Step:
        to = known or (owner.operator if address == OPERATOR else owner.spender)
        return await (owner.send_coin(to, wanted) if coin else owner.send(to, wanted))

    await _do(context, look, consent)


@click.command()
@click.argument("amount")
@command
@consent
async def stake(context: Context, amount: str, consent: Consent) -> None:
    """Add AMOUNT tokens, or “all”, to the stake behind this home's promises."""
    wanted = _amount(amount)
    await _do(context, lambda owner: owner.stake(wanted), consent)


@click.command()
@click.argument("amount", required=False)
@command
@consent
async def unstake(context: Context, amount: str | None, consent: Consent) -> None:
    """Release AMOUNT tokens (or “all”) of the stake; without AMOUNT, take out what has waited long enough."""
    if amount is not None:
        wanted = _amount(amount)
        await _do(context, lambda owner: owner.begin_thaw(wanted), consent)
        return
    await _do(context, lambda owner: owner.end_of_thaw(), consent, otherwise=_thaws)


async def _thaws(owner: Owner) -> tuple[object, str]:
    waiting = await owner.thaws()
    rows = [(format_tokens(one.amount), f"from {time.strftime('%c', time.localtime(one.ends))}") for one in waiting]
    plain = [{"amount": str(one.amount), "ends": one.ends} for one in waiting]
    return {"thawing": plain}, table(rows, right=frozenset({0})) or "Nothing is being released."


@click.command()
@click.argument("address")
@command
@consent
async def payout(context: Context, address: str, consent: Consent) -> None:
    """Have earnings paid to ADDRESS instead of the wallet."""
    from depin_desktop.core.addresses import parse_address

    to = parse_address(address)
    await _do(context, lambda owner: owner.set_payout(to), consent)


@click.command()
@click.argument("amount")
@command
@consent
async def budget(context: Context, amount: str, consent: Consent) -> None:
    """Let the spending account hold AMOUNT tokens: moves what is missing there, or takes the rest back."""
    wanted = parse_tokens(amount)

    async def nothing(_: Owner) -> tuple[object, str]:
        return {"amount": str(wanted)}, "The spending account holds that already."

    await _do(context, lambda owner: owner.set_budget(wanted), consent, otherwise=nothing)


async def _do(context: Context, look: Looking, consent: Consent, *, otherwise: Otherwise | None = None) -> None:
    """Looks, asks, and takes the step; `otherwise` answers where there is none to take."""
    from depin_desktop.wallet.owner import open_owner

    if not consent.yes and not sys.stdin.isatty():
        raise UserFacingError(
            "This moves money and nobody is here to be asked.",
            "Add --yes to go on without a question.",
            code="not-asked",
        )
    async with open_owner(
        context.home, await wallet_password(context.home, from_stdin=consent.password_stdin)
    ) as owner:
        context.progress("unlocked")
        step = await look(owner)
        if step is None:
            assert otherwise is not None, "only steps that may be unnecessary are None"
            context.answer(*await otherwise(owner))
            return
        context.note(f"{step.summary}. Fee: at most {_fee(owner, step.highest_fee, up=True)}.")
        for note in step.notes:
            context.note(note)
        _check_fee(step, consent.fee_limit)
        if not consent.yes:
            asking.confirm("Go on?", abort=True)

        def sent(transaction: bytes) -> None:
            name = f"0x{transaction.hex()}"
            context.progress("sent", f"Sent as {name}; waiting for its block.", transaction=name)

        taken = await owner.take(step, sent)
        context.answer(
            taken, f"Done in block {taken.block} for a fee of {_fee(owner, taken.fee)}.\n{taken.transaction}"
        )


def _check_fee(step: Step, limit: int | None) -> None:
    if limit is not None and step.highest_fee > limit:
        raise UserFacingError(
            f"The fee may be {format_tokens(step.highest_fee, up=True)} of the chain's coin by now,"
            f" more than the {format_tokens(limit)} that were agreed to.",
            "Look at it again, or wait until the chain is less busy.",
            code="fee-rose",
            status=409,
        )


def _fee(owner: Owner, wei: int, *, up: bool = False) -> str:
    worth, symbol = owner.chain.network.fee_in_token(wei), owner.chain.network.symbol
    in_tokens = f" (about {format_tokens(worth, up=up)} {symbol})" if worth else ""
    return f"{format_tokens(wei, up=up)} of the chain's coin{in_tokens}"

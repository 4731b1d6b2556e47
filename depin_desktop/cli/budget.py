"""Deposits are shown before they are signed, and asked for where somebody is there to answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from depin_desktop.core.units import format_tokens

if TYPE_CHECKING:
    from depin_desktop.payments.payer import Budget, TopUp


def spoken(wish: TopUp) -> str:
    """A deposit in a sentence; amounts in tokens."""
    return (
        f"Deposit {format_tokens(wish.amount)} for the provider {wish.provider}"
        f" ({format_tokens(wish.deposited_before)} deposited so far; what is not used can be had back)"
    )


def asking(answer: Callable[[str], bool] | None = None) -> Budget:
    """A budget that is the spending account's balance, and shows each deposit before it is signed.

    Args:
        answer: decides on a question; by default a prompt on a terminal, and yes where there is none (a script has set
            its limit by what it moved to the spending account).
    """
    from depin_desktop.payments.payer import Budget

    async def ask(wish: TopUp) -> bool:
        if answer is not None:
            return await asyncio.to_thread(answer, spoken(wish))
        if sys.stdin.isatty():
            return await asyncio.to_thread(click.confirm, f"{spoken(wish)}?", default=True, err=True)
        click.echo(f"{spoken(wish)}.", err=True)
        return True

    return Budget(ask=ask)


def up_to(amount: int) -> Budget:
    """A budget of which this process may deposit `amount` base units, showing each deposit, and then no more."""
    from depin_desktop.payments.payer import Budget

    left = amount

    async def ask(wish: TopUp) -> bool:
        nonlocal left
        if wish.amount > left:
            click.echo(f"Not allowed: {spoken(wish)}; {format_tokens(left)} left.", err=True)
            return False
        left -= wish.amount
        click.echo(f"{spoken(wish)}.", err=True)
        return True

    return Budget(ask=ask)

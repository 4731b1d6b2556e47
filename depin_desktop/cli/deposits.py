"""`depin wallet deposits|reclaim`: what lies in channels to providers, and how to have it back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import click

from depin_desktop.cli.output import Context, command, table
from depin_desktop.core.units import format_tokens

if TYPE_CHECKING:
    from depin_desktop.chain.chain import Chain
    from depin_desktop.core.database import Database
    from depin_desktop.customer.deposits import Deposit, Returned


def register(wallet: click.Group) -> None:
    for entry in (deposits, reclaim):
        wallet.add_command(entry)


@click.command()
@command
async def deposits(context: Context) -> None:
    """List what lies in channels to providers and is not used up."""
    from depin_desktop.customer import deposits as work

    async with _opened(context) as (chain, database):
        found = await work.deposits(chain, database)
    context.answer(found, _lines(found) or "Nothing lies with providers.")


@click.command()
@click.argument("providers", nargs=-1, metavar="[PROVIDER]...")
@click.option("--alone", is_flag=True, help="Without the provider: takes its delay, and gas of the spending account.")
@command
async def reclaim(context: Context, providers: Sequence[str], alone: bool) -> None:
    """Have unused deposits back from PROVIDERs (default: all), at once and for nothing where they answer.

    With --alone it is announced on the chain; run it again after the delay to finish.
    """
    from depin_desktop.core.addresses import parse_address

    wanted = [parse_address(one) for one in providers]
    if alone:
        await _withdraw(context, wanted)
        return
    from depin_desktop.customer.session import Customer

    async with Customer.open(context.home) as customer:
        returned = await customer.reclaim(wanted)
    context.answer(returned, table([_outcome(one) for one in returned]) or "Nothing lies with providers.")


async def _withdraw(context: Context, wanted: Sequence[str]) -> None:
    from depin_desktop.customer import deposits as work
    from depin_desktop.wallet import hotkeys

    spender = await asyncio.to_thread(hotkeys.spender, context.home)
    async with _opened(context) as (chain, database):
        waiting = await work.withdraw_alone(chain, spender, database, wanted)
    context.answer(waiting, _lines(waiting) or "Done: nothing waits.")


@contextlib.asynccontextmanager
async def _opened(context: Context) -> AsyncIterator[tuple[Chain, Database]]:
    from depin_desktop.chain.chain import Chain
    from depin_desktop.core.database import Database
    from depin_desktop.wallet.joining import joined_network

    async with contextlib.AsyncExitStack() as stack:
        chain = await Chain.connect(await asyncio.to_thread(joined_network, context.home))
        stack.push_async_callback(chain.close)
        database = Database(context.home.customer_database)
        await database.open()
        stack.push_async_callback(database.close)
        yield chain, database


def _lines(found: Sequence[Deposit]) -> str:
    return table([(one.provider, format_tokens(one.left), _when(one)) for one in found], right=frozenset({1}))


def _when(deposit: Deposit) -> str:
    return (
        "" if deposit.ready_at is None else f"can be had from {time.strftime('%c', time.localtime(deposit.ready_at))}"
    )


def _outcome(one: Returned) -> tuple[str, str]:
    return one.provider, one.problem or f"{format_tokens(one.amount)} returned"

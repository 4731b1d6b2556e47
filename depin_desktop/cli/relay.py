"""`depin relay`: send claims for providers without gas, for a fee in tokens that covers it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from depin_desktop.cli.output import AbsolutePath, Context, command
from depin_desktop.core.units import parse_tokens

if TYPE_CHECKING:
    from depin_desktop.chain.accounts import LocalAccount
    from depin_desktop.payments.paywall import Paywall

CLAIM_EVERY_S = 60.0


def register(root: click.Group) -> None:
    root.add_command(relay)


@click.command()
@click.option("--key-file", type=AbsolutePath(), required=True, metavar="FILE", help="The relayer's key, in hex.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8402, show_default=True, type=click.IntRange(0, 65_535))
@click.option("--floor", default="0.001", show_default=True, metavar="TOKENS", help="The smallest fee for a batch.")
@command
async def relay(context: Context, key_file: Path, host: str, port: int, floor: str) -> None:
    """Send claims for providers without gas, until Ctrl-C; what the gas is worth is paid in tokens.

    Its account holds some of the chain's coin, is told to the network's founder, and stands in the network file. Behind
    a server that speaks https, whoever uses it sees nothing but public vouchers.
    """
    from depin_desktop.wallet.hotkeys import load

    account = await asyncio.to_thread(load, key_file)
    async with contextlib.AsyncExitStack() as stack:
        bound, paywall = await serve(context, account, host, port, parse_tokens(floor), stack)
        plain = {"address": account.address, "host": host, "port": bound}
        context.answer(plain, f"Relaying on http://{host}:{bound} as {account.address}")
        await _claim_for_ever(paywall)


async def serve(
    context: Context, account: LocalAccount, host: str, port: int, floor: int, stack: contextlib.AsyncExitStack
) -> tuple[int, Paywall]:
    """Opens the relayer of the home's network; returns the port that it listens on and what takes its fees."""
    from aiohttp import web

    from depin_desktop.chain.chain import Chain
    from depin_desktop.chain.sender import Sender
    from depin_desktop.core.database import Database
    from depin_desktop.payments.paywall import Paywall
    from depin_desktop.payments.relayer import Relayer
    from depin_desktop.wallet.joining import joined_network

    chain = await Chain.connect(await asyncio.to_thread(joined_network, context.home))
    stack.push_async_callback(chain.close)
    database = Database(context.home.place / "relay.sqlite")
    await database.open()
    stack.push_async_callback(database.close)
    sender = Sender(chain, account, database)
    await sender.start()
    stack.push_async_callback(sender.stop)
    paywall = Paywall(chain, sender, database, receiver=account.address, operator_account=account, exposure_cap=0)
    await paywall.start()
    app = web.Application()
    app.add_routes(Relayer(chain, sender, paywall, floor=floor).routes())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, host, port).start()
    return int(runner.addresses[0][1]), paywall


async def _claim_for_ever(paywall: Paywall) -> None:
    from depin_desktop.core.errors import UserFacingError
    from depin_desktop.core.tasks import Cycle

    async def claim() -> None:
        try:
            await paywall.maintain()
        except UserFacingError as error:
            Context.note(str(error))

    await Cycle("relay/claims", CLAIM_EVERY_S, claim).run()

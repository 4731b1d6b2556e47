"""`depin gateway`: OpenAI's API on this machine, answered by the network."""

from __future__ import annotations

import asyncio
import json

import click

from depin_desktop.cli.ai import checks_option
from depin_desktop.cli.budget import asking, up_to
from depin_desktop.cli.output import Context, command, table
from depin_desktop.core.units import parse_tokens


def register(root: click.Group) -> None:
    root.add_command(gateway)


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="On loopback (default: this home's own; 0: any free one).")
@click.option("--open", "without_key", is_flag=True, help="Take any API key: every user of this machine may spend.")
@click.option("--budget", help="Deposit up to so many tokens without asking (default: ask for each deposit).")
@click.option("--provider", help="Pass one provider's own HTTP through instead, for x402 clients: its owner's address.")
@checks_option
@command
async def gateway(
    context: Context,
    port: int | None,
    without_key: bool,
    budget: str | None,
    provider: str | None,
    checks: float,
) -> None:
    """Serve OpenAI's API for programs on this machine until Ctrl-C; prints its address and key.

    Point any OpenAI client at it: export OPENAI_BASE_URL=… OPENAI_API_KEY=…
    """
    from depin_desktop.localnet.signals import run_until_stopped

    if provider is not None:
        await run_until_stopped(_pass_through(context, provider, port or 0))
        return
    await run_until_stopped(_serve(context, port, without_key, budget, checks))


async def _serve(context: Context, port: int | None, without_key: bool, budget: str | None, checks: float) -> None:
    from depin_desktop.customer.gateway.gateway import Gateway
    from depin_desktop.customer.gateway.kept import kept
    from depin_desktop.customer.session import Customer

    own = await asyncio.to_thread(kept, context.home)
    key = None if without_key else own.key
    allowed = up_to(parse_tokens(budget)) if budget else asking()
    async with Customer.open(context.home, budget=allowed, checks=checks) as customer:
        client = await customer.compute.client()
        gateway = await Gateway.open(client, port=own.port if port is None else port, key=key)
        try:
            said = {"base_url": gateway.base_url, "api_key": key or "any"}
            _say(context, said, table([*said.items()]))
            await client.warm()
            await asyncio.Event().wait()
        finally:
            await gateway.close()


async def _pass_through(context: Context, owner: str, port: int) -> None:
    from depin_desktop.chain.chain import Chain
    from depin_desktop.customer.hub_market import HubMarket
    from depin_desktop.wallet.joining import joined_network

    chain = await Chain.connect(await asyncio.to_thread(joined_network, context.home))
    market = HubMarket(chain)
    try:
        await market.start()
        tunnel = await market.tunnel(owner, port=port)
        try:
            _say(context, {"url": tunnel.url, "provider": owner}, tunnel.url)
            await asyncio.Event().wait()
        finally:
            await tunnel.close()
    finally:
        await market.close()
        await chain.close()


def _say(context: Context, data: dict[str, str], text: str) -> None:
    """One line of JSON, or the same for people, at once: whoever started this reads it to go on."""
    click.echo(json.dumps(data) if context.as_json else text)

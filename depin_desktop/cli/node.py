"""Commands of the node: `engine`, `status`, `hardware`, `share`, `unshare`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from depin_desktop.api.client import EngineClient
from depin_desktop.api.models import EngineStatus, ShareStorage, StorageStatus
from depin_desktop.cli.output import AbsolutePath, Context, command, table
from depin_desktop.core.units import format_age, format_size, format_tokens, parse_size, parse_tokens


def register(root: click.Group) -> None:
    for entry in (engine, status, hardware, share, unshare):
        root.add_command(entry)


@click.command()
@command
def engine(context: Context) -> None:
    """Run the engine in the foreground until Ctrl-C."""
    from depin_desktop.engine.main import run

    run(context.home)


@click.command()
@command
async def status(context: Context) -> None:
    """Say what the engine is doing."""
    async with EngineClient(context.home) as client:
        answer = await client.status()
    context.answer(answer, describe(answer))


def describe(status: EngineStatus) -> str:
    """The engine's status for people: one fact a line."""
    symbol = status.network.symbol
    chain = f"block {status.network.block}" if status.network.connected else status.network.detail or "out of reach"
    offers = f"{status.hub.offers} offer{'' if status.hub.offers == 1 else 's'}"
    hub = f"connected, {offers}" if status.hub.connected else status.hub.detail or "out of reach"
    rows = [
        ("network", f"{status.network.name}, {chain}"),
        ("hub", hub),
        ("node", f"{status.node.node_id[:16]}…, {status.node.peers} peer{'' if status.node.peers == 1 else 's'}"),
        ("sharing", "on" if status.sharing else status.paused_reason or "off"),
        (
            "earned",
            f"{format_tokens(status.earned_today)} {symbol} today, {format_tokens(status.earned_total)} in total",
        ),
    ]
    rows += [(service.kind.value, f"{service.state.value} {service.reason}".strip()) for service in status.services]
    if status.network.private:
        rows.append(("note", "tokens on this private network have no value"))
    return table(rows)


@click.command()
@command
async def hardware(context: Context) -> None:
    """List what this machine has."""
    from depin_desktop.hardware.inventory import take_inventory
    from depin_desktop.hardware.report import render

    inventory = await take_inventory()
    context.answer(inventory, render(inventory))


@click.group()
def share() -> None:
    """Share something of this machine."""


@share.command("storage")
@click.option("--path", required=True, type=AbsolutePath(), help="The folder that customers' data goes into.")
@click.option("--size", required=True, help="How much to share, such as 5GiB or 500MB.")
@click.option("--price", help="Price in tokens for a TiB and month (default: the network's suggestion).")
@click.option("--keep-free", help="Free space that is always left on the disk.")
@command
async def share_storage(context: Context, path: Path, size: str, price: str | None, keep_free: str | None) -> None:
    """Share a folder, or change the size of one that is shared."""
    request = ShareStorage(
        path=str(path),
        size_bytes=parse_size(size),
        keep_free_bytes=parse_size(keep_free) if keep_free else None,
        price_per_tib_month=parse_tokens(price) if price else None,
    )
    async with EngineClient(context.home) as client:
        answer = await client.share_storage(request)
    context.answer(answer, describe_folders(answer))


@click.group()
def unshare() -> None:
    """Stop sharing something of this machine."""


@unshare.command("storage")
@click.option("--path", type=AbsolutePath(), help="One folder; all when not given.")
@command
async def unshare_storage(context: Context, path: Path | None) -> None:
    """Take nothing new; what customers have paid for is served until their deals end."""
    async with EngineClient(context.home) as client:
        answer = await client.unshare_storage(str(path) if path else None)
    context.answer(answer, describe_folders(answer) or "Nothing is shared.")


def describe_folders(status: StorageStatus) -> str:
    """The shared folders for people, a line each."""
    rows = [
        (
            folder.path,
            f"{format_size(folder.stored_bytes)} of {format_size(folder.allocated_bytes)}",
            folder.state.value,
            folder.detail,
        )
        for folder in status.folders
    ]
    text = table(rows, right=frozenset({1}))
    if status.last_proven_at is not None:
        text += f"\nLast proof {format_age(time.time() - status.last_proven_at)}."
    return text

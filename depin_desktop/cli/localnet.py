"""`depin localnet …` and `depin init`: a network on this machine, and the keys to join one with."""

from __future__ import annotations

from pathlib import Path

import click
from platformdirs import user_data_path

from depin_desktop.cli.output import AbsolutePath, Context, command
from depin_desktop.cli.password import known_words, new_password, password_option


def register(root: click.Group) -> None:
    root.add_command(localnet)
    root.add_command(init)


@click.group()
def localnet() -> None:
    """The embedded network: a private chain and hub on this machine. Its tokens have no value."""


_dir = click.option(
    "--dir",
    "directory",
    type=AbsolutePath(),
    default=user_data_path("depin-desktop", appauthor=False) / "localnet",
    metavar="DIR",
    help="Where the network lives.",
)


@localnet.command()
@_dir
@click.option("--period", type=click.IntRange(min=4), default=60, show_default=True, help="Proving period in seconds.")
@click.option("--demand/--no-demand", default=False, help="Also run neighbours who keep files and have work done.")
@command
async def up(context: Context, directory: Path, period: int, demand: bool) -> None:
    """Start it; prints the path of its network file once it is ready."""
    from depin_desktop.localnet import control

    context.note("Starting the private network …")
    path = await control.up(directory, period, demand=demand)
    context.answer({"network": str(path)}, str(path))


@localnet.command()
@_dir
@command
async def down(context: Context, directory: Path) -> None:
    """Stop it; its state is kept."""
    from depin_desktop.localnet import control

    stopped = await control.down(directory)
    context.answer({"stopped": stopped}, "Stopped." if stopped else "It was not running.")


@localnet.command("status")
@_dir
@command
async def localnet_status(context: Context, directory: Path) -> None:
    """Say whether it runs, and how."""
    from depin_desktop.localnet import control

    status = await control.status(directory)
    lines = ["running" if status.running else "not running"]
    lines += [f"{process.name}: pid {process.pid}, {process.restarts} restarts" for process in status.processes]
    context.answer(status, "\n".join(lines))


@click.command()
@click.option(
    "--network",
    "network_file",
    type=AbsolutePath(),
    metavar="FILE",
    help="The network file (default: the network that is in use).",
)
@click.option("--restore", is_flag=True, help="Make the wallet from its twelve words, which are asked for.")
@password_option
@command
async def init(context: Context, network_file: Path | None, restore: bool, password_stdin: bool) -> None:
    """Make this home's wallet and keys, and join a network."""
    from depin_desktop.core.errors import UserFacingError
    from depin_desktop.wallet.onboarding import initialise

    if network_file is None and not context.home.network.exists():
        raise UserFacingError(
            "This home has no network.",
            "Name one with --network FILE, or add one with `depin network add`.",
            code="no-network",
        )
    password = new_password(from_stdin=password_stdin)
    words = known_words(from_stdin=password_stdin) if restore else None
    if words is not None and context.home.vault.exists():
        raise UserFacingError(
            "This home has a wallet, which is never replaced.",
            "Choose a new home for the other one with --home.",
            code="wallet-exists",
        )
    summary = await initialise(context.home, network_file or context.home.network, password, words=words)
    text = f"Wallet {summary.owner} is ready in {context.home.root}."
    text = "\n".join([text, *summary.to_do])
    if not summary.backed_up:
        text += "\nWrite its words down: depin wallet backup"
    context.answer(summary, text)

"""`depin localnet …` and `depin init`: a network on this machine, and the keys to join one with."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from platformdirs import user_data_path

from depin_desktop.cli.output import AbsolutePath, Context, command

MIN_PASSWORD_LENGTH = 8


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
@click.option("--demand/--no-demand", default=False, help="Also run neighbours who store and read files.")
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
@click.option("--password-stdin", is_flag=True, help="Read the wallet's password from standard input.")
@command
async def init(context: Context, network_file: Path | None, password_stdin: bool) -> None:
    """Make this home's wallet and keys, and join a network."""
    from depin_desktop.core.errors import UserFacingError
    from depin_desktop.wallet.onboarding import initialise

    if network_file is None and not context.home.network.exists():
        raise UserFacingError(
            "This home has no network.",
            "Name one with --network FILE, or add one with `depin network add`.",
            code="no-network",
        )
    summary = await initialise(context.home, network_file or context.home.network, _password(password_stdin))
    text = f"Wallet {summary.owner} is ready in {context.home.root}."
    text = "\n".join([text, *summary.to_do])
    if not summary.backed_up:
        text += "\nWrite its words down: depin wallet backup"
    context.answer(summary, text)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Choose a password for the wallet", hide_input=True, confirmation_prompt=True)
    if len(password) < MIN_PASSWORD_LENGTH:
        from depin_desktop.core.errors import UserFacingError

        raise UserFacingError(
            "The password is too short.", f"Use at least {MIN_PASSWORD_LENGTH} characters.", code="weak-password"
        )
    return password

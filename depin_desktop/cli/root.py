"""The tree of commands."""

from __future__ import annotations

import click

from depin_desktop import __version__
from depin_desktop.cli import (
    ai,
    compute,
    controls,
    gateway,
    job,
    localnet,
    network,
    node,
    presence,
    relay,
    store,
    wallet,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="depin")
def main() -> None:
    """Share what you own with a network that no company owns, and be paid for it.

    Shell completion: eval "$(depin completion bash)" (or zsh, fish).
    """


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None  # the choice above names only shells that click supports
    click.echo(found(main, {}, "depin", "_DEPIN_COMPLETE").source())


ai.register(main)
compute.register(main, node.share, node.unshare)
controls.register(main)
gateway.register(main)
job.register(main)
localnet.register(main)
network.register(main)
node.register(main)
presence.register(main)
relay.register(main)
store.register(main)
wallet.register(main)

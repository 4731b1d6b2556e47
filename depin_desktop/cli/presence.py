"""`depin presence`: lets a desktop session tell the engine of its user while the app is closed."""

from __future__ import annotations

import click

from depin_desktop.api.client import EngineClient
from depin_desktop.cli.output import Context, command


def register(root: click.Group) -> None:
    root.add_command(presence)


@click.command()
@command
async def presence(context: Context) -> None:
    """Tell the engine whether this desktop is in use, until Ctrl-C; start it with your session.

    The app does the same while it is open.
    """
    from depin_desktop.presence.teller import Teller

    async with EngineClient(context.home) as client:
        await Teller(client.tell_presence).run()

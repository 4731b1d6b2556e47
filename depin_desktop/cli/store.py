"""`depin store …`: keep files with providers of the network."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from depin_desktop.cli.budget import asking
from depin_desktop.cli.output import AbsolutePath, Context, command, table
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_rate, format_size

_PROGRESS_INTERVAL_S = 0.2


def register(root: click.Group) -> None:
    root.add_command(store)


@click.group()
def store() -> None:
    """Keep files with providers of the network, encrypted and in redundant pieces."""


def parse_code(text: str) -> tuple[int, int]:
    """K/N as two numbers: any K of N pieces give the file back.

    Raises:
        UserFacingError: not of that form, or not 1 <= K <= N <= 255.
    """
    parts = text.split("/")
    if len(parts) == 2 and all(part.strip().isdigit() for part in parts):
        needed, total = int(parts[0]), int(parts[1])
        if 1 <= needed <= total <= 255:
            return needed, total
    raise UserFacingError(
        f"“{text}” is not a code.", "Write K/N, such as 2/4: any 2 of 4 pieces give the file back.", code="bad-code"
    )


def _progress() -> Callable[[int, int], None]:
    """Writes transferred bytes to a terminal's standard error, a few times a second; to a file nothing."""
    began, last = time.monotonic(), 0.0

    def report(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if not sys.stderr.isatty() or (done < total and now - last < _PROGRESS_INTERVAL_S):
            return
        last = now
        rate = format_rate(done / max(now - began, 1e-6))
        percent = f"{100 * done // max(total, 1)} %"
        end = "\n" if done >= total else ""
        click.echo(f"\r{format_size(done)} of {format_size(total)}  {percent}  {rate}   {end}", err=True, nl=False)

    return report


@store.command()
@click.argument("file", type=AbsolutePath())
@click.option("--code", default="1/1", show_default=True, metavar="K/N", help="Any K of N pieces give the file back.")
@click.option(
    "--days", type=click.FloatRange(min=0, min_open=True), default=30, show_default=True, help="Paid for how long."
)
@command
async def put(context: Context, file: Path, code: str, days: float) -> None:
    """Store FILE; prints its locator, which is all that is needed to get it back. Keep it secret."""
    from depin_desktop.customer.session import Customer

    needed, total = parse_code(code)
    async with Customer.open(context.home) as customer:
        stored = await customer.put(file, code=(needed, total), term_s=int(days * 86_400), progress=_progress())
    context.answer(stored, stored.locator)


@store.command()
@click.argument("locator")
@click.argument("out", type=AbsolutePath())
@command
async def get(context: Context, locator: str, out: Path) -> None:
    """Fetch a stored file into OUT."""
    from depin_desktop.customer.session import Customer

    async with Customer.open(context.home, budget=asking()) as customer:
        fetched = await customer.get(locator, out, progress=_progress())
    context.answer(fetched, "")


@store.command()
@command
async def ls(context: Context) -> None:
    """List the files that this home has stored."""
    from depin_desktop.customer.session import Customer

    async with Customer.open(context.home, offline=True) as customer:
        files = await customer.files()
    rows = [
        (
            time.strftime("%Y-%m-%d %H:%M", time.localtime(file.stored_at)),
            format_size(file.size),
            f"{file.needed}/{file.total}",
            file.name,
            file.locator,
        )
        for file in files
    ]
    context.answer(files, table(rows, right=frozenset({1})) or "Nothing is stored yet.")


@store.command()
@click.argument("locator")
@command
async def rm(context: Context, locator: str) -> None:
    """Remove a stored file; what was paid ahead comes back when the deal ends."""
    from depin_desktop.customer.session import Customer

    async with Customer.open(context.home) as customer:
        await customer.remove(locator)
    context.answer({"removed": locator}, "Removed.")

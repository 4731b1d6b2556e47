"""`depin job …`: programs and models run by the network's providers, in a sandbox."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from depin_desktop.cli.ai import buying, checks_option, told
from depin_desktop.cli.output import AbsolutePath, Context, command
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import parse_size


def register(root: click.Group) -> None:
    root.add_command(job)


@click.group()
def job() -> None:
    """Run WASM programs and ONNX models on the network's providers."""


@job.command()
@click.argument("module", type=AbsolutePath())
@click.option("--stdin", "input_file", type=AbsolutePath(), help="A file for the program's standard input.")
@click.option("--out", type=AbsolutePath(), help="Where its output goes (default: standard output).")
@click.option("--fuel", type=click.IntRange(1), default=10**10, show_default=True, help="About instructions.")
@click.option("--memory", default="256MiB", show_default=True, help="The most that it may use.")
@click.option("--seconds", type=click.FloatRange(0.1, 3600), default=30.0, show_default=True, help="The longest run.")
@checks_option
@command
async def run(
    context: Context,
    module: Path,
    input_file: Path | None,
    out: Path | None,
    fuel: int,
    memory: str,
    seconds: float,
    checks: float,
) -> None:
    """Run the WASI program MODULE; what it writes to its standard output comes back."""
    given = await _read(input_file) if input_file is not None else b""
    async with buying(context, checks) as compute:
        result = await compute.run_wasm(module, given, fuel=fuel, memory=parse_size(memory), seconds=seconds)
        if out is not None:
            await _write(out, result.output)
        if context.as_json:
            context.answer(result, "")
            return
        if out is None:
            sys.stdout.buffer.write(result.output)
            sys.stdout.flush()
        context.note(f"{result.fuel} fuel, {told(result)}")


@job.command()
@click.argument("model")
@click.argument("inputs", type=AbsolutePath())
@click.argument("out", type=AbsolutePath())
@checks_option
@command
async def onnx(context: Context, model: str, inputs: Path, out: Path, checks: float) -> None:
    """Run the ONNX model named MODEL, or of that SHA-256, on the arrays in INPUTS (.npz); writes OUT (.npz)."""
    given = await _read(inputs)
    async with buying(context, checks) as compute:
        found = await compute.run_onnx(model, given)
        await _write(out, found.npz)
        context.answer(found, "")
        if not context.as_json:
            context.note(told(found))


async def _read(path: Path) -> bytes:
    try:
        return await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise UserFacingError(
            f"{path} cannot be read ({error.strerror}).", "Name another file.", code="unreadable-file"
        ) from error


async def _write(path: Path, data: bytes) -> None:
    try:
        await asyncio.to_thread(path.write_bytes, data)
    except OSError as error:
        raise UserFacingError(
            f"{path} cannot be written ({error.strerror}).", "Name another file.", code="unwritable-file"
        ) from error

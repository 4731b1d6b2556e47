"""Commands of the computing power that this machine sells: `share compute`, `unshare compute`, `compute …`."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import click

from depin_desktop.api.client import EngineClient
from depin_desktop.api.compute import ComputeStatus, ImportModel, JobStatus, ModelStatus, ShareCompute
from depin_desktop.cli.output import AbsolutePath, Context, command, table
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_age, format_size, format_tokens, parse_tokens

KEY_VARIABLE = "DEPIN_UPSTREAM_KEY"
TOKEN_VARIABLE = "RAY_AUTH_TOKEN"  # noqa: S105 (its name)


def register(root: click.Group, share: click.Group, unshare: click.Group) -> None:
    """Adds the commands, those of sharing to the groups that storage has too."""
    root.add_command(compute)
    share.add_command(share_compute)
    unshare.add_command(unshare_compute)


@click.command("compute")
@click.option("--price-in", help="Tokens for a million tokens read (default: the network's suggestion).")
@click.option("--price-out", help="Tokens for a million tokens generated.")
@click.option("--price-second", help="Tokens for a second of an ONNX or WASM run.")
@click.option("--price-gfuel", help="Tokens for a thousand million units of WASM fuel.")
@click.option("--chat/--no-chat", default=None, help="Sell chat and completion (what is left out stays as it is).")
@click.option("--embeddings/--no-embeddings", default=None, help="Sell embeddings.")
@click.option("--onnx/--no-onnx", default=None, help="Sell runs of ONNX models.")
@click.option("--wasm/--no-wasm", default=None, help="Sell WASM jobs.")
@click.option(
    "--upstream",
    "upstreams",
    multiple=True,
    metavar="URL",
    help="An OpenAI-compatible server on your network that works too; “none” for none.",
)
@click.option("--upstream-key-file", type=AbsolutePath(), help=f"File with its key (or set {KEY_VARIABLE}).")
@click.option("--ray", metavar="ADDRESS", help="A Ray cluster that works too; “none” for none.")
@click.option("--ray-token-file", type=AbsolutePath(), help=f"File with its token (or set {TOKEN_VARIABLE}).")
@command
async def share_compute(
    context: Context,
    price_in: str | None,
    price_out: str | None,
    price_second: str | None,
    price_gfuel: str | None,
    chat: bool | None,
    embeddings: bool | None,
    onnx: bool | None,
    wasm: bool | None,
    upstreams: tuple[str, ...],
    upstream_key_file: Path | None,
    ray: str | None,
    ray_token_file: Path | None,
) -> None:
    """Sell this machine's computing power, or change what is sold and for how much."""
    request = ShareCompute(
        chat=chat,
        embeddings=embeddings,
        onnx=onnx,
        wasm=wasm,
        price_in_per_mtoken=_price(price_in),
        price_out_per_mtoken=_price(price_out),
        price_per_run_second=_price(price_second),
        price_per_gfuel=_price(price_gfuel),
        upstreams=None if not upstreams else tuple(url for url in upstreams if url != "none"),
        upstream_key=_secret(upstream_key_file, KEY_VARIABLE),
        ray=None if ray is None else ("" if ray == "none" else ray),
        ray_token=_secret(ray_token_file, TOKEN_VARIABLE),
    )
    async with EngineClient(context.home) as client:
        answer = await client.share_compute(request)
    context.answer(answer, describe(answer))


@click.command("compute")
@command
async def unshare_compute(context: Context) -> None:
    """Sell no computing power any more; what runs is stopped and charged for what was delivered."""
    async with EngineClient(context.home) as client:
        answer = await client.unshare_compute()
    context.answer(answer, describe(answer))


@click.group()
def compute() -> None:
    """The computing power that this machine sells."""


@compute.command()
@command
async def status(context: Context) -> None:
    """Say what is sold, what runs, and what each device has earned."""
    async with EngineClient(context.home) as client:
        answer = await client.compute()
    context.answer(answer, describe(answer))


@compute.command()
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, the newest first.")
@command
async def jobs(context: Context, limit: int) -> None:
    """List jobs now and before."""
    async with EngineClient(context.home) as client:
        answer = await client.compute()
    shown = answer.jobs[:limit]
    text = table([_job_row(job) for job in shown], right=frozenset({5})) or "No job yet."
    if answer.checked_right or answer.checked_wrong:
        text += f"\nChecked by customers: {answer.checked_right} right, {answer.checked_wrong} wrong."
    context.answer(shown, text)


@compute.group(invoke_without_command=True)
@command
async def models(context: Context) -> None:
    """The models of this machine, what they were measured at, and what they cost."""
    if click.get_current_context().invoked_subcommand is None:
        await _list_models(context)


@models.command("list")
@command
async def list_models(context: Context) -> None:
    """List models, what they were measured at, and what they cost."""
    await _list_models(context)


async def _list_models(context: Context) -> None:
    async with EngineClient(context.home) as client:
        answer = await client.compute()
    context.answer(answer.models, describe_models(answer) or "There is no model.")


@models.command("import")
@click.argument("path", type=AbsolutePath())
@click.option("--name", default="", help="What customers may ask for it by.")
@click.option("--sha256", default="", help="What the file must hash to.")
@click.option("--licence", default="", help="Its licence, where the file does not tell.")
@command
async def import_model(context: Context, path: Path, name: str, sha256: str, licence: str) -> None:
    """Take a GGUF or ONNX file into the models of this machine."""
    async with EngineClient(context.home) as client:
        before = {known.id for known in (await client.compute()).imports}
        request = ImportModel(path=str(path), name=name, sha256=sha256, licence=licence)
        begun = await client.import_model(request)
        mine = next((one.id for one in begun.imports if one.id not in before), "")
        answer = await _follow_import(context, client, begun, mine)
    context.answer(answer, describe_models(answer))


async def _follow_import(context: Context, client: EngineClient, status: ComputeStatus, mine: str) -> ComputeStatus:
    """Until the file is in; says how far it is on the way."""
    said = 0.0
    try:
        async for event in client.events():
            if event.topic == "compute":
                status = ComputeStatus.model_validate(event.data)
            found = next((one for one in status.imports if one.id == mine), None)
            if found is None:
                return await client.compute()
            if found.problem:
                await client.cancel_import(mine)
                raise UserFacingError(found.problem, code="import-failed")
            if found.size_bytes and time.monotonic() - said > 1:
                said = time.monotonic()
                context.note(f"{format_size(found.done_bytes)} of {format_size(found.size_bytes)}")
    except (KeyboardInterrupt, asyncio.CancelledError):
        await client.cancel_import(mine)
        raise
    return status


@models.command("remove")
@click.argument("sha256")
@command
async def remove_model(context: Context, sha256: str) -> None:
    """Delete a model, named by the first digits of its hash."""
    async with EngineClient(context.home) as client:
        answer = await client.remove_model(sha256)
    context.answer(answer, describe_models(answer) or "There is no model.")


def describe(status: ComputeStatus) -> str:
    """The service for people: its state, its models, and what each device has earned."""
    lines = [f"{status.service.state.value}: {status.service.reason}"]
    if status.shared:
        lines.append(f"{status.running} running, {status.waiting} waiting, {status.done_total} done.")
    if text := describe_models(status):
        lines += ["", text]
    rows = [
        (
            device.device,
            f"{device.jobs} jobs",
            f"{device.busy_s:.0f} s busy",
            f"{format_tokens(device.earned_total)} earned, {format_tokens(device.earned_today)} today",
            "" if device.energy_wh is None else f"{device.energy_wh:.2f} Wh",
        )
        for device in status.devices
    ]
    if rows:
        lines += ["", table(rows)]
    return "\n".join(lines)


def describe_models(status: ComputeStatus) -> str:
    """Models and runtimes, a line each."""
    return table([_model_row(model) for model in status.models])


def _model_row(model: ModelStatus) -> tuple[str, ...]:
    size = format_size(model.size_bytes) if model.size_bytes else ""
    state = model.problem or ("offered" if model.served else "not offered")
    return model.kind, model.name, model.sha256[:12], size, model.licence, _rate(model), _prices(model), state


def _rate(model: ModelStatus) -> str:
    if not model.rate:
        return "not measured"
    if model.kind == "wasm":
        return f"{model.rate / 1e9:.2f} Gfuel/s"
    return f"{model.rate:.1f} {'runs' if model.kind == 'onnx' else 'tokens'}/s"


def _prices(model: ModelStatus) -> str:
    parts = [
        (model.price_in_per_mtoken, "Mtoken in"),
        (model.price_out_per_mtoken, "Mtoken out"),
        (model.price_per_gfuel, "Gfuel"),
        (model.price_per_run_second, "s"),
    ]
    return ", ".join(f"{format_tokens(price)}/{unit}" for price, unit in parts if price)


def _job_row(job: JobStatus) -> tuple[str, ...]:
    tokens = f"{job.prompt_tokens}+{job.completion_tokens} tokens"
    used = {"wasm": f"{job.fuel / 1e9:.3g} Gfuel", "onnx": f"{job.seconds:.3g} s"}.get(job.kind, tokens)
    when = format_age(time.time() - job.queued_at)
    ended = job.log.splitlines()[-1] if job.log else ""
    earned, device = format_tokens(job.earned), job.device[:40]
    return when, job.kind, job.model[:32], device, job.outcome.value, used, earned, job.customer, ended


def _price(text: str | None) -> int | None:
    return None if text is None else parse_tokens(text)


def _secret(file: Path | None, variable: str) -> str:
    """A key is read from a file or the environment, never from the command line, which others can see."""
    if file is None:
        return os.environ.get(variable, "")
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserFacingError(f"{file} cannot be read.", "Check the path.", code="no-key") from error

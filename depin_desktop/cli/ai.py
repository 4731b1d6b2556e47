"""`depin ai …`: models of the network's providers, paid for what is used."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import click

from depin_desktop.cli.budget import asking
from depin_desktop.cli.output import Context, command, table
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_tokens, parse_tokens

if TYPE_CHECKING:
    from depin_desktop.customer.compute.answers import Answer, OfferedModel, Reply, Seen
    from depin_desktop.customer.compute.session import Compute


def register(root: click.Group) -> None:
    root.add_command(ai)


@click.group()
def ai() -> None:
    """Chat, embeddings and models from the network's providers."""


@asynccontextmanager
async def buying(context: Context, checks: float) -> AsyncIterator[Compute]:
    """A buyer of computing that asks before it deposits."""
    from depin_desktop.customer.session import Customer

    async with Customer.open(context.home, budget=asking(), checks=checks) as customer:
        yield customer.compute


def checks_option(function: Any) -> Any:
    """--checks of everything that buys answers."""
    return click.option(
        "--checks",
        type=click.FloatRange(0, 0.9),
        default=0.5,
        show_default=True,
        help="The share of all spending on computing that may go into checking answers. A checked question is seen by"
        " a second provider; 0 checks nothing.",
    )(function)


def printable(text: str) -> str:
    """A stranger's words without what would steer a terminal."""
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")


def told(answer: Answer) -> str:
    """What an answer took, in a sentence."""
    return f"paid {format_tokens(answer.charged)} to {answer.provider[:10]}…, {answer.seconds:.1f} s"


@ai.command()
@click.argument("text")
@click.option("--model", default="", help="A name or SHA-256 (default: any; the cheapest is asked).")
@click.option("--system", default="", help="How the model should behave.")
@click.option("--max-tokens", type=click.IntRange(1), help="The longest reply.")
@click.option("--temperature", type=click.FloatRange(0, 2), help="0 takes the likeliest word each time.")
@click.option("--seed", type=int, help="For a reply that can be repeated.")
@click.option("--stream/--no-stream", default=None, help="Write as it comes (default: on a terminal).")
@click.option("--max-price", help="The most, in tokens, that the reply may be held for.")
@checks_option
@command
async def chat(context: Context, text: str, **options: Any) -> None:
    """Ask a model TEXT; “-” reads it from standard input."""
    from depin_desktop.customer.compute.hosts import Wish

    stream, price, checks = options.pop("stream"), options.pop("max_price"), options.pop("checks")
    wish = Wish(max_price=parse_tokens(price) if price else None)
    messages = [{"role": "user", "content": sys.stdin.read() if text == "-" else text}]
    if system := options.pop("system"):
        messages.insert(0, {"role": "system", "content": system})
    options = {name: value for name, value in options.items() if value is not None}
    if stream is None:
        stream = sys.stdout.isatty() and not context.as_json
    async with buying(context, checks) as compute:
        if stream:
            reply = await _write(compute, messages, wish, options)
        else:
            reply = await compute.chat(messages, wish=wish, **options)
            context.answer(reply, printable(reply.text))
        if stream or not context.as_json:
            context.note(f"{reply.completion_tokens} tokens of {printable(reply.model)}, {told(reply)}")


async def _write(compute: Compute, messages: Any, wish: Any, options: dict[str, Any]) -> Reply:
    async with compute.stream(messages, wish=wish, **options) as parts:
        async for part in parts:
            click.echo(printable(part), nl=False)
        click.echo()
    assert parts.reply is not None  # the iteration above has ended
    return parts.reply


@ai.command()
@click.argument("texts", nargs=-1, required=True)
@click.option("--model", default="", help="A name or SHA-256 (default: any; the cheapest is asked).")
@checks_option
@command
async def embed(context: Context, texts: tuple[str, ...], model: str, checks: float) -> None:
    """Turn TEXTS into vectors, a line of numbers each."""
    async with buying(context, checks) as compute:
        found = await compute.embed(texts, model=model)
        context.answer(found, "\n".join(" ".join(f"{number:.6g}" for number in vector) for vector in found.vectors))
        if not context.as_json:
            context.note(told(found))


@ai.command()
@command
async def models(context: Context) -> None:
    """List what is offered now, with the lowest prices."""
    async with buying(context, 0) as compute:
        found = await compute.models()
    if not found:
        raise UserFacingError(
            "No provider offers computing just now.", "Try again later.", code="no-providers", status=503
        )
    context.answer(found, table([_HEADINGS, *(_shown(model) for model in found)], right=frozenset({2, 3, 5})))


_HEADINGS = ("model", "for", "providers", "rate", "price", "context", "SHA-256")


def _shown(model: OfferedModel) -> tuple[str, ...]:
    context = str(model.context_tokens) if model.context_tokens else ""
    name, kind = printable(model.name), printable(model.kind)
    return (name, kind, str(model.providers), _rate(model), price_of(model), context, model.sha256[:16])


def _rate(model: OfferedModel) -> str:
    if model.kind == "wasm":
        return f"{model.rate / 1e9:.2f} billion fuel/s"
    return f"{model.rate:.{0 if model.rate >= 100 else 1}f} {'runs' if model.kind == 'onnx' else 'tokens'}/s"


def price_of(model: OfferedModel) -> str:
    """The prices of one model in tokens of the network."""
    if model.kind == "wasm":
        return f"{format_tokens(model.price_per_gfuel)} a billion fuel"
    if model.kind == "onnx":
        return f"{format_tokens(model.price_per_run_second)} a second"
    read = format_tokens(model.price_in_per_mtoken)
    if model.kind == "embedding":
        return f"{read} a million read"
    return f"{read} a million read, {format_tokens(model.price_out_per_mtoken)} written"


@ai.command()
@command
async def providers(context: Context) -> None:
    """Show how providers have done for this home: served, failed, checked, and their score."""
    from depin_desktop.customer.session import Customer

    async with Customer.open(context.home, offline=True) as customer:
        seen = await customer.compute.seen()
    context.answer(seen, describe(seen))


def describe(seen: Seen) -> str:
    """What was seen, a line for each provider and model, and what finding it out has cost."""
    if not seen.providers:
        return "Nothing has been bought yet."
    headings = ("score", "provider", "for", "served", "failed", "right", "wrong", "unclear", "in a row", "paid")
    rows = [
        (
            f"{row.score:.2f}",
            row.owner,
            row.kind,
            *(str(count) for count in (row.served, row.failed, row.right, row.wrong, row.unclear, row.streak)),
            format_tokens(row.spent),
        )
        for row in seen.providers
    ]
    spending = seen.spending
    cost = f"{format_tokens(spending.answers)} tokens for answers, {format_tokens(spending.checks)} for checking them"
    return f"{table([headings, *rows], right=frozenset({0, 3, 4, 5, 6, 7, 8, 9}))}\n{cost}"

"""How commands answer: text or JSON on standard output, everything else on standard error."""

from __future__ import annotations

import asyncio
import functools
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
from pydantic import BaseModel

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

EXIT_FAILED = 1
EXIT_UNREACHABLE = 3
EXIT_INTERRUPTED = 130
_UNREACHABLE_STATUS = 503


class AbsolutePath(click.ParamType[Path]):
    """A path argument, made absolute before anything else runs."""

    name = "path"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        return Path(value).expanduser().absolute()


class Context:
    """What every command is told: which home, and how to answer."""

    def __init__(self, home: str | None, as_json: bool) -> None:
        self.home = Home.choose(home)
        self.as_json = as_json

    def answer(self, data: object, text: str) -> None:
        """Prints `data` as JSON with --json, else `text`."""
        if self.as_json:
            click.echo(json.dumps(to_plain(data), indent=2))
        elif text:
            click.echo(text)

    @staticmethod
    def note(text: str) -> None:
        """Says something that is not the answer."""
        click.echo(text, err=True)

    def progress(self, stage: str, text: str = "", **facts: object) -> None:
        """Says how far the work is: `text`, where there is any, or with --json a line of its own for programs."""
        if self.as_json:
            click.echo(json.dumps({"progress": stage, **facts}), err=True)
        elif text:
            click.echo(text, err=True)


def to_plain(data: object) -> object:
    """Models as JSON-ready values; money as decimal strings, as in the API."""
    if isinstance(data, BaseModel):
        return data.model_dump(mode="json")
    if isinstance(data, dict):
        return {key: to_plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [to_plain(item) for item in data]
    return data


def command(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Adds --home and --json, turns them into a `Context`, runs coroutines, and turns errors into sentences."""

    @click.option(
        "--home", metavar="DIR", envvar="DEPIN_HOME", help="The home folder (default: DEPIN_HOME, else yours)."
    )
    @click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
    @functools.wraps(function)
    def wrapped(*args: Any, home: str | None, as_json: bool, **options: Any) -> Result:
        context = Context(home, as_json)
        try:
            result: Any = function(context, *args, **options)  # type: ignore[arg-type]
            if asyncio.iscoroutine(result):
                result = _run(result)
        except UserFacingError as error:
            _fail(context, error)
        except KeyboardInterrupt:
            context.note("Interrupted.")
            sys.exit(EXIT_INTERRUPTED)
        return result  # type: ignore[no-any-return]

    return wrapped  # type: ignore[return-value]


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    with asyncio.Runner() as runner:
        return runner.run(work)


def _fail(context: Context, error: UserFacingError) -> None:
    if context.as_json:
        problem = {"code": error.code, "message": error.message, "remedy": error.remedy}
        click.echo(json.dumps({"error": problem}, indent=2))
    else:
        click.echo(str(error), err=True)
    sys.exit(EXIT_UNREACHABLE if error.status == _UNREACHABLE_STATUS else EXIT_FAILED)


def table(rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> str:
    """Rows in aligned columns; the columns numbered in `right` are flushed right."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)

"""Questions on the terminal, asked in the midst of asynchronous work so that Ctrl-C still ends them at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TypeVar

import click

Answer = TypeVar("Answer")


def hidden(question: str, *, twice: bool = False) -> str:
    """What is typed without being shown; `twice` to catch slips."""
    return str(_directly(lambda: click.prompt(question, hide_input=True, confirmation_prompt=twice, err=True)))


def confirm(question: str, *, abort: bool = False) -> bool:
    """Yes or no; with `abort`, no ends the program."""
    return _directly(lambda: click.confirm(question, abort=abort, err=True))


def _directly(ask: Callable[[], Answer]) -> Answer:
    """Asks in this thread, the main one: asyncio's own handler of Ctrl-C would wait until the line has been typed."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return ask()
    finally:
        signal.signal(signal.SIGINT, before)

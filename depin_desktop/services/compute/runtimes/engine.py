"""What a runtime is inside its worker process: loaded once, then given tasks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from depin_desktop.services.compute.runtimes.base import Usage


class Refused(Exception):
    """A task that cannot be done, or whose limit is reached; the worker goes on with the next one.

    Attributes:
        code: see `base.JobFailed`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def bad_input(message: str) -> Refused:
    """The customer's request is at fault."""
    return Refused("bad-input", message)


@dataclass
class Task:
    """One job inside the worker: its engine keeps the counts current, sends parts by `send`, and heeds `cancelled`."""

    kind: str
    body: Mapping[str, Any]
    data: bytes
    module: str
    model: str
    send: Callable[[bytes], None]
    progress: Callable[[], None]
    prompt_tokens: int = 0
    completion_tokens: int = 0
    fuel: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)
    started_at: float = field(default_factory=time.perf_counter)

    def usage(self) -> Usage:
        """What it took so far."""
        seconds = time.perf_counter() - self.started_at
        return Usage(self.prompt_tokens, self.completion_tokens, self.fuel, seconds)


class Engine(Protocol):
    """One loaded runtime.

    Attributes:
        concurrent: whether it takes several tasks at once, each in a thread of its own.
    """

    concurrent: bool

    def describe(self) -> dict[str, Any]:
        """What READY tells: "engine", its name and exact build, and what is particular to the runtime."""

    def run(self, task: Task) -> bytes:
        """Does one task and gives its whole answer, or of a stream the last part.

        Raises:
            Refused: it cannot be done.
        """

    def cancel(self, task: Task) -> None:
        """Makes a running task end soon; called from another thread."""

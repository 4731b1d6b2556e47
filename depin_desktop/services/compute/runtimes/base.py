"""The seam between selling work and doing it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol


class WorkKind(StrEnum):
    """What a customer may ask for; the value names it in offers, receipts and job lists."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"
    ONNX = "onnx"
    WASM = "wasm"


@dataclass(frozen=True)
class Usage:
    """What a job took, and what it is charged by: tokens, WASM fuel, and seconds of the worker's wall clock."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    fuel: int = 0
    seconds: float = 0.0


def _to_nobody(_: Usage) -> None:
    """Where nobody asks how far a job has come."""


@dataclass(frozen=True)
class Job:
    """One piece of work.

    Attributes:
        id: 32 hex digits, chosen by the service.
        model: SHA-256 (hex) of the model or WASM module.
        body: for chat, completion and embedding the OpenAI request; for WASM its limits and arguments.
        payload: for ONNX the inputs as .npz, for WASM standard input.
        module: for WASM the file that holds the module, verified against its hash; it stays until the job ends.
        told: called with what it took so far while nothing of its output is there: whoever leaves pays for that.
    """

    id: str
    kind: WorkKind
    model: str
    body: Mapping[str, Any] = field(default_factory=dict)
    payload: bytes = b""
    module: Path | None = None
    told: Callable[[Usage], None] = field(default=_to_nobody, compare=False, repr=False)


@dataclass(frozen=True)
class Chunk:
    """A part of a job's output, in order.

    Attributes:
        data: for streamed chat and completion one OpenAI chunk object as JSON bytes; otherwise the whole answer.
        usage: what the job took so far; the last chunk carries the final figures.
        last: nothing follows.
    """

    data: bytes
    usage: Usage
    last: bool = False


@dataclass(frozen=True)
class ServedModel:
    """A model or runtime that a backend can serve now; measured, not looked up.

    Attributes:
        sha256: of the model's file; for WASM empty, as customers bring their modules.
        engine: name and exact build, as receipts and verification pin it ("xllamacpp 2026.10.11549 cpu").
        slots: how many jobs it runs at once.
        rate: tokens a second (chat: generated; embedding: read), runs a second (ONNX), or fuel a second (WASM);
            0 while it has not been measured.
        gpu: UUID of the card that it runs on, empty for the CPU.
        elsewhere: what it runs on where that is not this machine, as its owner alone is shown it; empty for this one.
    """

    kind: WorkKind
    name: str
    sha256: str
    engine: str
    slots: int = 1
    context_tokens: int = 0
    rate: float = 0.0
    licence: str = ""
    gpu: str = ""
    elsewhere: str = ""


class JobFailed(Exception):
    """A job that ended without its answer, through no fault of the service.

    Attributes:
        code: one word: "bad-input", "time-limit", "memory-limit", "output-limit", "fuel", "crashed", "overloaded".
        message: one sentence or more, for the customer, too.
        log: the last lines that the worker wrote, for the owner alone.
    """

    def __init__(self, code: str, message: str, usage: Usage | None = None, log: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.usage = usage or Usage()
        self.log = log


class WorkerLost(JobFailed):
    """The worker went down under the job ("crashed"), which may be another job's doing: it can be done anew."""


class Backend(Protocol):
    """One way to do work: the workers of this machine, or a server elsewhere."""

    async def start(self) -> None:
        """Makes ready; returns before models are loaded."""

    async def stop(self) -> None:
        """Ends every worker and its children."""

    async def release(self) -> None:
        """Ends running jobs and frees memory, also of GPUs, within a second; the next job loads again."""

    def served(self) -> tuple[ServedModel, ...]:
        """What can be asked for now."""

    def run(self, job: Job) -> AsyncIterator[Chunk]:
        """Does one job. Closing the iterator cancels it.

        Raises:
            JobFailed: see there; the machine and other jobs are unharmed.
        """

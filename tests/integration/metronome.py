"""A backend whose work takes exactly as long as a test wants: it counts aloud. The seam's other side is real."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from depin_desktop.services.compute.runtimes.base import Chunk, Job, JobFailed, ServedModel, Usage, WorkKind

SHA256 = hashlib.sha256(b"metronome").hexdigest()
ENGINE = "metronome 1"
PROMPT_TOKENS = 10
HALFWAY = 10


@dataclass
class Metronome:
    """Chats by counting to `max_tokens`; runs WASM by giving the input back. `go_on` holds it where it is cleared.

    Attributes:
        beat: is waited for before each token.
        begun: is set when a job begins, `ended` counts those whose iterator has been closed.
        halfway: is set when a whole answer has come to its tenth token.
        fail: the code with which the next jobs fail, after `fail_after` tokens.
        prompt_tokens: what it counts a prompt as.
    """

    slots: int = 2
    fail: str = ""
    fail_after: int = 0
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    halfway: asyncio.Event = field(default_factory=asyncio.Event)
    prompt_tokens: int = PROMPT_TOKENS
    served_now: bool = True
    ended: int = 0
    released: int = 0
    tokens: int = 0
    problem: str = ""

    def __post_init__(self) -> None:
        self.go_on.set()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def release(self) -> None:
        self.released += 1

    def served(self) -> tuple[ServedModel, ...]:
        if not self.served_now:
            return ()
        model = {"engine": ENGINE, "slots": self.slots, "rate": 100.0}
        return (
            ServedModel(WorkKind.CHAT, "metronome", SHA256, context_tokens=100_000, **model),
            ServedModel(WorkKind.WASM, "wasm", "", **model),
        )

    async def run(self, job: Job) -> AsyncIterator[Chunk]:
        self.begun.set()
        try:
            if job.kind is WorkKind.WASM:
                await self.go_on.wait()
                assert job.module is not None
                self._maybe_fail(0, Usage(fuel=7, seconds=0.5))
                yield Chunk(job.payload, Usage(fuel=10**9, seconds=0.5), last=True)
                return
            count = int(job.body.get("max_tokens", 5))
            if not job.body.get("stream"):
                await self.go_on.wait()
                self._maybe_fail(0, Usage())
                await self._write(job, count)
                answer = {"choices": [{"message": {"content": " ".join(map(str, range(count)))}}]}
                yield Chunk(json.dumps(answer).encode(), Usage(PROMPT_TOKENS, count, seconds=0.1), last=True)
                return
            for number in range(count):
                await self.go_on.wait()
                await asyncio.sleep(0)
                self._maybe_fail(number, Usage(PROMPT_TOKENS, number))
                self.tokens += 1
                part = {"choices": [{"index": 0, "delta": {"content": f"{number} "}}]}
                yield Chunk(json.dumps(part).encode(), Usage(PROMPT_TOKENS, number + 1, seconds=0.1 * number))
            part = {"choices": [], "usage": {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": count}}
            yield Chunk(json.dumps(part).encode(), Usage(PROMPT_TOKENS, count, seconds=0.1 * count), last=True)
        finally:
            self.ended += 1

    async def _write(self, job: Job, count: int) -> None:
        for number in range(1, count + 1):
            await self.go_on.wait()
            await asyncio.sleep(0)
            self.tokens += 1
            job.told(Usage(self.prompt_tokens, number))
            if number == HALFWAY:
                self.halfway.set()

    def _maybe_fail(self, number: int, usage: Usage) -> None:
        if self.fail and number >= self.fail_after:
            raise JobFailed(self.fail, "It did not work.", usage)

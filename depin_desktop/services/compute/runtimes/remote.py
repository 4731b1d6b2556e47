"""A backend that is another OpenAI-compatible server on the owner's network: vLLM, llama-server, Ollama and their like.

What it serves was asked of it and measured; while it is away nothing of it is offered, and it is looked for at growing
intervals. Only text and known parameters reach it, so that no customer makes it open addresses inside that network.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from depin_desktop.core.tasks import Cycle, Tasks
from depin_desktop.services.compute.elsewhere import Upstream
from depin_desktop.services.compute.runtimes import remote_survey as survey
from depin_desktop.services.compute.runtimes.base import Chunk, Job, JobFailed, ServedModel, Usage, WorkKind
from depin_desktop.services.compute.runtimes.chat_answers import Gathering
from depin_desktop.services.compute.runtimes.remote_bodies import (
    Counter,
    embedding_usage,
    for_upstream,
    openai_usage,
    shown,
)
from depin_desktop.services.compute.runtimes.remote_wire import MAX_ANSWER_BYTES, Away, Refusal, Wire

log = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0
FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 1.0, 300.0
_END = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
"""For servers that end a stream without saying why."""
OBSERVED_TOKENS = 32
OBSERVED_WEIGHT = 0.2
_PATHS = {
    WorkKind.CHAT: "chat/completions",
    WorkKind.COMPLETION: "completions",
    WorkKind.EMBEDDING: "embeddings",
}


@dataclass(frozen=True)
class _Known:
    """A model of the server with what it was measured to do."""

    upstream_name: str
    served: tuple[ServedModel, ...]


class RemoteBackend:
    """Serves what one server serves; see `base.Backend`.

    Attributes:
        problem: why nothing is served, as a sentence with what to check; empty while something is.
    """

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.problem = ""
        self._wire = Wire(upstream)
        self._known: dict[str, _Known] = {}
        self._tasks = Tasks(f"remote/{upstream.id[:8]}")
        self._cycle = Cycle("remote server", LOOK_EVERY_S, self._look)
        self._away_for = 0.0
        self._here = False
        self._releases = 0

    async def start(self) -> None:
        self._tasks.spawn("look", self._cycle.run())

    async def stop(self) -> None:
        await self._tasks.close()
        await self._wire.close()
        self._here = False

    async def release(self) -> None:
        """Ends what runs by closing its connections; the server's memory is its own affair."""
        self._releases += 1
        await self._wire.close()

    def served(self) -> tuple[ServedModel, ...]:
        if not self._here:
            return ()
        return tuple(model for known in self._known.values() for model in known.served)

    async def look(self) -> None:
        """Looks for the server now and returns when that is done."""
        await self._cycle.trigger_and_wait()

    # --- doing work -----------------------------------------------------------------------------------------------

    async def run(self, job: Job) -> AsyncIterator[Chunk]:
        model, upstream_name = self._find(job)
        program = model.engine.partition(" ")[0]
        body = for_upstream(job.kind, job.body, upstream_name, model.context_tokens, program)
        releases = self._releases
        try:
            if job.kind is WorkKind.EMBEDDING:
                yield await self._embedded(job, model, body)
            elif job.body.get("stream"):
                async for chunk in self._streamed(job, model, body):
                    yield chunk
            else:
                yield await self._whole(job, model, body)
        except Away as away:
            if releases != self._releases:
                raise JobFailed("crashed", "The job was stopped.") from away
            log.info("a remote server failed in the middle of a job: %s", away)
            self._lost(f"{away}")
            self._cycle.trigger()
            raise JobFailed("crashed", "The server that did this work went away.") from away
        except Refusal as refusal:
            raise self._failed(refusal, upstream_name, model.name) from refusal

    def _find(self, job: Job) -> tuple[ServedModel, str]:
        for known in self._known.values() if self._here else ():
            for model in known.served:
                if model.kind is job.kind and job.model in (model.sha256, model.name):
                    return model, known.upstream_name
        raise JobFailed("overloaded", "The server that does this work cannot be reached just now.")

    async def _embedded(self, job: Job, model: ServedModel, body: Mapping[str, Any]) -> Chunk:
        began = time.perf_counter()
        answer = await self._wire.ask(_PATHS[job.kind], body)
        usage = embedding_usage(job.body, answer, time.perf_counter() - began)
        return Chunk(shown(answer, model.name, usage=True), usage, last=True)

    async def _whole(self, job: Job, model: ServedModel, body: Mapping[str, Any]) -> Chunk:
        """A whole answer, gathered here: only of a stream is it known how far it is, should its customer leave."""
        counter, gathering = Counter(job.body, time.perf_counter()), Gathering(job.kind.value)
        async with self._wire.stream(_PATHS[job.kind], body, most_bytes=MAX_ANSWER_BYTES) as events:
            async for event in events:
                counter.take(event)
                gathering.add(event)
                job.told(counter.usage())
        usage = counter.usage(final=True)
        self._observe(model, usage)
        return Chunk(shown(gathering.answer(openai_usage(usage)), model.name, usage=True), usage, last=True)

    async def _streamed(self, job: Job, model: ServedModel, body: Mapping[str, Any]) -> AsyncIterator[Chunk]:
        counter = Counter(job.body, time.perf_counter())
        options = job.body.get("stream_options")
        tell_usage = isinstance(options, dict) and bool(options.get("include_usage"))
        held = b""  # until the next is there: the last one carries the final usage
        async with self._wire.stream(_PATHS[job.kind], body) as events:
            async for event in events:
                counter.take(event)
                if not event.get("choices") and not tell_usage:
                    continue
                if held:
                    yield Chunk(held, counter.usage())
                held = shown(event, model.name, usage=not event.get("choices"))
                if not counter.finishing:
                    yield Chunk(held, counter.usage())
                    held = b""
        usage = counter.usage(final=True)
        self._observe(model, usage)
        yield Chunk(held or shown(_END, model.name, usage=False), usage, last=True)

    def _observe(self, model: ServedModel, usage: Usage) -> None:
        """Lets the rate follow what streams really get."""
        if usage.completion_tokens < OBSERVED_TOKENS or (known := self._known.get(model.sha256)) is None:
            return
        seen = usage.completion_tokens / usage.seconds
        rate = model.rate + (seen - model.rate) * OBSERVED_WEIGHT
        served = tuple(replace(one, rate=rate) if one.kind is model.kind else one for one in known.served)
        self._known[model.sha256] = replace(known, served=served)

    def _failed(self, refusal: Refusal, upstream_name: str, name: str) -> JobFailed:
        said = refusal.said.replace(upstream_name, name)
        match refusal.status:
            case 400 | 413 | 422:
                return JobFailed("bad-input", said or "The server refuses this request.")
            case 401 | 403 | 404:
                self._cycle.trigger()  # the key, or the model, has been taken away
                return JobFailed("crashed", "The server that does this work refuses it.")
            case 429 | 503:
                return JobFailed("overloaded", "The server that does this work is busy.")
        log.info("a remote server failed with status %d", refusal.status)
        return JobFailed("crashed", "The server that does this work failed.")

    # --- knowing what is there ------------------------------------------------------------------------------------

    async def _look(self) -> None:
        try:
            engine, found = await survey.look(self._wire, self.upstream)
            await self._learn(engine, found)
        except Refusal as refusal:
            self._lost(_refused(refusal))
        except Away as away:
            self._lost(f"{away}")
        else:
            self._here, self._away_for = True, 0.0
            self._cycle.interval_s = LOOK_EVERY_S
            self.problem = "" if self.served() else f"The server at {self.upstream.url} has no model that can be sold."

    async def _learn(self, engine: survey.Engine, found: list[survey.Found]) -> None:
        """Measures what is new; what is known stays as it was measured, unless the engine has changed."""
        name = survey.engine_name(self.upstream, engine)
        kept = {key: known for key, known in self._known.items() if all(it.engine == name for it in known.served)}
        wanted = {survey.identity(self.upstream, one): one for one in found}
        self._known = {key: known for key, known in kept.items() if key in wanted}
        for key, one in wanted.items():
            if key not in self._known:
                served = tuple(await survey.measure(self._wire, self.upstream, engine, one))
                self._known[key] = _Known(one.upstream_name, served)
                self._here = True  # what is measured can be sold while the rest is being measured

    def _lost(self, why: str) -> None:
        """Offers nothing any more, and looks again later, each time a little later."""
        self._here = False
        self._away_for = min(max(FIRST_BACK_OFF_S, self._away_for * 2), LONGEST_BACK_OFF_S)
        self._cycle.interval_s = self._away_for
        self.problem = f"The server at {self.upstream.url} cannot be used: {why}. Check that it runs, and its address."


def _refused(refusal: Refusal) -> str:
    if refusal.status in (401, 403):
        return "it refuses the key"
    return f"it answers with status {refusal.status}"

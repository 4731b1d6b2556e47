"""What selling inference costs: the stock openai client through gateway, iroh, provider and worker, paid, against the
bare engine; what the engine costs while nobody asks; and how soon a pause has freed everything.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import psutil

from depin_desktop.api.client import EngineClient
from tests.benchmarks.market import Market, market
from tests.benchmarks.raw_llama import Raw, raw_llama
from tests.benchmarks.table import Row
from tests.integration.llama_child import smollm2

TOKENS = 128
STREAMS = (1, 4)
SLOTS, CONTEXT = 4, 2048
SETTLE_S = 5.0
WARM_UP = 4


@dataclass(frozen=True)
class Taken:
    """What one round of chats at once took."""

    rate: float
    first_s: list[float]


async def rows(rounds: int, idle_s: float) -> list[Row]:
    """Ours and the bare engine in turns, `rounds` times each; medians are shown."""
    with tempfile.TemporaryDirectory(prefix="depin-bench-") as temporary:
        async with (
            market(Path(temporary)) as place,
            openai.AsyncOpenAI(base_url=place.base_url, api_key="any") as client,
        ):
            idle = await _idle(place, idle_s)
            threads = await _threads(place)
            async with raw_llama(str(smollm2()), threads=threads, slots=SLOTS, context=CONTEXT) as raw:
                first = await _first_words(client, raw, rounds * 8)
                chats = [row for streams in STREAMS for row in await _chats(client, raw, streams, rounds)]
            pause = await _pause(place, client)
            return [*chats, *first, *await _embeddings(client, rounds * 20), *pause, *idle]


async def _threads(place: Market) -> int:
    """As many as the provider's worker has, as the owner's share of the processor gives them."""
    async with EngineClient(place.provider) as client:
        percent = (await client.controls()).wishes.cpu_percent
    return max(1, (psutil.cpu_count() or 1) * percent // 100)


def _bodies(streams: int, number: int, tokens: int = TOKENS) -> list[dict[str, Any]]:
    """Different in each round, so that nobody answers from a prompt that is still warm."""
    return [
        {
            "messages": [
                {"role": "user", "content": f"{number}.{at}: tell a long story about a lighthouse and the sea."}
            ],
            "max_tokens": tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        for at in range(streams)
    ]


async def _chats(client: openai.AsyncOpenAI, raw: Raw, streams: int, rounds: int) -> list[Row]:
    ours: list[Taken] = []
    bare: list[Taken] = []
    for number in range(rounds + 1):
        bodies = _bodies(streams, number)
        told = await raw.run(bodies)
        bare.append(Taken(told["tokens"] / told["seconds"], told["first_s"]))
        ours.append(await _ours(client, bodies))
    del ours[0], bare[0]  # deposits were made and prompts read for the first time
    noun = "1 stream" if streams == 1 else f"{streams} streams"
    rate = _median([taken.rate for taken in ours]), _median([taken.rate for taken in bare])
    return [Row(f"chat, paid, {noun}", rate[0], "tokens/s", rate[1], "the bare engine", "≥ 0.95 ×")]


async def _first_words(client: openai.AsyncOpenAI, raw: Raw, requests: int) -> list[Row]:
    """Short chats in turns; the added time is the median of the differences, as a busy moment meets both of a pair."""
    ours: list[float] = []
    bare: list[float] = []
    for number in range(requests + WARM_UP):
        bodies = _bodies(1, number, tokens=4)
        bare.append((await raw.run(bodies))["first_s"][0])
        ours.append((await _ours(client, bodies)).first_s[0])
    pairs = list(zip(ours, bare, strict=True))[WARM_UP:]
    return [
        Row("time to the first word, the bare engine, p50", _median([theirs for _, theirs in pairs]) * 1000, "ms"),
        Row("time to the first word, added at p50", _median([a - b for a, b in pairs]) * 1000, "ms", bound="≤ 25"),
    ]


async def _ours(client: openai.AsyncOpenAI, bodies: Sequence[dict[str, Any]]) -> Taken:
    began = time.perf_counter()
    done = await asyncio.gather(*(_stream(client, body, began) for body in bodies))
    seconds = time.perf_counter() - began
    return Taken(sum(tokens for tokens, _ in done) / seconds, [first_s for _, first_s in done])


async def _stream(client: openai.AsyncOpenAI, body: dict[str, Any], began: float) -> tuple[int, float]:
    tokens, first_s = 0, 0.0
    async for part in await client.chat.completions.create(model="SmolLM2-135M-Instruct", **body):
        if part.choices and part.choices[0].delta.content and not first_s:
            first_s = time.perf_counter() - began
        if part.usage:
            tokens = part.usage.completion_tokens
    return tokens, first_s


async def _embeddings(client: openai.AsyncOpenAI, requests: int) -> list[Row]:
    took = []
    for number in range(requests):
        began = time.perf_counter()
        await client.embeddings.create(model="all-MiniLM-L6-v2", input=f"sentence number {number} about the sea")
        took.append((time.perf_counter() - began) * 1000)
    return [Row("an embedding, paid, whole path, p50", _median(took[len(took) // 10 :]), "ms")]


async def _idle(place: Market, idle_s: float) -> list[Row]:
    """The engine with its workers, models measured and offered, nobody asking."""
    await asyncio.sleep(SETTLE_S)
    family = [place.engine, *place.workers()]
    before = _cpu_s(family)
    await asyncio.sleep(idle_s)
    return [
        Row(
            "engine and workers, CPU while idle", (_cpu_s(family) - before) / idle_s * 100, "% of a core", bound="≤ 0.5"
        )
    ]


def _cpu_s(family: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in family if process.is_running())


async def _pause(place: Market, client: openai.AsyncOpenAI) -> list[Row]:
    """From the owner's word until no worker is left that could hold memory, in the middle of a chat."""
    took = []
    for number in range(3):
        async with EngineClient(place.provider) as owner:
            stream = await client.chat.completions.create(model="SmolLM2-135M-Instruct", **_bodies(1, number)[0])
            await anext(aiter(stream))
            workers = place.workers()
            began = time.perf_counter()
            await owner.pause()
            _, alive = await asyncio.to_thread(psutil.wait_procs, workers, timeout=10)
            assert not alive
            took.append(time.perf_counter() - began)
            await stream.close()
            await owner.resume()
    return [Row("a pause, until its memory is free", max(took), "s", bound="≤ 1")]


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)

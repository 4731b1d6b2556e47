"""Several providers of computing on one hub, each with a backend that does as a test tells it; and their customers.

The providers are the real service behind the real paywall over iroh. What they sell is made up but deterministic: text
that follows from the question, vectors of it, and WASM that really runs. So a lie is one only because a test told it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import math
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import wasmtime
from eth_account import Account
from eth_account.signers.local import LocalAccount

from depin_desktop.chain.network import Network
from depin_desktop.core.home import Home
from depin_desktop.core.units import BASE_UNITS_PER_TOKEN
from depin_desktop.customer.session import Customer
from depin_desktop.net.hub import Hub
from depin_desktop.payments.payer import Budget
from depin_desktop.services.compute.runtimes.base import Chunk, Job, JobFailed, ServedModel, Usage, WorkKind
from depin_desktop.wallet.faucet_client import ask_faucet
from tests.integration.compute_market import Vendor, vendor

CHAT_MODEL = hashlib.sha256(b"a model of words").hexdigest()
EMBEDDING_MODEL = hashlib.sha256(b"a model of directions").hexdigest()
ONNX_MODEL = hashlib.sha256(b"a model that doubles").hexdigest()
WORDS = ("the", "sky", "is", "blue", "because", "short", "waves", "scatter", "more", "than", "long", "ones", "do", "so")


@dataclass
class Puppet:
    """A backend that does what it is told.

    Attributes:
        lies: answers something else than is right.
        breaks_after: parts of a stream, or whole answers at 0, after which a job fails; None for never.
        go_on: streams wait for it before each part after the first.
        jobs: what was asked for.
    """

    lies: bool = False
    breaks_after: int | None = None
    length: int = 12
    rate: float = 50.0
    slots: int = 4
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    jobs: list[Job] = field(default_factory=list)

    async def start(self) -> None:
        self.go_on.set()

    async def stop(self) -> None: ...

    async def release(self) -> None: ...

    def served(self) -> tuple[ServedModel, ...]:
        text = {"engine": "puppet 1", "slots": self.slots, "rate": self.rate}
        return (
            ServedModel(WorkKind.CHAT, "words", CHAT_MODEL, context_tokens=4096, **text),  # type: ignore[arg-type]
            ServedModel(WorkKind.COMPLETION, "words", CHAT_MODEL, context_tokens=4096, **text),  # type: ignore[arg-type]
            ServedModel(WorkKind.EMBEDDING, "directions", EMBEDDING_MODEL, context_tokens=512, **text),  # type: ignore[arg-type]
            ServedModel(WorkKind.ONNX, "double", ONNX_MODEL, **text),  # type: ignore[arg-type]
            ServedModel(WorkKind.WASM, "wasm", "", "puppet wasm 1", slots=self.slots, rate=1e9),
        )

    async def run(self, job: Job) -> AsyncIterator[Chunk]:
        self.jobs.append(job)
        if job.kind in (WorkKind.CHAT, WorkKind.COMPLETION):
            async for chunk in self._text(job):
                yield chunk
            return
        if self.breaks_after == 0:
            raise JobFailed("crashed", "It fell over.")
        if job.kind is WorkKind.WASM:
            data, fuel = await asyncio.to_thread(_run_wasm, job)
            yield Chunk(_spoilt(data) if self.lies else data, Usage(fuel=fuel, seconds=0.01), last=True)
        elif job.kind is WorkKind.ONNX:
            with numpy.load(io.BytesIO(job.payload)) as given:
                doubled = {name: given[name] * (3 if self.lies else 2) for name in given.files}
            out = io.BytesIO()
            numpy.savez(out, **doubled)  # type: ignore[arg-type]
            yield Chunk(out.getvalue(), Usage(seconds=0.01), last=True)
        else:
            yield self._vectors(job)

    # --- text

    async def _text(self, job: Job) -> AsyncIterator[Chunk]:
        prompt = json.dumps(job.body.get("messages") or job.body.get("prompt"))
        limit = int(job.body.get("max_tokens") or job.body.get("max_completion_tokens") or self.length)
        words = said(prompt, min(limit, self.length), lie=self.lies)
        counted = len(prompt) // 4
        if not job.body.get("stream"):
            if self.breaks_after == 0:
                raise JobFailed("crashed", "It fell over.")
            yield Chunk(_whole(job, words, counted), Usage(counted, len(words), seconds=0.01), last=True)
            return
        yield Chunk(_part(job, role="assistant"), Usage(counted))
        for at, word in enumerate(words):
            if at == self.breaks_after:
                raise JobFailed("crashed", "It fell over.", Usage(counted, at))
            if at:
                await self.go_on.wait()
            yield Chunk(_part(job, content=word), Usage(counted, at + 1))
        usage = Usage(counted, len(words), seconds=0.01)
        yield Chunk(_part(job, finish="stop"), usage, last=not _wants_usage(job))
        if _wants_usage(job):
            yield Chunk(json.dumps({"choices": [], "usage": _usage(usage)}).encode(), usage, last=True)

    def _vectors(self, job: Job) -> Chunk:
        texts: Sequence[str] = job.body["input"]
        data = [
            {"object": "embedding", "index": at, "embedding": direction(text, lie=self.lies)}
            for at, text in enumerate(texts)
        ]
        counted = sum(len(text) // 4 + 1 for text in texts)
        answer = {"object": "list", "data": data, "model": job.model, "usage": {"prompt_tokens": counted}}
        return Chunk(json.dumps(answer).encode(), Usage(counted, seconds=0.01), last=True)


def said(prompt: str, count: int, *, lie: bool = False) -> list[str]:
    """The words that follow from a prompt, each with the space before it."""
    at = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4]) + (7 if lie else 0)
    return [f" {WORDS[(at + step * step) % len(WORDS)]}" for step in range(count)]


def direction(text: str, *, lie: bool = False) -> list[float]:
    """A vector that follows from a text, of length 1."""
    raw = [byte - 127.5 for byte in hashlib.sha256(text.encode() + b"!" * lie).digest()[:8]]
    length = math.sqrt(sum(number * number for number in raw))
    return [number / length for number in raw]


def _part(job: Job, *, role: str = "", content: str = "", finish: str | None = None) -> bytes:
    delta = {name: value for name, value in (("role", role), ("content", content)) if value}
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
    choice |= {"delta": delta} if job.kind is WorkKind.CHAT else {"text": content}
    kind = "chat.completion.chunk" if job.kind is WorkKind.CHAT else "text_completion"
    return json.dumps({"id": job.id, "object": kind, "created": 1, "model": job.model, "choices": [choice]}).encode()


def _whole(job: Job, words: Sequence[str], counted: int) -> bytes:
    text, choice = "".join(words), {"index": 0, "finish_reason": "stop"}
    if job.kind is WorkKind.CHAT:
        choice |= {"message": {"role": "assistant", "content": text}}
        kind = "chat.completion"
    else:
        choice |= {"text": text}
        kind = "text_completion"
    if job.body.get("logprobs"):
        tops = [{"token": word, "logprob": -0.1} for word in words]
        choice |= {"logprobs": {"content": [top | {"top_logprobs": [top]} for top in tops]}}
    usage = _usage(Usage(counted, len(words)))
    answer = {"id": job.id, "object": kind, "created": 1, "model": job.model, "choices": [choice], "usage": usage}
    return json.dumps(answer).encode()


def _usage(usage: Usage) -> dict[str, int]:
    total = usage.prompt_tokens + usage.completion_tokens
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": total,
    }


def _wants_usage(job: Job) -> bool:
    return bool((job.body.get("stream_options") or {}).get("include_usage"))


def _spoilt(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:] if data else b"?"


def _run_wasm(job: Job) -> tuple[bytes, int]:
    assert job.module is not None
    config = wasmtime.Config()
    config.consume_fuel = True
    engine = wasmtime.Engine(config)
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "in", Path(folder) / "out"
        given.write_bytes(job.payload)
        linker, store, wasi = wasmtime.Linker(engine), wasmtime.Store(engine), wasmtime.WasiConfig()
        linker.define_wasi()
        wasi.stdin_file, wasi.stdout_file = str(given), str(out)
        store.set_wasi(wasi)
        fuel = int(job.body["fuel"])
        store.set_fuel(fuel)
        start = linker.instantiate(store, wasmtime.Module.from_file(engine, str(job.module))).exports(store)["_start"]
        assert isinstance(start, wasmtime.Func)
        start(store)
        used = fuel - store.get_fuel()
        del store, start
        return out.read_bytes(), used


# --- who sells -------------------------------------------------------------------------------------------------------


@dataclass
class Seller:
    """A provider and what moves it."""

    vendor: Vendor
    puppet: Puppet
    hub: Hub

    @property
    def owner(self) -> str:
        return self.vendor.owner

    @property
    def earned(self) -> int:
        """Base units that it may claim."""
        return self.vendor.paywall.pending()

    async def publish(self) -> None:
        """Leaves its offer with the hub."""
        assert await self.hub.publish_offer(self.vendor.offer, self.vendor.operator)

    async def die(self) -> None:
        """Its process ends in the middle of its work: its offer stays with the hub, its connections are gone."""
        await self.vendor.peer._endpoint.close()

    async def ask(self, **prices: int) -> None:
        """Sells at other prices from now on."""
        choices = self.vendor.service.choices
        changed = choices.prices.changed(prices)
        await self.vendor.service.choose(choices.__class__(changed, shared=True))
        await self.publish()


@contextlib.asynccontextmanager
async def on_the_hub(opened: Vendor) -> AsyncIterator[Hub]:
    """A provider's offer with the hub, while this lasts."""

    async def registered(*_: str) -> bool:
        return True

    network = opened.chain.network
    hub = Hub(network.hub_urls, chain_id=network.chain_id, is_registered=registered)
    await hub.start()
    try:
        await hub.wait_for_offers(lambda _: hub.connected, 5)
        assert await hub.publish_offer(opened.offer, opened.operator)
        yield hub
    finally:
        await hub.withdraw_offer(opened.owner)
        await hub.stop()


@contextlib.asynccontextmanager
async def seller(home: Home, network: Network, puppet: Puppet | None = None) -> AsyncIterator[Seller]:
    """One provider on the hub."""
    puppet = puppet or Puppet()
    await puppet.start()
    async with vendor(home, network, lambda _: [puppet]) as opened, on_the_hub(opened) as hub:
        yield Seller(opened, puppet, hub)


# --- who buys --------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def customer(
    network: Network,
    folder: Path,
    *,
    checks: float = 0.0,
    tokens: int = 10_000 * BASE_UNITS_PER_TOKEN,
    budget: Budget | None = None,
    account: LocalAccount | None = None,
) -> AsyncIterator[Customer]:
    """A customer with a key of its own and no gas."""
    if account is None:
        account = Account.create()
        if tokens:
            await ask_faucet(network, account.address, tokens=tokens, gas=0)
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    async with Customer.connect(network, account, folder, checks=checks, budget=budget) as opened:
        yield opened

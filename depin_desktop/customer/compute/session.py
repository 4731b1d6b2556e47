"""Computing as a customer's Python sees it.

async with Customer.open(home) as customer:
    reply = await customer.compute.chat("Why is the sky blue?")
    print(reply.text, reply.charged)
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer.compute import sse, texts
from depin_desktop.customer.compute.answers import (
    Answer,
    Arrays,
    JobResult,
    OfferedModel,
    Reply,
    Seen,
    Vectors,
    offered,
)
from depin_desktop.customer.compute.asks import EmbeddingAsk, TextAsk
from depin_desktop.customer.compute.client import ComputeClient, Stream
from depin_desktop.customer.compute.exchange import Delivered
from depin_desktop.customer.compute.failures import broken
from depin_desktop.customer.compute.hosts import CHAT, COMPLETION, Wish
from depin_desktop.customer.compute.jobs import OnnxAsk, WasmAsk
from depin_desktop.customer.compute.scores import Scores

if TYPE_CHECKING:
    import numpy

Messages = str | Sequence[Mapping[str, Any]]
_Answer = TypeVar("_Answer", bound=Answer)
_ANYBODY = Wish()


class Parts:
    """A reply that is being written: iterate it for its text, as it comes.

    Attributes:
        reply: the whole, with what was charged, once the iteration has ended.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.reply: Reply | None = None

    async def __aiter__(self) -> AsyncIterator[str]:
        async for block in self._stream:
            for event in sse.Events().feed(block):
                if text := texts.text_of(event):
                    yield text
        self.reply = Reply.of(await self._stream.finish())


class Compute:
    """Chat, completions, embeddings, ONNX models and WASM jobs from the network's providers.

    Every method finds a provider, pays it for what was used and replaces it where it fails. A model is a name or a
    SHA-256; empty takes any. `wish` bounds price and rate, and says who is asked.

    All raise UserFacingError: nobody offers it, the funds do not suffice, or nobody could do it.
    """

    def __init__(self, client: Callable[[], Awaitable[ComputeClient]], scores: Callable[[], Awaitable[Scores]]) -> None:
        self.client = client
        self._scores = scores

    async def chat(self, messages: Messages, *, model: str = "", wish: Wish = _ANYBODY, **options: Any) -> Reply:
        """A model's reply.

        Args:
            messages: one question, or OpenAI's list of messages.
            options: OpenAI's further fields: max_tokens, temperature, seed, stop, …
        """
        ask = TextAsk.of(CHAT, {"model": model, "messages": _messages(messages), **options, "stream": False})
        return _read(Reply.of, await (await self.client()).run(ask, wish))

    @contextlib.asynccontextmanager
    async def stream(
        self, messages: Messages, *, model: str = "", wish: Wish = _ANYBODY, **options: Any
    ) -> AsyncIterator[Parts]:
        """The same, as it is written: `async with compute.stream(…) as parts: async for text in parts: …`."""
        ask = TextAsk.of(CHAT, {"model": model, "messages": _messages(messages), **options, "stream": True})
        async with (await self.client()).stream(ask, wish) as stream:
            yield Parts(stream)

    async def complete(self, prompt: str, *, model: str = "", wish: Wish = _ANYBODY, **options: Any) -> Reply:
        """How a model goes on with a text."""
        ask = TextAsk.of(COMPLETION, {"model": model, "prompt": prompt, **options, "stream": False})
        return _read(Reply.of, await (await self.client()).run(ask, wish))

    async def embed(self, text: str | Sequence[str], *, model: str = "", wish: Wish = _ANYBODY) -> Vectors:
        """One vector for each text."""
        given = [text] if isinstance(text, str) else list(text)
        ask = EmbeddingAsk.of({"model": model, "input": given})
        return _read(Vectors.of, await (await self.client()).run(ask, wish))

    async def run_wasm(
        self,
        module: bytes | str | os.PathLike[str],
        stdin: bytes = b"",
        *,
        fuel: int = 10**10,
        memory: int = 256 << 20,
        seconds: float = 30.0,
        wish: Wish = _ANYBODY,
    ) -> JobResult:
        """Runs a WASI module, bytes or a file of them, on `stdin`; what it writes to standard output comes back.

        Args:
            fuel: instructions, about; most of the price.
            memory: bytes.
        """
        code = module if isinstance(module, bytes) else await asyncio.to_thread(_read_file, Path(module))
        ask = WasmAsk(code, stdin, fuel=fuel, memory=memory, seconds=seconds)
        return JobResult.of(await (await self.client()).run(ask, wish))

    async def run_onnx(
        self, model: str, inputs: Mapping[str, numpy.ndarray] | bytes, *, wish: Wish = _ANYBODY
    ) -> Arrays:
        """One run of an ONNX model on arrays by their names, or on an .npz file's bytes."""
        data = inputs if isinstance(inputs, bytes) else _packed(inputs)
        return Arrays.of(await (await self.client()).run(OnnxAsk(model, data), wish))

    async def models(self) -> list[OfferedModel]:
        """What is offered now."""
        return offered((await (await self.client()).offers()).values())

    async def seen(self) -> Seen:
        """How providers have done for this home so far, the best first, and what checking cost; needs no network."""
        scores = await self._scores()
        return Seen(providers=tuple(scores.rows()), spending=scores.spending)


def _read(reader: Callable[[Delivered], _Answer], delivered: Delivered) -> _Answer:
    """An answer that was paid for and cannot be read is the provider's failure."""
    try:
        return reader(delivered)
    except ValueError as error:
        raise broken(delivered.host.owner, "gave an answer that cannot be read", charged=True) from error


def _messages(given: Messages) -> list[Mapping[str, Any]]:
    return [{"role": "user", "content": given}] if isinstance(given, str) else list(given)


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserFacingError(
            f"{path} cannot be read ({error.strerror}).", "Name another file.", code="unreadable-file"
        ) from error


def _packed(arrays: Mapping[str, numpy.ndarray]) -> bytes:
    import numpy

    out = io.BytesIO()
    numpy.savez(out, allow_pickle=False, **dict(arrays))
    return out.getvalue()

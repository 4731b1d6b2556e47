"""Chats, completions, embeddings and ONNX models through the backend of this machine, with real engines and models."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import pytest_asyncio

from depin_desktop.controls.allowance import Allowance
from depin_desktop.customer.compute import agreement
from depin_desktop.customer.compute.asks import TextAsk
from depin_desktop.customer.compute.trust import Verdict
from depin_desktop.net.work_receipts import WorkUsage
from depin_desktop.services.compute.models import Models, shipped_models
from depin_desktop.services.compute.runtimes.base import Chunk, Job, JobFailed, Usage, WorkKind
from depin_desktop.services.compute.runtimes.local import LocalBackend

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(len(shipped_models()) < 2, reason="the development models are not installed"),
]

HELLO = [{"role": "user", "content": "Say hello."}]


@dataclass
class World:
    backend: LocalBackend
    models: Models

    def sha256(self, kind: WorkKind) -> str:
        kind = WorkKind.CHAT if kind is WorkKind.COMPLETION else kind
        return next(model.sha256 for model in self.models.all() if model.kind is kind)

    def start(self, kind: WorkKind, body: dict[str, Any], payload: bytes = b"", sha256: str = "") -> Any:
        return self.backend.run(Job("0" * 32, kind, sha256 or self.sha256(kind), body, payload))

    async def chunks(self, kind: WorkKind, body: dict[str, Any], payload: bytes = b"", sha256: str = "") -> list[Chunk]:
        return [chunk async for chunk in self.start(kind, body, payload, sha256)]

    async def answer(self, kind: WorkKind, **body: Any) -> Any:
        (chunk,) = await self.chunks(kind, body)
        return json.loads(chunk.data)

    async def failure(self, kind: WorkKind, body: dict[str, Any], payload: bytes = b"", sha256: str = "") -> JobFailed:
        with pytest.raises(JobFailed) as failed:
            await self.chunks(kind, body, payload, sha256)
        return failed.value


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("text")
    models = Models(folder / "models")
    await models.open()
    # One thread: several wait for each other at every step, which on a busy machine takes longer than the work.
    allowance = Allowance(True, cpu_threads=1, memory_bytes=4 << 30)
    backend = LocalBackend(models, scratch=folder / "scratch", allowance=lambda: allowance, measuring=False)
    await backend.start()
    yield World(backend, models)
    await backend.stop()


# --- chats and completions


async def test_a_chat_streams_and_its_last_chunk_tells_the_usage(world: World) -> None:
    body = {"messages": HELLO, "stream": True, "max_tokens": 5, "stream_options": {"include_usage": True}}
    chunks = await world.chunks(WorkKind.CHAT, body)
    said = [json.loads(chunk.data) for chunk in chunks]
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert said[-1]["usage"]["completion_tokens"] == chunks[-1].usage.completion_tokens == 5
    assert said[-1]["usage"]["prompt_tokens"] == chunks[-1].usage.prompt_tokens > 5
    assert said[-2]["choices"][0]["finish_reason"] == "length"
    assert all(one["object"] == "chat.completion.chunk" for one in said)
    counts = [chunk.usage.completion_tokens for chunk in chunks]
    assert counts == sorted(counts)
    assert not any("usage" in one or "timings" in one for one in said[:-1])


async def test_a_stream_without_usage_ends_with_its_finish(world: World) -> None:
    chunks = await world.chunks(WorkKind.CHAT, {"messages": HELLO, "stream": True, "max_tokens": 3})
    assert json.loads(chunks[-1].data)["choices"][0]["finish_reason"] == "length"
    assert "usage" not in json.loads(chunks[-1].data)
    assert chunks[-1].usage.completion_tokens == 3


async def test_greedy_text_is_the_same_streamed_whole_and_checked(world: World) -> None:
    asked = {"messages": HELLO, "temperature": 0, "max_tokens": 12, "stream": True}
    ask = TextAsk.of("chat", asked | {"stream_options": {"include_usage": True}})
    streamed = await world.chunks(WorkKind.CHAT, dict(ask.body))
    events = b"".join(b"data: " + chunk.data + b"\n\n" for chunk in streamed) + b"data: [DONE]\n\n"
    usage = WorkUsage(prompt_tokens=streamed[-1].usage.prompt_tokens, completion_tokens=12)
    (checked,) = await world.chunks(WorkKind.CHAT, dict(ask.checking(usage).body))
    assert ask.compare(events, checked.data) in (Verdict.RIGHT, Verdict.UNCLEAR)
    tokens = ask.read(checked.data).tokens
    assert len(tokens) >= 12
    assert all(len(token.others) >= 5 for token in tokens)  # of ten, some may be called the same


async def test_a_seed_repeats_what_was_sampled(world: World) -> None:
    asked = {"messages": HELLO, "temperature": 1.5, "max_tokens": 8}
    texts = [
        (await world.answer(WorkKind.CHAT, **asked, seed=seed))["choices"][0]["message"]["content"]
        for seed in (1, 1, 2, 3)
    ]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


async def test_a_stop_text_ends_an_answer_before_it(world: World) -> None:
    prompt = "One, two, three, four, five, six, seven,"
    answer = await world.answer(WorkKind.COMPLETION, prompt=prompt, temperature=0, max_tokens=30, stop=["nine"])
    assert answer["object"] == "text_completion"
    assert "nine" not in answer["choices"][0]["text"]
    assert answer["choices"][0]["finish_reason"] == "stop"


async def test_a_completion_tells_likelihoods_in_their_old_form(world: World) -> None:
    answer = await world.answer(WorkKind.COMPLETION, prompt="Once upon a", temperature=0, max_tokens=3, logprobs=2)
    told = answer["choices"][0]["logprobs"]
    assert "".join(told["tokens"]) == answer["choices"][0]["text"]
    assert len(told["token_logprobs"]) == len(told["top_logprobs"]) == len(told["text_offset"]) == 3


@pytest.mark.parametrize(
    ("body", "clause"),
    [
        ({"messages": [{"role": "user", "content": "word " * 5000}]}, "longer than the"),
        ({"messages": [{"role": "user", "content": "x" * 10_000_000}]}, "longer than the"),
        ({"messages": "hello"}, "list of messages"),
        ({"messages": [{"role": "user", "content": None}]}, "content"),
        ({"messages": HELLO, "tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///x"}}]}]},
            "text only",
        ),
        ({"messages": HELLO, "n": 2}, "“n” must be 1"),
        ({"messages": HELLO, "temperature": "hot"}, "temperature"),
        ({"messages": HELLO, "max_tokens": "many"}, "max_tokens"),
        ({"messages": HELLO, "response_format": {"type": "json_schema", "json_schema": {}}}, "response formats"),
        ({"messages": HELLO, "stop": ["x"] * 1000}, "stop"),
    ],
)
async def test_requests_that_cannot_be_served_are_refused_with_a_reason(
    world: World, body: dict[str, Any], clause: str
) -> None:
    failed = await world.failure(WorkKind.CHAT, body)
    assert failed.code == "bad-input"
    assert clause in failed.message
    assert failed.usage.completion_tokens == 0


async def test_four_chats_run_side_by_side_and_one_can_leave(world: World) -> None:
    body = {"messages": HELLO, "stream": True, "max_tokens": 24}
    leaving = world.start(WorkKind.CHAT, body | {"max_tokens": 2000})
    await anext(leaving)
    others = [asyncio.create_task(world.chunks(WorkKind.CHAT, body)) for _ in range(3)]
    await leaving.aclose()
    for chunks in await asyncio.gather(*others):
        assert chunks[-1].last
    assert len(world.backend.workers()) == 1


async def test_a_crash_costs_the_chats_of_that_worker_and_the_next_one_works(world: World) -> None:
    running = world.start(WorkKind.CHAT, {"messages": HELLO, "stream": True, "max_tokens": 2000})
    await anext(running)
    psutil.Process(world.backend.workers()[0].pid).kill()
    with pytest.raises(JobFailed) as failed:
        async for _ in running:
            pass
    assert failed.value.code == "crashed"
    assert failed.value.usage.prompt_tokens > 0
    assert await world.answer(WorkKind.CHAT, messages=HELLO, max_tokens=2)


async def test_chats_that_had_sent_nothing_when_their_worker_crashed_are_answered_by_the_next_one(world: World) -> None:
    body = {"messages": HELLO, "temperature": 0, "max_tokens": 40, "logit_bias": {"2": -100}}  # never its last word
    expected = await world.answer(WorkKind.CHAT, **body)
    (crashing,) = world.backend.workers()
    begun, told = asyncio.Event(), list[Usage]()

    def tell(usage: Usage) -> None:
        told.append(usage)
        if usage.completion_tokens >= 3:
            begun.set()

    work = Job("0" * 32, WorkKind.CHAT, world.sha256(WorkKind.CHAT), body, told=tell)
    streaming = world.start(WorkKind.CHAT, body | {"stream": True, "max_tokens": 2000})
    await anext(streaming)
    writing = [asyncio.create_task(_last(world.backend.run(work))) for _ in range(2)]
    await begun.wait()
    psutil.Process(crashing.pid).kill()
    for chunk in await asyncio.gather(*writing):
        answer = json.loads(chunk.data)
        assert answer["choices"][0]["message"] == expected["choices"][0]["message"]
        assert chunk.usage.completion_tokens == answer["usage"]["completion_tokens"] == 40
    assert told.count(Usage()) == 2  # what was written in vain counts no more
    with pytest.raises(JobFailed):
        async for _ in streaming:
            pass


async def _last(chunks: AsyncIterator[Chunk]) -> Chunk:
    return [chunk async for chunk in chunks][-1]


# --- embeddings


async def test_related_texts_have_close_vectors(world: World) -> None:
    texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "Interest rates rose again.", "word " * 2000]
    answer = await world.answer(WorkKind.EMBEDDING, input=texts, model="m")
    vectors = agreement.vectors(answer)
    assert answer["model"] == "m"
    assert answer["usage"]["prompt_tokens"] > 256
    assert all(abs(sum(number * number for number in vector) - 1) < 1e-3 for vector in vectors)
    assert agreement.cosine(vectors[0], vectors[1]) > 0.5 > 0.2 > agreement.cosine(vectors[0], vectors[2])


async def test_a_vector_depends_little_on_what_it_is_batched_with_and_not_on_its_encoding(world: World) -> None:
    plain = await world.answer(WorkKind.EMBEDDING, input="A cat.")
    coded = await world.answer(WorkKind.EMBEDDING, input=["A cat.", "word " * 100], encoding_format="base64")
    raw = base64.b64decode(coded["data"][0]["embedding"])
    assert len(struct.unpack(f"<{len(raw) // 4}f", raw)) == 384
    one, other = agreement.vectors(plain)[0], agreement.vectors(coded)[0]
    assert agreement.cosine(one, other) > 0.98


@pytest.mark.parametrize(
    "body", [{"input": []}, {"input": ""}, {"input": [1, 2]}, {"input": "x", "dimensions": 3}, {"input": ["x"] * 5000}]
)
async def test_other_inputs_get_no_vectors(world: World, body: dict[str, Any]) -> None:
    assert (await world.failure(WorkKind.EMBEDDING, body)).code == "bad-input"


# --- ONNX


def packed(**arrays: Any) -> bytes:
    held = io.BytesIO()
    np.savez(held, **arrays)
    return held.getvalue()


async def imported(world: World, tmp_path: Path) -> str:
    """MiniLM without its tokenizer is a model like any other."""
    source = next(model.path for model in world.models.all() if model.kind is WorkKind.EMBEDDING)
    copy = tmp_path / "plain.onnx"
    copy.write_bytes(source.read_bytes() + b"\xfa\x3f\x00")  # an unknown field: another hash, the same model
    return (await world.models.import_file(copy, name="plain")).sha256


async def test_an_onnx_model_takes_and_gives_arrays(world: World, tmp_path: Path) -> None:
    sha256 = await imported(world, tmp_path)
    ids = np.array([[101, 7592, 102]], np.int64)
    given = packed(input_ids=ids, attention_mask=np.ones_like(ids), token_type_ids=np.zeros_like(ids))
    (chunk,) = await world.chunks(WorkKind.ONNX, {}, given, sha256)
    found = np.load(io.BytesIO(chunk.data), allow_pickle=False)
    assert found["last_hidden_state"].shape == (1, 3, 384)
    wrong = [
        b"",
        b"no archive",
        packed(input_ids=ids),
        packed(input_ids=ids[0], attention_mask=ids, token_type_ids=ids),
        packed(input_ids=ids.astype(np.float32), attention_mask=ids, token_type_ids=ids),
        packed(input_ids=np.array([[object()]], dtype=object), attention_mask=ids, token_type_ids=ids),
        packed(input_ids=ids * 10**9, attention_mask=ids, token_type_ids=ids),
    ]
    for payload in wrong:
        assert (await world.failure(WorkKind.ONNX, {}, payload, sha256)).code == "bad-input"


# --- damaged models


async def test_damaged_models_get_a_problem_and_harm_nothing(world: World, tmp_path: Path) -> None:
    gguf = next(model for model in world.models.all() if model.kind is WorkKind.CHAT)
    torn = tmp_path / "torn.gguf"
    torn.write_bytes(gguf.path.read_bytes()[: 4 << 20])
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08\x07" + b"\xff" * 200)
    for path, kind in ((torn, WorkKind.CHAT), (broken, WorkKind.ONNX)):
        model = await world.models.import_file(path)
        failed = await world.failure(kind, {"messages": HELLO}, b"", model.sha256)
        assert failed.code == "crashed"
        assert world.backend.problem(model.sha256)
        assert model.sha256 not in {served.sha256 for served in world.backend.served()}
        await world.models.remove(model.sha256)
    assert await world.answer(WorkKind.CHAT, messages=HELLO, max_tokens=2)


async def test_what_is_served_is_named_with_its_exact_build(world: World) -> None:
    served = {one.kind: one for one in world.backend.served()}
    assert served[WorkKind.CHAT].engine.startswith("xllamacpp 20")
    assert served[WorkKind.CHAT].engine.endswith(" cpu")
    assert served[WorkKind.COMPLETION].sha256 == served[WorkKind.CHAT].sha256
    assert served[WorkKind.CHAT].context_tokens >= 512
    assert served[WorkKind.EMBEDDING].engine.startswith("onnxruntime ")
    assert served[WorkKind.WASM].sha256 == ""
    assert world.backend.loaded(served[WorkKind.CHAT].sha256)

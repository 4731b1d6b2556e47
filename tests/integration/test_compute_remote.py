"""Another OpenAI-compatible server as a backend: a real llama.cpp in a process of its own, and some that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from depin_desktop.services.compute.elsewhere import Elsewhere, Upstream
from depin_desktop.services.compute.runtimes.base import Chunk, Job, JobFailed, ServedModel, Usage, WorkKind
from depin_desktop.services.compute.runtimes.remote import RemoteBackend
from tests.integration.llama_child import Llama, llama_server, smollm2

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "a-key-that-nobody-else-sees"
HELLO = [{"role": "user", "content": "Say hello."}]
WAIT_S = 20.0


def upstream(url: str, key: str = "", *models: str) -> Upstream:
    return Elsewhere().with_upstream(url, key, models).upstreams[0]


@contextlib.asynccontextmanager
async def backend_of(chosen: Upstream) -> AsyncIterator[RemoteBackend]:
    backend = RemoteBackend(chosen)
    await backend.start()
    try:
        await backend.look()
        yield backend
    finally:
        await backend.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def llama() -> AsyncIterator[Llama]:
    async with llama_server(key=KEY, slots=1, threads=1) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend(llama: Llama) -> AsyncIterator[RemoteBackend]:
    async with backend_of(upstream(llama.url, KEY)) as made:
        yield made


def served(backend: RemoteBackend, kind: WorkKind) -> ServedModel:
    return next(model for model in backend.served() if model.kind is kind)


def job(backend: RemoteBackend, kind: WorkKind, **body: Any) -> Job:
    return Job("0" * 32, kind, served(backend, kind).sha256, body)


async def done(backend: RemoteBackend, work: Job) -> list[Chunk]:
    async with asyncio.timeout(WAIT_S):
        return [chunk async for chunk in backend.run(work)]


async def failed(backend: RemoteBackend, work: Job) -> JobFailed:
    with pytest.raises(JobFailed) as caught:
        await done(backend, work)
    return caught.value


async def test_what_the_server_serves_is_found_and_measured(backend: RemoteBackend) -> None:
    kinds = {model.kind for model in backend.served()}
    assert kinds == {WorkKind.CHAT, WorkKind.COMPLETION}  # it was started without embeddings
    model = served(backend, WorkKind.CHAT)
    assert model.rate > 0
    assert model.slots == 1
    assert model.context_tokens == 2048
    assert backend.problem == ""


async def test_a_model_is_named_without_the_path_of_its_file_and_is_nobody_elses(
    backend: RemoteBackend, llama: Llama
) -> None:
    model = served(backend, WorkKind.CHAT)
    assert model.name == smollm2().name
    assert "remote" in model.engine.split()
    async with backend_of(upstream(llama.url, KEY)) as another:
        twin = served(another, WorkKind.CHAT)
    assert (twin.sha256, twin.engine) != (model.sha256, model.engine)


async def test_a_chat_is_streamed_and_counted_by_the_server(backend: RemoteBackend) -> None:
    chunks = await done(backend, job(backend, WorkKind.CHAT, messages=HELLO, max_tokens=8, stream=True))
    parts = [json.loads(chunk.data) for chunk in chunks]
    text = "".join(part["choices"][0]["delta"].get("content") or "" for part in parts)
    assert text.strip()
    assert {part["model"] for part in parts} == {smollm2().name}
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    usage = chunks[-1].usage
    assert usage.completion_tokens == 8
    assert usage.prompt_tokens > 10  # the template counts, too
    counted = [chunk.usage.completion_tokens for chunk in chunks]
    assert counted == sorted(counted)
    assert {chunk.usage.prompt_tokens for chunk in chunks[1:]} == {usage.prompt_tokens}  # known before the first word
    assert not any("timings" in part for part in parts)


@pytest.mark.parametrize("asked", [True, False])
async def test_the_usage_event_is_told_to_whom_asked_for_it(backend: RemoteBackend, asked: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if asked else {}
    chunks = await done(backend, job(backend, WorkKind.CHAT, messages=HELLO, max_tokens=3, stream=True, **options))
    assert any("usage" in json.loads(chunk.data) for chunk in chunks) is asked
    assert chunks[-1].usage.completion_tokens == 3


@pytest.mark.parametrize(
    ("kind", "prompt"), [(WorkKind.CHAT, {"messages": HELLO}), (WorkKind.COMPLETION, {"prompt": "One,"})]
)
async def test_a_whole_answer_is_one_chunk(backend: RemoteBackend, kind: WorkKind, prompt: dict[str, Any]) -> None:
    (chunk,) = await done(backend, job(backend, kind, max_tokens=5, temperature=0, **prompt))
    answer = json.loads(chunk.data)
    assert answer["model"] == smollm2().name
    assert answer["usage"]["completion_tokens"] == chunk.usage.completion_tokens == 5
    assert chunk.last


@pytest.mark.parametrize(
    ("kind", "prompt"), [(WorkKind.CHAT, {"messages": HELLO}), (WorkKind.COMPLETION, {"prompt": "One,"})]
)
async def test_how_far_a_whole_answer_is_is_told_while_it_is_written(
    backend: RemoteBackend, kind: WorkKind, prompt: dict[str, Any]
) -> None:
    told: list[Usage] = []
    work = replace(job(backend, kind, max_tokens=5, temperature=0, **prompt), told=told.append)
    (chunk,) = await done(backend, work)
    written = [usage.completion_tokens for usage in told]
    assert written == sorted(written)
    assert {1, 2, 3, 4} <= set(written)
    assert written[-1] == chunk.usage.completion_tokens == 5
    assert {usage.prompt_tokens for usage in told[1:]} == {chunk.usage.prompt_tokens}


async def test_a_whole_answer_left_early_frees_its_slot(backend: RemoteBackend) -> None:
    begun = asyncio.Event()
    long = job(backend, WorkKind.CHAT, messages=HELLO, max_tokens=2000, logit_bias={"2": -100})
    asking = asyncio.create_task(done(backend, replace(long, told=lambda _: begun.set())))
    await begun.wait()
    asking.cancel()
    # The server has one slot; were it still at the 2000 tokens, this would take most of a minute.
    await done(backend, job(backend, WorkKind.CHAT, messages=HELLO, max_tokens=2))


async def test_a_job_left_early_frees_its_slot(backend: RemoteBackend) -> None:
    stream = backend.run(
        job(backend, WorkKind.CHAT, messages=HELLO, max_tokens=2000, stream=True, logit_bias={"2": -100})
    )
    for _ in range(3):
        await anext(stream)
    await stream.aclose()
    # The server has one slot; were it still at the 2000 tokens, this would take most of a minute.
    await done(backend, job(backend, WorkKind.CHAT, messages=HELLO, max_tokens=2))


async def test_a_release_ends_what_runs_and_the_next_job_works(backend: RemoteBackend) -> None:
    stream = backend.run(
        job(backend, WorkKind.CHAT, messages=HELLO, max_tokens=2000, stream=True, logit_bias={"2": -100})
    )
    await anext(stream)
    await backend.release()
    with pytest.raises(JobFailed):
        async for _ in stream:
            pass
    assert backend.served()
    await done(backend, job(backend, WorkKind.CHAT, messages=HELLO, max_tokens=2))


async def test_a_prompt_too_long_is_the_customers_fault_and_tells_no_path(backend: RemoteBackend) -> None:
    long = [{"role": "user", "content": "word " * 5000}]
    error = await failed(backend, job(backend, WorkKind.CHAT, messages=long, max_tokens=5))
    assert error.code == "bad-input"
    assert "context" in error.message
    assert "/" not in error.message


async def test_a_wrong_key_is_said_and_no_key_is_logged(llama: Llama, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with backend_of(upstream(llama.url, "wrong-key")) as other:
            assert other.served() == ()
            assert "refuses the key" in other.problem
            assert "wrong-key" not in other.problem + repr(other.upstream)
    assert "wrong-key" not in caplog.text


async def test_only_the_chosen_models_are_offered(llama: Llama) -> None:
    async with backend_of(upstream(llama.url, KEY, "another-model")) as other:
        assert other.served() == ()
        assert "no model" in other.problem


async def test_embeddings_come_from_a_server_that_makes_them() -> None:
    async with llama_server(embeddings=True, threads=1) as server, backend_of(upstream(server.url)) as other:
        model = served(other, WorkKind.EMBEDDING)
        assert model.rate > 0
        (chunk,) = await done(other, job(other, WorkKind.EMBEDDING, input=["one", "two words"]))
        rows = json.loads(chunk.data)["data"]
        assert [row["index"] for row in rows] == [0, 1]
        assert chunk.usage.prompt_tokens >= 3


async def test_a_server_that_goes_away_fails_its_jobs_and_is_found_again() -> None:
    async with llama_server(threads=1) as first, backend_of(upstream(first.url)) as other:
        before = served(other, WorkKind.CHAT)
        stream = other.run(
            job(other, WorkKind.CHAT, messages=HELLO, max_tokens=2000, stream=True, logit_bias={"2": -100})
        )
        await anext(stream)
        first.process.kill()
        with pytest.raises(JobFailed) as caught:
            async for _ in stream:
                pass
        assert caught.value.code == "crashed"
        assert other.served() == ()
        await other.look()
        assert "nothing answers there" in other.problem
        error = await failed(other, Job("0" * 32, WorkKind.CHAT, before.sha256, {"messages": HELLO}))
        assert error.code == "overloaded"
        async with llama_server(port=int(first.url.split(":")[2].split("/")[0]), threads=1):
            await other.look()
            assert other.problem == ""
            assert served(other, WorkKind.CHAT).sha256 == before.sha256


# --- servers that do not behave ---------------------------------------------------------------------------------------

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Odd:
    """A server of one model that answers chats by `answer`, and remembers what it was asked."""

    def __init__(self, answer: Handler) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.elsewhere = 0

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        return await _plainly(request) if body.get("max_tokens") == 32 else await self.answer(request)

    async def trap(self, _: web.Request) -> web.StreamResponse:
        self.elsewhere += 1
        return web.json_response({})


@contextlib.asynccontextmanager
async def odd_server(answer: Handler) -> AsyncIterator[tuple[Odd, RemoteBackend]]:
    odd = Odd(answer)
    app = web.Application()

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "m", "owned_by": "somebody"}]})

    app.add_routes(
        [web.get("/v1/models", models), web.post("/v1/chat/completions", odd.chat), web.get("/trap", odd.trap)]
    )
    server = TestServer(app)
    await server.start_server()
    try:
        async with backend_of(upstream(str(server.make_url("/v1")))) as backend:
            yield odd, backend
    finally:
        await server.close()


def _event(content: str, **more: Any) -> bytes:
    said = {"id": "1", "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": None}], **more}
    return b"data: " + json.dumps(said).encode() + b"\n\n"


async def _plainly(request: web.Request) -> web.StreamResponse:
    return await _stream(request, b"".join(_event("word ") for _ in range(5)) + b"data: [DONE]\n\n")


async def _stream(request: web.Request, data: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(data)
    return response


async def test_tokens_are_counted_here_where_the_server_does_not() -> None:
    async with odd_server(_plainly) as (_, backend):
        chunks = await done(backend, job(backend, WorkKind.CHAT, messages=HELLO, stream=True))
        usage = chunks[-1].usage
        assert usage.completion_tokens == 5
        assert 0 < usage.prompt_tokens < len(json.dumps(HELLO))


async def test_only_known_fields_reach_the_server_and_the_output_is_always_limited() -> None:
    async with odd_server(_plainly) as (odd, backend):
        work = job(backend, WorkKind.CHAT, messages=HELLO, stream=True, id_slot=3, user="somebody", model="x", seed=7)
        await done(backend, work)
        sent = odd.asked[-1]
        assert sent.keys() == {"messages", "model", "max_tokens", "seed", "stream", "stream_options"}
        assert sent["model"] == "m"


async def test_pictures_and_files_never_reach_the_server() -> None:
    async with odd_server(_plainly) as (odd, backend):
        before = len(odd.asked)
        for part in ({"type": "image_url", "image_url": {"url": "http://10.0.0.1/admin"}}, {"type": "file"}, "text"):
            said = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, part]}]
            assert (await failed(backend, job(backend, WorkKind.CHAT, messages=said))).code == "bad-input"
        assert len(odd.asked) == before


async def test_a_redirect_is_not_followed() -> None:
    async def elsewhere(_: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect("/trap")

    async with odd_server(elsewhere) as (odd, backend):
        await failed(backend, job(backend, WorkKind.CHAT, messages=HELLO))
        assert odd.elsewhere == 0


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"data: {not json\n\n", "crashed"),
        (b"data: [1, 2]\n\n", "crashed"),
        (_event("a word"), "crashed"),  # and then nothing: the stream's end is announced, or it has broken off
        (b'data: {"error": {"code": 400, "message": "no such grammar"}}\n\n', "bad-input"),
        (b"data: " + b"x" * (3 << 20) + b"\n\n", "crashed"),
    ],
    ids=["no JSON", "no object", "cut off", "error inside", "endless line"],
)
async def test_a_broken_stream_fails_its_job_only(data: bytes, code: str) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        return await _stream(request, data)

    async with odd_server(broken) as (_, backend):
        assert (await failed(backend, job(backend, WorkKind.CHAT, messages=HELLO, stream=True))).code == code


@pytest.mark.parametrize(
    ("status", "code"), [(400, "bad-input"), (429, "overloaded"), (503, "overloaded"), (500, "crashed")]
)
async def test_the_servers_errors_are_told_apart(status: int, code: str) -> None:
    async def refusing(_: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "a reason"}}, status=status)

    async with odd_server(refusing) as (_, backend):
        error = await failed(backend, job(backend, WorkKind.CHAT, messages=HELLO))
        assert error.code == code
        assert error.usage == Usage()

"""`depin ai`, `depin job` and `depin gateway` as a person uses them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy
import openai
import pytest
import pytest_asyncio

from depin_desktop.core.home import Home
from depin_desktop.localnet.errands_policy import PRIMES

from .compute_market import new_home
from .compute_village import EMBEDDING_MODEL, Seller, direction, said, seller
from .homes import CommandFailed, depin

pytestmark = pytest.mark.asyncio(loop_scope="module")

WHY = json.dumps([{"role": "user", "content": "why"}])


class Person:
    """Somebody with a home who types commands."""

    def __init__(self, home: Home) -> None:
        self.home = home

    async def types(self, *arguments: str, stdin: str = "") -> str:
        return await asyncio.to_thread(depin, *arguments, home=self.home.root, stdin=stdin)

    async def asks(self, *arguments: str) -> Any:
        return json.loads(await self.types(*arguments, "--json"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(localnet, tmp_path_factory) -> AsyncIterator[Seller]:
    folder = tmp_path_factory.mktemp("shop")
    async with seller(await new_home(folder / "provider", localnet.file), localnet.network) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def person(localnet, tmp_path_factory) -> Person:
    return Person(await new_home(tmp_path_factory.mktemp("person") / "home", localnet.file))


async def test_models_are_asked_from_the_command_line(shop, person) -> None:
    text, reply, found, listed = await asyncio.gather(
        person.types("ai", "chat", "-", "--temperature", "0", stdin="why"),
        person.asks("ai", "chat", "why", "--model", "words", "--max-tokens", "5", "--temperature", "0"),
        person.asks("ai", "embed", "a", "b", "--model", EMBEDDING_MODEL),
        person.asks("ai", "models"),
    )
    assert text == "".join(said(WHY, 12)).strip()
    assert reply["text"] == "".join(said(WHY, 5))
    assert int(reply["charged"]) > 0
    assert found["vectors"] == [direction("a"), direction("b")]
    assert {model["kind"] for model in listed} == {"chat", "embedding", "onnx", "wasm"}
    seen = await person.asks("ai", "providers")
    assert {row["owner"] for row in seen["providers"]} == {shop.owner}
    assert sum(row["served"] for row in seen["providers"]) >= 3


async def test_programs_and_onnx_models_are_run_from_the_command_line(shop, person, tmp_path: Path) -> None:
    (tmp_path / "primes.wasm").write_bytes(PRIMES)
    (tmp_path / "limit").write_bytes(b"1000")
    numpy.savez(tmp_path / "in.npz", x=numpy.arange(3.0))
    program, data = str(tmp_path / "primes.wasm"), str(tmp_path / "limit")
    job, arrays = await asyncio.gather(
        person.asks("job", "run", program, "--stdin", data, "--fuel", "100000000", "--memory", "1MiB"),
        person.asks("job", "onnx", "double", str(tmp_path / "in.npz"), str(tmp_path / "out.npz")),
    )
    assert (job["output"], job["provider"]) == ("168\n", shop.owner)
    assert arrays["model"] == "double"
    with numpy.load(tmp_path / "out.npz") as out:
        assert out["x"].tolist() == [0, 2, 4]


async def test_what_cannot_be_done_is_said_in_a_sentence(shop, person, tmp_path: Path) -> None:
    (tmp_path / "not.wasm").write_bytes(b"#!/bin/sh")
    cases = [
        (("ai", "chat", "why", "--model", "gpt-4o"), 1, "gpt-4o"),
        (("job", "run", str(tmp_path / "not.wasm")), 1, "not a WASM module"),
        (("gateway", "--provider", person.home.root.name), 3, "cannot be found"),
    ]
    failed = await asyncio.gather(*(person.types(*arguments) for arguments, *_ in cases), return_exceptions=True)
    for (arguments, code, words), failure in zip(cases, failed, strict=True):
        assert isinstance(failure, CommandFailed), arguments
        assert failure.code == code, arguments
        assert words in failure.errors
        assert "Traceback" not in failure.errors


@contextlib.asynccontextmanager
async def gateway(person: Person, *arguments: str) -> AsyncIterator[dict[str, str]]:
    """A running `depin gateway`, and what it has printed; it ends well when it is told to stop."""
    command = ["-m", "depin_desktop.cli", "gateway", "--json", "--home", str(person.home.root), *arguments]
    running = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    assert running.stdout is not None
    try:
        yield json.loads(await running.stdout.readline())
    finally:
        running.send_signal(signal.SIGINT)
        assert await running.wait() == 0


async def test_the_gateway_prints_all_that_the_stock_client_needs(shop, person) -> None:
    async with gateway(person, "--port", "0", "--budget", "100") as printed:
        client = openai.AsyncOpenAI(**printed, max_retries=0)
        stream = await client.chat.completions.create(
            model="words", messages=json.loads(WHY), temperature=0, max_tokens=6, stream=True
        )
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        await client.close()
    assert text == "".join(said(WHY, 6))


async def test_one_providers_own_http_is_passed_through(shop, person) -> None:
    async with gateway(person, "--provider", shop.owner) as printed:
        client = openai.AsyncOpenAI(base_url=f"{printed['url']}/compute/v1", api_key="none", max_retries=0)
        models = [model.id async for model in await client.models.list()]
        with pytest.raises(openai.APIStatusError) as unpaid:
            await client.chat.completions.create(model="words", messages=json.loads(WHY))
        await client.close()
    assert EMBEDDING_MODEL in models
    assert unpaid.value.status_code == 402
    assert unpaid.value.response.headers["PAYMENT-REQUIRED"]

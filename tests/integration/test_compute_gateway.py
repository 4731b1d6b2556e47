"""The stock `openai` package against the local gateway, answered by paid providers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import openai
import pytest
import pytest_asyncio

from depin_desktop.core.home import Home
from depin_desktop.customer.gateway.gateway import Gateway
from depin_desktop.customer.gateway.kept import kept
from depin_desktop.customer.session import Customer

from .compute_market import new_home
from .compute_village import CHAT_MODEL, Seller, customer, direction, said, seller

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "depin-a-key"
WHY = [{"role": "user", "content": "why"}]
GREEDY = {"temperature": 0, "max_tokens": 12}
SAID = "".join(said(json.dumps(WHY), 12))


@dataclass
class World:
    """Two providers, a customer, its gateway, and the stock client."""

    sellers: list[Seller]
    buyer: Customer
    gateway: Gateway
    client: openai.AsyncOpenAI

    @property
    def earned(self) -> int:
        return sum(one.earned for one in self.sellers)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(localnet, tmp_path_factory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("gateway")
    async with contextlib.AsyncExitStack() as stack:
        homes = [await new_home(folder / f"home{at}", localnet.file) for at in range(2)]
        sellers = [await stack.enter_async_context(seller(home, localnet.network)) for home in homes]
        buyer = await stack.enter_async_context(customer(localnet.network, folder / "buyer"))
        gateway = await Gateway.open(await buyer.compute.client(), key=KEY)
        stack.push_async_callback(gateway.close)
        client = openai.AsyncOpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0)
        stack.push_async_callback(client.close)
        yield World(sellers, buyer, gateway, client)


@pytest.fixture(autouse=True)
async def _as_told(request) -> None:
    for one in request.getfixturevalue("world").sellers:
        one.puppet.lies, one.puppet.breaks_after, one.puppet.length = False, None, 12
        one.puppet.go_on.set()
        one.puppet.jobs.clear()


async def test_the_stock_client_streams_a_chat_that_is_paid_for(world) -> None:
    before = world.earned
    stream = await world.client.chat.completions.create(
        model="words", messages=WHY, stream=True, stream_options={"include_usage": True}, **GREEDY
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == SAID
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens == 12
    assert world.earned > before


async def test_whole_chats_completions_embeddings_and_models_work_as_well(world) -> None:
    chat = await world.client.chat.completions.create(model=CHAT_MODEL, messages=WHY, **GREEDY)
    assert chat.choices[0].message.content == SAID
    assert chat.usage.completion_tokens == 12
    completion = await world.client.completions.create(model="any", prompt="Once", **GREEDY)
    assert completion.choices[0].text == "".join(said('"Once"', 12))
    # The package asks for base64 by itself and takes numbers too.
    found = await world.client.embeddings.create(model="directions", input=["a", "b"])
    assert [row.embedding for row in found.data] == [direction("a"), direction("b")]
    models = {model.id: model async for model in await world.client.models.list()}
    assert {"words", "directions", "double"} <= set(models)
    assert (await world.client.models.retrieve("words")).depin["sha256"] == CHAT_MODEL


async def test_four_streams_at_once_come_through_side_by_side(world) -> None:
    for one in world.sellers:
        one.puppet.length = 700

    async def one(question: str) -> str:
        stream = await world.client.chat.completions.create(
            model="words", messages=[{"role": "user", "content": question}], stream=True, temperature=0
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    questions = [f"question {at}" for at in range(4)]
    texts = await asyncio.gather(*map(one, questions))
    expected = ["".join(said(json.dumps([{"role": "user", "content": q}]), 700)) for q in questions]
    assert texts == expected


async def test_failures_are_told_in_openais_words(world) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await world.client.chat.completions.create(model="gpt-4o", messages=WHY)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError):
        await world.client.chat.completions.create(model="words", messages=[])
    with pytest.raises(openai.NotFoundError):
        await world.client.images.generate(model="words", prompt="a cat")
    for one in world.sellers:
        one.puppet.breaks_after = 4
    heard: list[str] = []

    async def hear() -> None:
        stream = await world.client.chat.completions.create(model="words", messages=WHY, stream=True, **GREEDY)
        async for chunk in stream:
            heard.append(chunk.choices[0].delta.content or "")

    with pytest.raises(openai.APIError, match="stopped"):
        await hear()
    assert "".join(heard) == "".join(said(json.dumps(WHY), 4))


async def test_a_customer_who_leaves_ends_the_work(world) -> None:
    for one in world.sellers:
        one.puppet.length = 400
        one.puppet.go_on.clear()
    stream = await world.client.chat.completions.create(model="words", messages=WHY, stream=True, temperature=0)
    async for _ in stream:
        break
    await stream.close()
    (busy,) = [one for one in world.sellers if one.puppet.jobs]
    job = await busy.vendor.job(lambda job: job.id == busy.puppet.jobs[-1].id and job.ended_at is not None)
    assert job.outcome == "cancelled"


async def test_only_programs_of_this_machine_that_know_the_key_are_answered(world) -> None:
    url = f"{world.gateway.base_url}/models"
    key = {"Authorization": f"Bearer {KEY}"}
    cases = [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({**key, "Host": "evil.example"}, 403),
        ({**key, "Origin": "https://evil.example"}, 403),
        (key, 200),
    ]
    async with aiohttp.ClientSession() as session:
        for headers, status in cases:
            async with session.get(url, headers=headers) as response:
                assert response.status == status, headers
                if status != 200:
                    assert (await response.json())["error"]["message"]
    other = await Gateway.open(await world.buyer.compute.client())
    try:
        anybody = openai.AsyncOpenAI(base_url=other.base_url, api_key="whatever")
        assert [model async for model in await anybody.models.list()]
        await anybody.close()
    finally:
        await other.close()


async def test_port_and_key_stay_the_same_and_are_private(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = await asyncio.to_thread(kept, home)
    assert await asyncio.to_thread(kept, home) == first
    assert first.key.startswith("depin-")
    assert (home.keys / "gateway.json").stat().st_mode & 0o777 == 0o600

"""Real models and programs, from the stock `openai` package through gateway, iroh and paywall to a worker process."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import openai
import pytest
import pytest_asyncio

from depin_desktop.customer.compute.agreement import cosine
from depin_desktop.customer.compute.asks import TextAsk
from depin_desktop.customer.compute.checking import judged
from depin_desktop.customer.compute.hosts import CHAT
from depin_desktop.customer.compute.trust import Verdict
from depin_desktop.customer.gateway.gateway import Gateway
from depin_desktop.customer.session import Customer
from depin_desktop.localnet.errands_policy import PRIMES, primes_below
from depin_desktop.services.compute.models.library import Models
from depin_desktop.services.compute.models.shipped import shipped_models
from depin_desktop.services.compute.runtimes.local import LocalBackend

from .compute_market import Vendor, new_home, vendor
from .compute_village import customer, on_the_hub

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(len(shipped_models()) < 2, reason="the development models are not installed"),
]


@dataclass
class World:
    """A provider with real workers, and who buys from it."""

    vendor: Vendor
    buyer: Customer
    client: openai.AsyncOpenAI


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(localnet, tmp_path_factory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("world")
    models = Models(folder / "models")
    await models.open()
    home = await new_home(folder / "home", localnet.file)
    async with contextlib.AsyncExitStack() as stack:
        enter = stack.enter_async_context
        opened = await enter(
            vendor(
                home,
                localnet.network,
                lambda controls: [LocalBackend(models, scratch=folder / "scratch", allowance=controls.allowance)],
            )
        )
        measured = {"chat", "embedding", "wasm"}
        await opened.until(lambda status: measured <= {model.kind for model in status.models if model.rate}, 90)
        await enter(on_the_hub(opened))
        buyer = await enter(customer(localnet.network, folder / "buyer", checks=0.5))
        gateway = await Gateway.open(await buyer.compute.client())
        stack.push_async_callback(gateway.close)
        client = openai.AsyncOpenAI(base_url=gateway.base_url, api_key="any", max_retries=0)
        stack.push_async_callback(client.close)
        yield World(opened, buyer, client)


async def test_a_real_chat_is_streamed_counted_and_paid(world) -> None:
    before = world.vendor.paywall.pending()
    stream = await world.client.chat.completions.create(
        model="any",
        messages=[{"role": "user", "content": "Say hello."}],
        max_tokens=24,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    again = await world.buyer.compute.chat("Say hello.", max_tokens=24, temperature=0)
    assert text == again.text
    assert 0 < chunks[-1].usage.completion_tokens == again.completion_tokens <= 24
    assert world.vendor.paywall.pending() > before + again.charged


async def test_a_second_asking_of_a_real_chat_agrees_with_the_first_and_tells_likelihoods(world) -> None:
    body = {"messages": [{"role": "user", "content": "Name three rivers."}], "max_tokens": 24, "temperature": 0}
    ask = TextAsk.of(CHAT, {**body, "stream": True})
    client = await world.buyer.compute.client()
    async with client.stream(ask) as stream:
        async for _ in stream:
            pass
        first = await stream.finish()
    check = ask.checking(first.receipt.usage)
    second = await client.run(check)
    assert len(check.read(second.data).tokens) >= second.receipt.usage.completion_tokens - 1
    assert judged(first, second) is Verdict.RIGHT
    other = await client.run(TextAsk.of(CHAT, {**body, "messages": [{"role": "user", "content": "Name two cities."}]}))
    assert judged(other, second) is Verdict.WRONG


async def test_real_vectors_lie_near_each_other_where_texts_do(world) -> None:
    found = await world.client.embeddings.create(
        model="any", input=["The cat sleeps on the sofa.", "A kitten naps on a couch.", "Stocks fell sharply today."]
    )
    first, second, third = (row.embedding for row in found.data)
    assert cosine(first, second) > cosine(first, third) + 0.2


async def test_a_real_program_runs_is_checked_by_a_known_answer_and_found_right(world) -> None:
    ran = await world.buyer.compute.run_wasm(PRIMES, b"50000", fuel=10**9, seconds=10)
    assert ran.output == b"%d\n" % primes_below(50_000)
    await (await world.buyer.compute.client()).checker.done()
    (row,) = [row for row in (await world.buyer.compute.seen()).providers if row.kind == "wasm"]
    assert (row.right, row.wrong) == (1, 0)
    assert (await world.vendor.until(lambda status: status.checked_right > 0)).checked_wrong == 0

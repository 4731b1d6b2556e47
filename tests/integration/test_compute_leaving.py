"""A customer leaves before its whole answer is there: what was done is charged, and never more than it signed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from depin_desktop.api.compute import JobOutcome, JobStatus
from depin_desktop.services.compute import policy
from depin_desktop.services.compute.runtimes.base import Usage, WorkKind

from .compute_market import Buyer, Vendor, buyer, new_home, vendor
from .metronome import HALFWAY, PROMPT_TOKENS, SHA256, Metronome

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/compute/v1/chat/completions"


@pytest.fixture(scope="module")
def metronome() -> Metronome:
    return Metronome()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seller(
    localnet: Any, tmp_path_factory: pytest.TempPathFactory, metronome: Metronome
) -> AsyncIterator[Vendor]:
    home = await new_home(tmp_path_factory.mktemp("vendor"), localnet.file)
    async with vendor(home, localnet.network, lambda _: [metronome]) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def reset(seller: Vendor, metronome: Metronome) -> AsyncIterator[None]:
    metronome.go_on.set()
    metronome.begun.clear()
    metronome.halfway.clear()
    metronome.tokens, metronome.slots, metronome.prompt_tokens = 0, 2, PROMPT_TOKENS
    yield
    metronome.go_on.set()
    async with asyncio.timeout(5):
        await seller.service.jobs.all_ended.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def customer(seller: Vendor, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Buyer]:
    async with buyer(seller, tmp_path_factory.mktemp("buyer")) as opened:
        yield opened


def chat(tokens: int) -> dict[str, Any]:
    return {"model": SHA256, "messages": [{"role": "user", "content": "count"}], "max_tokens": tokens}


def costs(seller: Vendor, tokens: int) -> int:
    return policy.cost(WorkKind.CHAT, Usage(PROMPT_TOKENS, tokens), seller.service.choices.prices)


async def left(seller: Vendor, customer: Buyer, metronome: Metronome, tokens: int = 100_000) -> JobStatus:
    """The job of a customer who asked for a whole answer and left when some of it had been written."""
    asking = asyncio.create_task(customer.ask(CHAT, chat(tokens)))
    await metronome.halfway.wait()
    metronome.go_on.clear()
    (run,) = seller.service.jobs._runs.values()
    asking.cancel()
    return await seller.job(lambda job: job.id == run.id and job.ended_at is not None)


async def test_what_was_written_until_the_customer_left_is_charged_and_signed_for(
    seller: Vendor, customer: Buyer, reset: None, metronome: Metronome
) -> None:
    before, ended = seller.paywall.pending(), metronome.ended
    job = await left(seller, customer, metronome)
    assert (job.outcome, metronome.ended) == (JobOutcome.CANCELLED, ended + 1)
    assert HALFWAY <= job.completion_tokens == metronome.tokens < 100_000
    assert job.earned == costs(seller, metronome.tokens) == seller.paywall.pending() - before
    receipt = await seller.service._store.receipt(job.id)
    assert receipt is not None
    assert receipt["charged"] == str(job.earned)
    assert receipt["usage"]["completion_tokens"] == job.completion_tokens
    assert receipt["output_hash"] == hashlib.sha256(b"").hexdigest()  # nothing was sent


async def test_whoever_left_goes_on_from_the_providers_count_and_pays_each_answer_once(
    seller: Vendor, customer: Buyer, reset: None, metronome: Metronome
) -> None:
    before = seller.paywall.pending()
    job = await left(seller, customer, metronome)
    metronome.go_on.set()
    answers = [await customer.ask(CHAT, chat(5)) for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    assert seller.paywall.pending() - before == job.earned + 3 * costs(seller, 5)


async def test_no_more_is_charged_than_the_customer_signed_however_much_is_counted(
    seller: Vendor, customer: Buyer, reset: None, metronome: Metronome
) -> None:
    metronome.prompt_tokens = 10**6
    body = chat(20)
    job = await left(seller, customer, metronome, tokens=20)
    assert costs(seller, 20) < job.earned == policy.ceiling(WorkKind.CHAT, body, seller.service.choices.prices, 100_000)


async def test_who_leaves_before_anything_was_done_pays_nothing(
    seller: Vendor, customer: Buyer, reset: None, metronome: Metronome
) -> None:
    before = seller.paywall.pending()
    metronome.go_on.clear()
    asking = [asyncio.create_task(customer.ask(CHAT, chat(50))) for _ in range(3)]
    await seller.until(lambda status: status.running == 2 and status.waiting == 1)
    runs = {run.id for run in seller.service.jobs._runs.values()}
    for task in asking:
        task.cancel()
    status = await seller.until(lambda status: runs <= {job.id for job in status.jobs if job.ended_at is not None})
    assert {(job.outcome, job.earned) for job in status.jobs if job.id in runs} == {(JobOutcome.CANCELLED, 0)}
    assert seller.paywall.pending() == before


async def test_what_the_owner_stops_before_it_is_delivered_costs_nothing(
    seller: Vendor, customer: Buyer, reset: None, metronome: Metronome
) -> None:
    before = seller.paywall.pending()
    asking = asyncio.create_task(customer.ask(CHAT, chat(100_000)))
    await metronome.halfway.wait()
    seller.service.jobs.stop_all("The owner wants it back.")
    assert (await asking).json["code"] == "stopped"
    assert seller.paywall.pending() == before

"""A provider sells work: queued, metered, paid by voucher over iroh, signed for, and stopped when its owner says so."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from depin_desktop.api.compute import JobOutcome
from depin_desktop.api.controls import SetPause
from depin_desktop.net import metering
from depin_desktop.net.identity import Identity
from depin_desktop.net.peer import Peer
from depin_desktop.net.work_receipts import JOB_HEADER, MORE_EVENT, parameters_hash, text_input_hash
from depin_desktop.payments import headers as wire
from depin_desktop.services.compute import delivery, jobs, policy
from depin_desktop.services.compute.runtimes.base import Usage, WorkKind

from .compute_market import Buyer, Vendor, buyer, new_home, vendor
from .metronome import PROMPT_TOKENS, SHA256, Metronome

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/compute/v1/chat/completions"
MODULE = b"\0asm" + bytes(4)


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
    metronome.fail, metronome.fail_after, metronome.slots, metronome.tokens = "", 0, 2, 0
    yield
    metronome.go_on.set()
    await seller.controls.resume()
    async with asyncio.timeout(5):
        await seller.service.jobs.all_ended.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def customer(seller: Vendor, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Buyer]:
    async with buyer(seller, tmp_path_factory.mktemp("buyer")) as opened:
        yield opened


def chat(tokens: int, *, stream: bool = False, **more: Any) -> dict[str, Any]:
    return {
        "model": SHA256, "messages": [{"role": "user", "content": "count"}], "max_tokens": tokens, "stream": stream,
        **more,
    }  # fmt: skip


def costs(seller: Vendor, tokens: int) -> int:
    return policy.cost(WorkKind.CHAT, Usage(PROMPT_TOKENS, tokens), seller.service.choices.prices)


async def test_a_whole_chat_is_charged_for_what_it_took_and_signed_for(
    seller: Vendor, customer: Buyer, reset: None
) -> None:
    body, before = chat(20, temperature=0), seller.paywall.pending()
    answer = await customer.ask(CHAT, body)
    assert answer.status == 200
    assert answer.json["choices"][0]["message"]["content"].endswith("19")
    receipt = answer.check(seller)
    assert (receipt.kind, receipt.model, receipt.job) == ("chat", SHA256, answer.headers[JOB_HEADER])
    assert (receipt.usage.prompt_tokens, receipt.usage.completion_tokens) == (PROMPT_TOKENS, 20)
    assert receipt.input_hash == text_input_hash(body)
    assert receipt.charged == costs(seller, 20) == seller.paywall.pending() - before
    assert (receipt.customer, receipt.provider) == (customer.address, seller.owner)
    job = await seller.job(lambda job: job.id == receipt.job and job.outcome is JobOutcome.DONE)
    assert (job.earned, job.completion_tokens, job.customer) == (receipt.charged, 20, customer.address)
    kept = await seller.service._store.receipt(receipt.job)
    assert kept is not None
    assert kept["signature"]


async def test_a_streamed_chat_ends_with_receipt_and_payment(seller: Vendor, customer: Buyer, reset: None) -> None:
    answer = await customer.ask(CHAT, chat(50, stream=True))
    assert answer.text == "".join(f"{n} " for n in range(50))
    assert answer.check(seller).charged == costs(seller, 50)
    assert [name for name, _ in answer.named] == ["depin.receipt", "x402.payment-response"]


async def test_a_long_stream_is_paid_slice_by_slice(seller: Vendor, customer: Buyer, reset: None) -> None:
    tokens = 3 * metering.SLICE_TOKENS
    answer = await customer.ask(CHAT, chat(tokens, stream=True))
    assert len(answer.text.split()) == tokens
    assert answer.check(seller).charged == costs(seller, tokens)
    assert 1 <= sum(name == MORE_EVENT for name, _ in answer.named) <= 2


async def test_who_stops_paying_is_stopped_in_the_middle_and_charged_for_what_came(
    seller: Vendor, customer: Buyer, reset: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "PAY_WITHIN_S", 0.2)
    answer = await customer.ask(CHAT, chat(5000, stream=True), pays_on=False)
    receipt = answer.check(seller)
    assert metering.SLICE_TOKENS <= receipt.usage.completion_tokens < 1000
    assert receipt.charged == costs(seller, receipt.usage.completion_tokens)
    assert b'"code": "unpaid"' in answer.data
    job = await seller.job(lambda job: job.id == receipt.job and job.ended_at is not None)
    assert job.outcome is JobOutcome.UNPAID
    assert (await customer.ask(CHAT, chat(3))).status == 200  # and may come again


async def test_a_wasm_job_needs_its_module_first(seller: Vendor, customer: Buyer, reset: None) -> None:
    sha256 = hashlib.sha256(MODULE).hexdigest()
    assert (await customer.run(sha256, b"in")).json["code"] == "unknown-module"
    async with customer.session.put(f"/compute/modules/{'00' * 32}", data=MODULE) as response:
        assert (response.status, (await response.json())["code"]) == (400, "bad-module")
    assert await customer.send_module(MODULE) == sha256
    answer = await customer.run(sha256, b"in", fuel=2 * 10**9, seconds=5.0)
    assert answer.data == b"in"
    receipt = answer.check(seller)
    assert receipt.model == sha256
    assert receipt.parameters_hash == parameters_hash({"fuel": 2 * 10**9, "memory": 64 << 20, "seconds": 5.0})
    prices = seller.service.choices.prices
    assert receipt.charged == metering.wasm_cost(10**9, 0.5, prices.price_per_gfuel, prices.price_per_run_second)


async def test_terms_and_models_are_told_for_nothing(seller: Vendor, customer: Buyer, reset: None) -> None:
    async with customer.session.get("/compute/terms") as response:
        terms = await response.json()
    assert terms["owner"] == seller.owner
    assert [model["sha256"] for model in terms["models"]] == [SHA256]
    assert terms["wasm"]["price_per_gfuel"] == str(seller.service.choices.prices.price_per_gfuel)
    async with customer.session.get("/compute/v1/models") as response:
        assert [model["id"] for model in (await response.json())["data"]] == [SHA256]


async def test_nothing_is_done_for_who_does_not_pay(
    seller: Vendor, customer: Buyer, reset: None, metronome: Metronome
) -> None:
    async with customer.session.post(CHAT, json=chat(5)) as response:
        assert response.status == 402
        required = wire.decode_required(response.headers[wire.PAYMENT_REQUIRED])
    ceiling = policy.ceiling(WorkKind.CHAT, chat(5), seller.service.choices.prices, 100_000)
    assert [way.amount for way in required.accepts] == [ceiling]
    assert not metronome.begun.is_set()


async def test_requests_that_make_no_sense_are_refused_in_words(seller: Vendor, customer: Buyer, reset: None) -> None:
    for body, status in (
        (b"[", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"messages": [1], "max_tokens": -1}', 400),
        (b'{"messages": [1], "temperature": NaN}', 400),
        (b"[" * 100_000, 400),
        (json.dumps(chat(5) | {"model": "another"}).encode(), 404),
        (b" " * (10 << 20), 413),
    ):
        async with customer.session.post(CHAT, data=body) as response:
            assert response.status == status, body[:40]
            assert (await response.json())["message"]


async def test_failed_work_costs_nothing_and_limits_cost_what_was_used(
    seller: Vendor, customer: Buyer, reset: None, metronome: Metronome
) -> None:
    before = seller.paywall.pending()
    sha256 = await customer.send_module(MODULE)
    for code, status in (("crashed", 502), ("bad-input", 400), ("overloaded", 503)):
        metronome.fail = code
        for answer in (await customer.ask(CHAT, chat(5)), await customer.run(sha256)):
            assert (answer.status, answer.json["code"]) == (status, code)
    assert seller.paywall.pending() == before
    metronome.fail = "fuel"
    answer = await customer.run(sha256)
    assert (answer.status, answer.json["code"]) == (422, "fuel")
    prices = seller.service.choices.prices
    used = metering.wasm_cost(7, 0.5, prices.price_per_gfuel, prices.price_per_run_second)
    assert seller.paywall.pending() - before == used
    metronome.fail, metronome.fail_after = "crashed", 30
    answer = await customer.ask(CHAT, chat(50, stream=True))
    assert answer.check(seller).charged == costs(seller, 30)
    assert b'"code": "crashed"' in answer.data


async def test_a_customer_who_leaves_frees_the_slot_at_once_and_pays_for_what_it_got(
    seller: Vendor, customer: Buyer, reset: None, metronome: Metronome
) -> None:
    response = await customer.open(CHAT, chat(100_000, stream=True))
    await response.content.readany()
    metronome.go_on.clear()  # nothing is being written while it leaves
    ended = metronome.ended
    response.close()
    job = await seller.job(lambda job: job.outcome is JobOutcome.CANCELLED)
    assert metronome.ended == ended + 1
    assert job.earned == costs(seller, job.completion_tokens)
    assert job.completion_tokens > 0
    await customer.payer.settled(response)


async def test_a_customer_who_leaves_the_queue_leaves_it(
    seller: Vendor, customer: Buyer, reset: None, metronome: Metronome
) -> None:
    metronome.go_on.clear()
    asking = [asyncio.create_task(customer.ask(CHAT, chat(5))) for _ in range(3)]
    await seller.until(lambda status: status.running == 2 and status.waiting == 1)
    asking[2].cancel()
    await seller.until(lambda status: status.waiting == 0)
    metronome.go_on.set()
    assert [(await one).status for one in asking[:2]] == [200, 200]


async def test_a_full_queue_says_when_to_come_again(
    seller: Vendor, customer: Buyer, reset: None, metronome: Metronome
) -> None:
    metronome.go_on.clear()
    places = metronome.slots + policy.WAITING_PER_CUSTOMER
    asking = [asyncio.create_task(customer.ask(CHAT, chat(5))) for _ in range(places)]
    await seller.until(lambda status: status.waiting == policy.WAITING_PER_CUSTOMER)
    refused = await customer.ask(CHAT, chat(5))
    assert (refused.status, refused.json["code"]) == (429, "busy")
    assert int(refused.headers["Retry-After"]) >= 1
    metronome.go_on.set()
    assert {(await one).status for one in asking} == {200}


async def test_a_customer_with_many_jobs_does_not_hold_another_up(
    seller: Vendor, customer: Buyer, reset: None, metronome: Metronome, tmp_path: Path
) -> None:
    metronome.slots = 1
    async with buyer(seller, tmp_path) as other:
        await other.ask(CHAT, chat(1))  # its channel is open
        metronome.go_on.clear()
        greedy = [asyncio.create_task(customer.ask(CHAT, chat(5))) for _ in range(6)]
        await seller.until(lambda status: status.waiting == 5)
        modest = asyncio.create_task(other.ask(CHAT, chat(5)))
        await seller.until(lambda status: status.waiting == 6)
        metronome.go_on.set()
        answers = await asyncio.gather(modest, *greedy)
        assert {answer.status for answer in answers} == {200}
        last = answers[0].check(seller).job
        status = await seller.until(lambda status: status.running == 0 and any(job.id == last for job in status.jobs))
        began = sorted(status.jobs[:7], key=lambda job: job.started_at or 0)
        assert [job.customer for job in began].index(other.address) <= 2


async def test_a_pause_stops_work_within_a_second_and_what_came_is_charged(
    seller: Vendor, customer: Buyer, reset: None, metronome: Metronome
) -> None:
    response = await customer.open(CHAT, chat(100_000, stream=True))
    reading = asyncio.create_task(customer.read(response))
    await seller.until(lambda _: metronome.tokens > 10)
    released, began = metronome.released, time.monotonic()
    await seller.controls.pause(SetPause())
    answer = await reading
    assert time.monotonic() - began < 1
    assert metronome.released == released + 1
    receipt = answer.check(seller)
    assert receipt.charged == costs(seller, receipt.usage.completion_tokens)
    assert b'"code": "stopped"' in answer.data
    assert seller.service.offer() is None
    status = seller.service.compute_status()
    assert (status.service.state, bool(status.service.reason)) == ("paused", True)
    refused = await customer.ask(CHAT, chat(5))
    assert (refused.status, refused.json["code"]) == (503, "paused")
    await seller.controls.resume()
    assert (await customer.ask(CHAT, chat(5))).status == 200


async def test_finish_current_lets_what_runs_end_and_begins_nothing(
    seller: Vendor, customer: Buyer, reset: None, metronome: Metronome
) -> None:
    metronome.slots = 1
    metronome.go_on.clear()
    runs, waits = (asyncio.create_task(customer.ask(CHAT, chat(5))) for _ in range(2))
    await seller.until(lambda status: status.running == 1 and status.waiting == 1)
    released = metronome.released
    await seller.controls.pause(SetPause(finish_current=True))
    turned_away = await waits
    assert (turned_away.status, turned_away.json["code"]) == (503, "stopped")
    assert not runs.done()
    assert metronome.released == released
    metronome.go_on.set()
    assert (await runs).status == 200
    await seller.until(lambda _: metronome.released == released + 1)


async def test_prices_are_the_owners_and_a_customer_notices(seller: Vendor, customer: Buyer, reset: None) -> None:
    before = seller.service.choices
    await seller.service.choose(replace(before, prices=replace(before.prices, price_out_per_mtoken=10**20)))
    try:
        answer = await customer.ask(CHAT, chat(20))
        assert answer.check(seller).charged == costs(seller, 20) > 10**15
    finally:
        await seller.service.choose(before)


async def test_jobs_and_choices_survive_a_restart(
    localnet: Any, tmp_path: Path, metronome: Metronome, reset: None
) -> None:
    home = await new_home(tmp_path / "vendor", localnet.file)
    async with vendor(home, localnet.network, lambda _: [metronome]) as first:
        await first.service.choose(replace(first.service.choices, wasm=False))
        async with buyer(first, tmp_path / "buyer") as customer:
            answer = await customer.ask(CHAT, chat(5))
            metronome.go_on.clear()
            asking = asyncio.create_task(customer.ask(CHAT, chat(5)))
            await first.until(lambda status: status.running == 1)
            await first.service.stop()
            assert (await asking).json["code"] == "stopped"
    metronome.go_on.set()
    async with vendor(home, localnet.network, lambda _: [metronome]) as again:
        status = await again.until(lambda status: bool(status.models))
        assert [job.outcome for job in status.jobs] == [JobOutcome.STOPPED, JobOutcome.DONE]
        assert status.jobs[1].earned == answer.charged
        assert status.devices[0].jobs == 1
        assert status.service.earned_total == again.paywall.pending() > 0
        assert [model.kind for model in status.models] == ["chat"]


async def test_a_slow_reader_is_given_up_and_others_are_served_meanwhile(
    seller: Vendor, customer: Buyer, reset: None, metronome: Metronome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "TAKE_WITHIN_S", 0.3)
    response = await customer.open(CHAT, chat(10**6, stream=True))
    response.connection.protocol.pause_reading()  # type: ignore[union-attr]
    paying = asyncio.create_task(_pay_blindly(customer, response))
    other = await customer.ask(CHAT, chat(40, stream=True))
    assert other.status == 200
    identity = response.headers[JOB_HEADER]
    job = await seller.job(lambda job: job.id == identity and job.ended_at is not None)
    assert job.outcome is JobOutcome.CANCELLED
    assert job.earned == costs(seller, job.completion_tokens)
    paying.cancel()
    response.close()
    await customer.payer.settled(response)


async def _pay_blindly(customer: Buyer, response: Any) -> None:
    while True:
        await customer.pay(response, metering.tokens_cost(0, metering.SLICE_TOKENS, 0, 40 * 10**18))


async def _gather(work: Callable[[int], Awaitable[Any]], count: int) -> list[Any]:
    return await asyncio.gather(*(work(number) for number in range(count)))


async def test_a_hundred_jobs_at_once_are_done_or_told_when_to_come_again(
    seller: Vendor, customer: Buyer, reset: None
) -> None:
    answers = await _gather(lambda _: customer.ask(CHAT, chat(5)), 100)
    assert {answer.status for answer in answers} <= {200, 429}
    assert sum(answer.status == 200 for answer in answers) >= 10
    assert seller.service.floor.waiting == seller.service.jobs.running == 0


async def test_a_crowd_that_only_begins_to_ask_keeps_nobody_from_being_served(
    seller: Vendor, customer: Buyer, reset: None, tmp_path: Path
) -> None:
    """Three nodes, as many streams as each may open to one other, all with a request that never comes to its end."""

    async def never(go_on: asyncio.Event) -> AsyncIterator[bytes]:
        yield b"{"
        await go_on.wait()

    over, begun = asyncio.Event(), []
    async with contextlib.AsyncExitStack() as stack:
        for number in range(3):
            peer = await Peer.bind(Identity.load_or_create(tmp_path / f"{number}.key"), relays=False)
            stack.push_async_callback(peer.close, grace_s=0)
            headers = {"Content-Length": str(1 << 20)}
            for _ in range(90):
                session = peer.session(seller.peer.node_id, seller.peer.addresses)
                begun.append(asyncio.create_task(_post(session, never(over), headers)))
        for _ in range(500):  # of other nodes: nobody tells when their streams are open
            if seller.peer.streams >= 90:
                break
            await asyncio.sleep(0.02)
        assert seller.peer.streams >= 90
        began = time.monotonic()
        answers = await asyncio.gather(*(customer.ask(CHAT, chat(20, stream=True)) for _ in range(4)))
        assert {answer.status for answer in answers} == {200}
        assert time.monotonic() - began < 5
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
        over.set()


async def _post(session: Any, content: AsyncIterator[bytes], headers: dict[str, str]) -> None:
    async with session.post(CHAT, data=content, headers=headers) as response:
        await response.read()


async def test_what_strangers_send_is_bounded_in_all_and_for_each_node(
    seller: Vendor, customer: Buyer, reset: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bodies = seller.service._api._bodies
    monkeypatch.setattr(bodies, "_limit", 4 << 20)
    peer = await Peer.bind(Identity.load_or_create(tmp_path / "node.key"), relays=False)
    session = peer.session(seller.peer.node_id, seller.peer.addresses)
    async with session.post(CHAT, data=b" " * (2 << 20)) as response:  # a node may hold a quarter
        assert (response.status, (await response.json())["code"]) == (429, "busy")
        assert response.headers["Retry-After"]
    assert (await customer.ask(CHAT, chat(5))).status == 200
    assert bodies._held.total() == 0
    await peer.close()


async def test_a_long_silence_before_the_first_word_is_filled_with_signs_of_life(
    seller: Vendor, customer: Buyer, reset: None, metronome: Metronome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "BEAT_S", 0.05)
    metronome.go_on.clear()
    response = await customer.open(CHAT, chat(5, stream=True))
    assert (await response.content.readany()).startswith(b": working")
    metronome.go_on.set()
    answer = await customer.read(response)
    assert answer.text == "0 1 2 3 4 "
    answer.check(seller)
    metronome.fail = "bad-input"
    metronome.go_on.clear()
    response = await customer.open(CHAT, chat(5, stream=True))
    metronome.go_on.set()
    answer = await customer.read(response)
    assert (answer.receipt, answer.charged) == (None, None)  # it has cost nothing
    assert b'"code": "bad-input"' in answer.data


async def test_work_that_outlasts_its_voucher_is_given_and_its_owner_is_told(
    seller: Vendor, customer: Buyer, reset: None, metronome: Metronome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "HOLD_S", 0.0)
    metronome.go_on.clear()
    asking = asyncio.create_task(customer.ask(CHAT, chat(5)))
    await seller.until(lambda status: status.running == 1)
    (run,) = seller.service.jobs._runs.values()
    seller.paywall._holds.check_free(run.hold.channel.id)  # given up: other requests may use its channel
    metronome.go_on.set()
    answer = await asking
    assert (answer.status, answer.receipt, answer.charged) == (200, None, None)
    job = await seller.job(lambda job: job.id == answer.headers[JOB_HEADER] and job.ended_at is not None)
    assert (job.earned, "not paid" in job.log) == (0, True)

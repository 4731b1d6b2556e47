"""Buying computing from several providers: the cheapest is asked, failures pass unnoticed, liars are found out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import numpy
import pytest
import pytest_asyncio

from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer.compute.failures import AttemptFailed
from depin_desktop.customer.compute.hosts import Wish
from depin_desktop.customer.session import Customer
from depin_desktop.payments.payer import Budget
from depin_desktop.wallet.faucet_client import ask_faucet

from .compute_market import new_home
from .compute_village import CHAT_MODEL, Seller, customer, direction, said, seller

pytestmark = pytest.mark.asyncio(loop_scope="module")

GREEDY = {"temperature": 0, "max_tokens": 12}
CODE = Path(__file__).parents[1] / "unit" / "canary.wat"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def village(localnet, tmp_path_factory) -> AsyncIterator[list[Seller]]:
    """Three providers at the same prices."""
    folder = tmp_path_factory.mktemp("village")
    async with contextlib.AsyncExitStack() as stack:
        homes = [await new_home(folder / f"home{at}", localnet.file) for at in range(3)]
        yield [await stack.enter_async_context(seller(home, localnet.network)) for home in homes]


@pytest.fixture(autouse=True)
async def _as_told(request) -> None:
    """Every test begins with honest providers that work."""
    for one in request.getfixturevalue("village"):
        one.puppet.lies, one.puppet.breaks_after, one.puppet.length = False, None, 12
        one.puppet.slots = 4
        one.puppet.go_on.set()
        one.puppet.jobs.clear()


def answer_to(question: str, count: int = 12) -> str:
    return "".join(said(f'[{{"role": "user", "content": "{question}"}}]', count))


async def test_a_question_is_answered_and_charged_as_the_receipt_says(village, network, tmp_path) -> None:
    before = [one.earned for one in village]
    async with customer(network, tmp_path) as buyer:
        reply = await buyer.compute.chat("why", model="words", **GREEDY)
        seen = await buyer.compute.seen()
    assert reply.text == answer_to("why")
    assert (reply.completion_tokens, reply.finish_reason) == (12, "stop")
    after = [one.earned for one in village]
    assert sum(after) - sum(before) == reply.charged > 0
    (row,) = seen.providers
    assert (row.owner, row.served, row.spent, row.right) == (reply.provider, 1, reply.charged, 0)
    assert seen.spending.answers == reply.charged


async def test_a_long_stream_comes_as_it_is_written_and_is_paid_on_the_way(village, network, tmp_path) -> None:
    for one in village:
        one.puppet.length = 1500
    async with (
        customer(network, tmp_path) as buyer,
        buyer.compute.stream("tell me everything", model="words", temperature=0) as parts,
    ):
        heard = [part async for part in parts]
    assert parts.reply is not None
    assert "".join(heard) == parts.reply.text == answer_to("tell me everything", 1500)
    assert len(heard) > 100
    assert parts.reply.completion_tokens == 1500
    offer = village[0].vendor.service.choices.prices
    least = 1500 * offer.price_out_per_mtoken // 10**6
    assert least < parts.reply.charged < 2 * least


async def test_leaving_a_stream_early_ends_it_and_only_what_came_is_paid(village, network, tmp_path) -> None:
    for one in village:
        one.puppet.length = 400
        one.puppet.go_on.clear()
    before = sum(one.earned for one in village)
    async with customer(network, tmp_path) as buyer:
        async with buyer.compute.stream("tell me everything", model="words", temperature=0) as parts:
            async for _ in parts:
                break
        (busy,) = [one for one in village if one.puppet.jobs]
        job = await busy.vendor.job(lambda job: job.id == busy.puppet.jobs[-1].id and job.ended_at is not None)
        assert job.outcome == "cancelled"
        assert job.completion_tokens < 400
        busy.puppet.go_on.set()
        again = await buyer.compute.chat("why", model="words", wish=Wish(owners=frozenset({busy.owner})), **GREEDY)
    assert sum(one.earned for one in village) - before == job.earned + again.charged


async def test_vectors_arrays_programs_and_completions_are_bought_alike(village, network, tmp_path) -> None:
    from depin_desktop.customer.compute.canaries import _MODULE, wasm_answer

    async with customer(network, tmp_path) as buyer:
        compute = buyer.compute
        found = await compute.embed(["a", "b"], model="directions")
        assert found.vectors == [direction("a"), direction("b")]
        doubled = await compute.run_onnx("double", {"x": numpy.arange(4.0)})
        assert doubled.outputs["x"].tolist() == [0, 2, 4, 6]
        ran = await compute.run_wasm(_MODULE, b"input", fuel=10**9, seconds=5)
        assert ran.output == wasm_answer(b"saltsalt", b"input")
        assert 0 < ran.fuel < 10**9
        went_on = await compute.complete("Once", model=CHAT_MODEL[:16], **GREEDY)
        assert went_on.text == "".join(said('"Once"', 12))
        offered = {(model.kind, model.name): model.providers for model in await compute.models()}
        assert offered[("chat", "words")] == offered[("wasm", "wasm")] == 3
        seen = await compute.seen()
    assert sum(row.spent for row in seen.providers) == sum(a.charged for a in (found, doubled, ran, went_on))


# --- failing over ----------------------------------------------------------------------------------------------------


async def test_who_fails_is_replaced_unnoticed_and_only_who_answered_is_paid(village, network, tmp_path) -> None:
    cheap, *others = village
    await cheap.ask(price_out_per_mtoken=village[1].vendor.service.choices.prices.price_out_per_mtoken // 2)
    cheap.puppet.breaks_after = 0
    before = [one.earned for one in village]
    async with customer(network, tmp_path) as buyer:
        whole = await buyer.compute.chat("why", model="words", **GREEDY)
        async with buyer.compute.stream("why not", model="words", **GREEDY) as parts:
            heard = "".join([part async for part in parts])
        seen = await buyer.compute.seen()
    assert (whole.text, heard) == (answer_to("why"), answer_to("why not"))
    assert parts.reply is not None
    assert cheap.owner not in (whole.provider, parts.reply.provider)
    assert len(cheap.puppet.jobs) == 1, "it was left alone after its failure"
    assert cheap.earned == before[0]
    assert sum(one.earned for one in others) - sum(before[1:]) == whole.charged + parts.reply.charged
    assert {row.owner: row.failed for row in seen.providers}[cheap.owner] == 1


async def test_a_stream_that_breaks_after_its_first_words_says_so(village, network, tmp_path) -> None:
    for one in village:
        one.puppet.breaks_after = 5
    before = sum(one.earned for one in village)
    async with customer(network, tmp_path) as buyer:
        heard: list[str] = []

        async def hear() -> None:
            async with buyer.compute.stream("why", model="words", **GREEDY) as parts:
                async for part in parts:
                    heard.append(part)

        with pytest.raises(AttemptFailed, match="stopped") as broke:
            await hear()
        seen = await buyer.compute.seen()
    assert "".join(heard) == answer_to("why", 5)
    assert broke.value.charged
    assert sum(len(one.puppet.jobs) for one in village) == 1, "nobody else was asked, and paid"
    assert sum(one.earned for one in village) - before == broke.value.paid == seen.spending.answers


async def test_whoever_dies_in_the_middle_of_a_stream_is_given_up(village, network, localnet, tmp_path) -> None:
    home = await new_home(tmp_path / "mortal", localnet.file)
    async with seller(home, network) as mortal, customer(network, tmp_path / "buyer") as buyer:
        only = Wish(owners=frozenset({mortal.owner}))

        async def hear() -> None:
            async with buyer.compute.stream("why", model="words", wish=only, **GREEDY) as parts:
                async for _ in parts:
                    await mortal.die()

        mortal.puppet.go_on.clear()
        with pytest.raises(AttemptFailed) as lost:
            await hear()
        assert lost.value.status == 502
        answered = await buyer.compute.chat("why", model="words", **GREEDY)
        assert answered.provider in {one.owner for one in village}


async def test_a_bad_request_is_nobodys_failure_but_the_customers(village, network, tmp_path) -> None:
    async with customer(network, tmp_path) as buyer:
        with pytest.raises(UserFacingError) as refused:
            await buyer.compute.run_wasm(b"\0asm\1\0\0\0", fuel=10**14)
        assert refused.value.status == 400
        assert await buyer.compute.models()
        with pytest.raises(UserFacingError) as unknown:
            await buyer.compute.chat("why", model="no-such-model")
        assert unknown.value.code == "unknown-model"
        assert not (await buyer.compute.seen()).providers
    assert not any(one.puppet.jobs for one in village)


# --- money -----------------------------------------------------------------------------------------------------------


async def test_without_money_or_leave_nothing_is_asked_and_nothing_spent(village, network, tmp_path) -> None:
    async with customer(network, tmp_path / "poor", tokens=0) as buyer:
        with pytest.raises(UserFacingError) as poor:
            await buyer.compute.chat("why", model="words", **GREEDY)
        assert poor.value.code == "insufficient-funds"
    asked = []

    async def no(wish) -> bool:
        asked.append(wish.amount)
        return False

    async with customer(network, tmp_path / "asked", budget=Budget(ask=no)) as buyer:
        with pytest.raises(UserFacingError) as refused:
            await buyer.compute.chat("why", model="words", **GREEDY)
        assert refused.value.code == "budget-refused"
    async with customer(network, tmp_path / "frugal") as buyer:
        with pytest.raises(UserFacingError) as dear:
            await buyer.compute.chat("why", model="words", wish=Wish(max_price=1), **GREEDY)
        assert dear.value.code == "none-suits"
    assert len(asked) == 1
    assert not any(one.puppet.jobs for one in village)


async def test_many_at_once_are_spread_and_each_is_paid_once(village, network, tmp_path) -> None:
    before = sum(one.earned for one in village)
    async with customer(network, tmp_path) as buyer:
        asked = [buyer.compute.chat(f"question {at}", model="words", **GREEDY) for at in range(12)]
        replies = await asyncio.gather(*asked)
    assert [reply.text for reply in replies] == [answer_to(f"question {at}") for at in range(12)]
    assert sum(one.earned for one in village) - before == sum(reply.charged for reply in replies)
    assert len({reply.provider for reply in replies}) == 3


async def test_more_than_a_provider_takes_at_once_wait_and_count_as_no_failure(village, network, tmp_path) -> None:
    slow = village[2]
    slow.puppet.slots = 1
    slow.puppet.go_on.clear()
    only = Wish(owners=frozenset({slow.owner}))

    async def ask(buyer: Customer, at: int) -> str:
        async with buyer.compute.stream(f"question {at}", model="words", wish=only, **GREEDY) as parts:
            return "".join([part async for part in parts])

    async with customer(network, tmp_path) as buyer:
        asked = [asyncio.create_task(ask(buyer, at)) for at in range(11)]
        await slow.vendor.until(lambda status: status.waiting >= 8)
        slow.puppet.go_on.set()
        assert await asyncio.gather(*asked) == [answer_to(f"question {at}") for at in range(11)]
        seen = await buyer.compute.seen()
    assert [(row.owner, row.served, row.failed) for row in seen.providers] == [(slow.owner, 11, 0)]


# --- who lies --------------------------------------------------------------------------------------------------------


async def test_a_liar_is_found_out_by_questions_with_known_answers_and_shunned(village, network, tmp_path) -> None:
    from depin_desktop.customer.compute.canaries import _MODULE

    liar, *honest = village
    await liar.ask(price_per_gfuel=1)
    liar.puppet.lies = True
    async with customer(network, tmp_path, checks=0.9) as buyer:
        client = await buyer.compute.client()
        for _ in range(12):
            ran = await buyer.compute.run_wasm(_MODULE, b"input", fuel=10**9, seconds=5)
            await client.checker.done()
            if ran.provider != liar.owner:
                break
        seen = await buyer.compute.seen()
    assert ran.provider != liar.owner
    rows = {row.owner: row for row in seen.providers}
    assert rows[liar.owner].wrong == 1
    assert rows[liar.owner].score < 0.3
    assert all(rows[one.owner].wrong == 0 for one in honest if one.owner in rows)
    assert seen.spending.checks > 0


async def test_two_who_differ_are_told_apart_by_a_third(village, network, tmp_path) -> None:
    honest, liar, third = village
    liar.puppet.lies = True
    async with customer(network, tmp_path, checks=0.9) as buyer:
        client = await buyer.compute.client()
        await buyer.compute.chat("why", model="words", wish=Wish(owners=frozenset({liar.owner})), **GREEDY)
        await client.checker.done()
        rows = {row.owner: row for row in (await buyer.compute.seen()).providers}
        assert rows[liar.owner].wrong == 1
        assert rows[honest.owner].wrong == rows[third.owner].wrong == 0
        for at in range(3):
            reply = await buyer.compute.chat(f"more {at}", model="words", **GREEDY)
            assert reply.provider != liar.owner


async def test_checks_become_rare_once_a_provider_is_trusted_and_stay_within_their_share(
    village, network, tmp_path
) -> None:
    only = Wish(owners=frozenset({village[1].owner}))
    async with customer(network, tmp_path, checks=0.5) as buyer:
        client = await buyer.compute.client()
        for at in range(30):
            await buyer.compute.embed([f"text {at}"], model="directions", wish=only)
            await client.checker.done()
        seen = await buyer.compute.seen()
    (row,) = [row for row in seen.providers if row.owner == village[1].owner]
    assert row.wrong == 0
    assert row.streak >= 10
    assert row.right < 25, "not every answer is checked any more"
    assert seen.spending.checks <= seen.spending.answers


async def test_nobody_but_who_paid_can_say_how_a_check_ended(village, network, tmp_path) -> None:
    from eth_account import Account

    from depin_desktop.net.work_receipts import sign_verdict

    payer = Account.create()
    await ask_faucet(network, payer.address, tokens=10**21, gas=0)
    async with customer(network, tmp_path, account=payer) as buyer:
        reply = await buyer.compute.chat("why", model="words", **GREEDY)
        (host,) = [one.vendor for one in village if one.owner == reply.provider]
        before = host.service.compute_status().checked_right
        session = (await buyer.compute.client())._session(host.offer)
        cases = [
            (sign_verdict(Account.create(), reply.job, host.owner, "wrong"), 403),
            (sign_verdict(payer, "no such job", host.owner, "right"), 404),
            (sign_verdict(payer, reply.job, host.owner, "excellent"), 400),
            (sign_verdict(payer, reply.job, host.owner, "right"), 204),
            (sign_verdict(payer, reply.job, host.owner, "right"), 204),
        ]
        for said_so, status in cases:
            async with session.post("/compute/verdicts", json=said_so) as response:
                assert response.status == status, said_so
    assert host.service.compute_status().checked_right - before == 1

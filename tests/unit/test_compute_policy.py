"""What the compute service decides: prices, ceilings, charges, room in the queue, the offer, and its one sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.api.compute import JobOutcome
from depin_desktop.api.models import ServiceState
from depin_desktop.net import metering
from depin_desktop.net.offers import ComputeOffer
from depin_desktop.net.signing import canonical_json
from depin_desktop.services.compute import policy
from depin_desktop.services.compute.orders import deeper_than
from depin_desktop.services.compute.policy import Prices, ServiceFacts
from depin_desktop.services.compute.runtimes.base import ServedModel, Usage, WorkKind

PRICES = Prices(10 * 10**18, 40 * 10**18, 10**16, 10**16)
AMOUNTS = st.integers(0, 10**24)
KINDS = st.sampled_from(list(WorkKind))
USAGES = st.builds(
    Usage, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**13), st.floats(0, 10**5, allow_nan=False)
)


@pytest.mark.parametrize(
    ("outcome", "kind", "delivered", "failure", "charged"),
    [
        (JobOutcome.DONE, WorkKind.CHAT, True, "", True),
        (JobOutcome.CANCELLED, WorkKind.CHAT, True, "", True),
        (JobOutcome.CANCELLED, WorkKind.CHAT, False, "", True),  # a whole answer: it was being written all the same
        (JobOutcome.CANCELLED, WorkKind.EMBEDDING, False, "", True),
        (JobOutcome.CANCELLED, WorkKind.WASM, False, "", True),
        (JobOutcome.UNPAID, WorkKind.CHAT, True, "", True),
        (JobOutcome.STOPPED, WorkKind.CHAT, True, "", True),
        (JobOutcome.STOPPED, WorkKind.CHAT, False, "", False),  # the owner's doing, and nothing was delivered
        (JobOutcome.FAILED, WorkKind.CHAT, False, "crashed", False),
        (JobOutcome.FAILED, WorkKind.CHAT, True, "crashed", True),
        (JobOutcome.FAILED, WorkKind.WASM, False, "crashed", False),
        (JobOutcome.FAILED, WorkKind.WASM, False, "bad-input", False),
        (JobOutcome.FAILED, WorkKind.WASM, False, "fuel", True),  # the customer set that limit
        (JobOutcome.FAILED, WorkKind.WASM, False, "time-limit", True),
        (JobOutcome.FAILED, WorkKind.ONNX, False, "memory-limit", True),
        (JobOutcome.FAILED, WorkKind.CHAT, False, "memory-limit", False),  # the provider did
        (JobOutcome.FAILED, WorkKind.CHAT, False, "time-limit", False),
        (JobOutcome.FAILED, WorkKind.EMBEDDING, False, "time-limit", False),
    ],
)
def test_who_pays_for_a_job_that_has_ended(
    outcome: JobOutcome, kind: WorkKind, delivered: bool, failure: str, charged: bool
) -> None:
    usage = Usage(10, 20, 10**9, 1.0)
    due = policy.charge(outcome, kind, usage, PRICES, delivered=delivered, failure=failure)
    assert due == (policy.cost(kind, usage, PRICES) if charged else 0)
    assert policy.charge(outcome, kind, Usage(), PRICES, delivered=delivered, failure=failure) == 0


@given(KINDS, USAGES, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS)
def test_more_use_never_costs_less_and_something_always_costs_something(
    kind: WorkKind, usage: Usage, price_in: int, price_out: int, second: int, gfuel: int
) -> None:
    prices = Prices(price_in, price_out, second, gfuel)
    more = Usage(usage.prompt_tokens + 1, usage.completion_tokens + 1, usage.fuel + 1, usage.seconds + 0.001)
    assert 1 <= policy.cost(kind, usage, prices) <= policy.cost(kind, more, prices)


@given(st.integers(0, 5000), st.integers(1, 5000), AMOUNTS, AMOUNTS)
def test_tokens_that_a_ceiling_pays_for_never_cost_more_than_it(
    prompt: int, extra: int, price_in: int, price_out: int
) -> None:
    prices = Prices(price_in, price_out, 0, 0)
    ceiling = metering.tokens_cost(prompt, extra, price_in, price_out)
    paid = policy.tokens_paid_for(ceiling, prompt, prices)
    if price_out == 0:
        assert paid is None
    else:
        assert paid is not None
        assert paid >= extra
        assert metering.tokens_cost(prompt, paid, price_in, price_out) <= ceiling


def test_the_ceiling_is_what_customers_count_themselves() -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], "stream": True, "max_tokens": 10_000}
    expected = metering.tokens_ceiling(
        body, PRICES.price_in_per_mtoken, PRICES.price_out_per_mtoken, output=True, context_tokens=8192
    )
    assert policy.ceiling(WorkKind.CHAT, body, PRICES, 8192) == expected
    limits = {"fuel": 10**9, "seconds": 2.0}
    wasm = metering.wasm_cost(10**9, 2.0, PRICES.price_per_gfuel, PRICES.price_per_run_second)
    assert policy.ceiling(WorkKind.WASM, limits, PRICES, 0) == wasm


@given(st.integers(0, 10**4), st.integers(0, 64), st.floats(0, 10**4))
def test_who_is_turned_away_is_told_a_time_of_seconds_to_minutes(waiting: int, slots: int, mean_s: float) -> None:
    assert 1 <= policy.retry_after_s(waiting, slots, mean_s) <= 120


@pytest.mark.parametrize(
    ("waiting", "own", "mean_s", "admitted"),
    [
        (0, 0, 1000.0, True),  # the first always may wait
        (policy.WAITING_IN_ALL, 0, 0.1, False),
        (5, policy.WAITING_PER_CUSTOMER, 0.1, False),
        (5, 1, 0.1, True),
        (5, 1, 60.0, False),  # its turn would come too late
    ],
)
def test_the_queue_is_bounded_for_all_and_for_each(waiting: int, own: int, mean_s: float, admitted: bool) -> None:
    assert policy.admitted(waiting, own, 2, mean_s) is admitted


def model(kind: WorkKind, number: int, rate: float = 10.0) -> ServedModel:
    return ServedModel(
        kind, f"a model with a long name, number {number}", f"{number:064x}", "engine 1.2.3 cpu", 4, rate=rate
    )


@given(st.lists(st.tuples(KINDS, st.integers(0, 50), st.sampled_from([0.0, 1.0, 99.0])), max_size=40))
def test_an_offer_fits_names_only_what_was_measured_and_each_thing_once(
    drawn: list[tuple[WorkKind, int, float]],
) -> None:
    models = list({(kind, number): model(kind, number, rate) for kind, number, rate in drawn}.values())
    offer = policy.offer_of(models, PRICES)
    measured = [one for one in models if one.rate > 0]
    assert (offer is None) == (not measured)
    if offer is None:
        return
    assert len(canonical_json(offer.model_dump(mode="json"))) <= policy.OFFER_BYTES
    assert ComputeOffer.model_validate_json(offer.model_dump_json()) == offer
    assert {(one.kind, one.sha256) for one in offer.models} <= {(one.kind.value, one.sha256) for one in measured}
    texts = [one.sha256 for one in offer.models if one.kind in ("chat", "completion")]
    assert len(texts) == len(set(texts))


def test_a_model_on_several_machines_is_offered_once_with_one_engine_and_the_slots_of_all_that_run_it() -> None:
    here, there = model(WorkKind.ONNX, 1, 5.0), replace(model(WorkKind.ONNX, 1, 9.0), slots=2)
    other = replace(model(WorkKind.ONNX, 1, 7.0), engine="another 2", slots=100)
    offer = policy.offer_of([here, there, other], PRICES)
    assert offer is not None
    (one,) = offer.models
    assert (one.engine, one.slots, one.rate) == (here.engine, 6, 9.0)
    faster = policy.offer_of([here, there, replace(other, rate=10.0)], PRICES)
    assert faster is not None
    assert [(one.engine, one.slots) for one in faster.models] == [("another 2", 100)]


FINE = ServiceFacts(
    shared=True, draining=False, paused="", connected=True, served=2, loading=False, problem="", running=0,
    last_job_at=None, now=1000.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "state", "said"),
    [
        ({"shared": False, "paused": "x"}, ServiceState.OFF, "not shared"),
        ({"draining": True}, ServiceState.PAUSED, "Finishing"),
        ({"paused": "It is too hot."}, ServiceState.PAUSED, "It is too hot."),
        ({"served": 0, "problem": "It broke."}, ServiceState.FAULT, "It broke."),
        ({"served": 0, "loading": True}, ServiceState.STARTING, "measured"),
        ({"served": 0}, ServiceState.ATTENTION, "Import one"),
        ({"connected": False}, ServiceState.ATTENTION, "chain"),
        ({"problem": "One server is away."}, ServiceState.ATTENTION, "away"),
        ({"running": 1}, ServiceState.EARNING, "1 job."),
        ({"running": 3}, ServiceState.EARNING, "3 jobs."),
        ({"last_job_at": 940.0}, ServiceState.EARNING, "1 min ago"),
        ({"last_job_at": -9000.0}, ServiceState.IDLE, "lately"),
        ({}, ServiceState.IDLE, "lately"),
    ],
)
def test_the_service_says_one_thing_the_most_pressing(
    change: dict[str, object], state: ServiceState, said: str
) -> None:
    found, reason = policy.service_state(replace(FINE, **change))  # type: ignore[arg-type]
    assert found is state
    assert said in reason


@pytest.mark.parametrize(
    ("data", "deep"),
    [
        (b"[" * 300, True),
        (b"{" * 300, True),
        (b'{"a":' * 300, True),
        (b"[]," * 300, False),
        (b'["' + b"[" * 300 + b'"]', False),  # in a string they nest nothing
        (b'["\\"' + b"[" * 300 + b'"]', False),
        (b'["\\\\"' + b"[" * 300, True),
        (b"[" * 200, False),
        (b'"' + b"[" * 300, False),  # an open string is no JSON, and the parser says so
    ],
)
def test_json_that_would_exhaust_the_stack_is_told_by_its_brackets(data: bytes, deep: bool) -> None:
    assert deeper_than(data, 200) is deep

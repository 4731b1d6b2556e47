"""Both sides count what metered work may cost in the same way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.net import metering

PRICE_IN, PRICE_OUT = 2 * 10**15, 6 * 10**15


@given(st.text(max_size=200), st.integers(1, 4000), st.integers(0, 4000))
def test_what_is_used_never_costs_more_than_the_ceiling(text: str, limit: int, used: int) -> None:
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": limit}
    ceiling = metering.tokens_ceiling(body, PRICE_IN, PRICE_OUT, output=True, context_tokens=0)
    prompt = len(text.encode()) + 20
    assert metering.tokens_cost(prompt, min(used, limit), PRICE_IN, PRICE_OUT) <= ceiling


def test_a_stream_is_held_for_its_first_slice_only() -> None:
    body = {"messages": [], "max_tokens": 100_000}
    whole = metering.tokens_ceiling(body, 0, PRICE_OUT, output=True, context_tokens=0)
    streamed = metering.tokens_ceiling(body | {"stream": True}, 0, PRICE_OUT, output=True, context_tokens=0)
    assert whole == 100_000 * PRICE_OUT // 10**6
    assert streamed == metering.SLICE_TOKENS * PRICE_OUT // 10**6


def test_the_context_bounds_what_can_be_asked_for() -> None:
    assert metering.output_limit({"max_tokens": 100_000}, 2048) == 2048
    assert metering.output_limit({"stream": True}, 2048) == 2048
    assert metering.output_limit({}, 4096) == metering.DEFAULT_TOKENS
    assert metering.output_limit({"max_tokens": 10, "n": 3}) == 30


def test_embeddings_pay_for_what_is_read() -> None:
    body = {"input": "x" * 1000}
    assert metering.tokens_ceiling(body, 10**6, 10**9, output=False, context_tokens=0) == metering.prompt_ceiling(body)


def test_fuel_and_time_are_rounded_up_and_nothing_is_free() -> None:
    assert metering.wasm_cost(1, 0, 10**9, 0) == 1
    assert metering.wasm_cost(10**9, 0, 7, 0) == 7
    assert metering.wasm_cost(10**9 + 1, 0, 7, 0) == 8
    assert metering.wasm_cost(0, 0.0015, 0, 10**6) == 2000
    assert metering.wasm_cost(0, 0, 0, 0) == 1

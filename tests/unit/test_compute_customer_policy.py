"""Whom a customer of compute asks, how far it believes the answer, and how it tells: all pure."""

from __future__ import annotations

import base64
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.core.backoff import LONGEST_S, Backoff
from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer.compute import sse
from depin_desktop.customer.compute.agreement import (
    Text,
    Token,
    break_tie,
    overcounted,
    same_bytes,
    same_text,
    same_vectors,
)
from depin_desktop.customer.compute.trust import REQUIRED_AGREEMENTS, SHUN_S, Standing, Verdict, must_check

RIGHT, WRONG, UNCLEAR = Verdict.RIGHT, Verdict.WRONG, Verdict.UNCLEAR


# --- trust -----------------------------------------------------------------------------------------------------------


def test_a_stranger_is_checked_every_time_until_ten_agreements_in_a_row() -> None:
    standing, dice = Standing(), random.Random(1)
    for _ in range(REQUIRED_AGREEMENTS):
        assert must_check(standing, dice)
        assert not standing.trusted
        standing = standing.after(RIGHT, 0)
    assert standing.trusted
    assert standing.check_probability == 1 / REQUIRED_AGREEMENTS


@given(st.integers(REQUIRED_AGREEMENTS, 10_000))
def test_the_trusted_are_still_checked_one_time_in_n(streak: int) -> None:
    assert Standing(streak=streak).check_probability == 1 / streak


def test_one_wrong_answer_takes_all_trust_and_keeps_work_away() -> None:
    standing = Standing(streak=400, right=400, served=4000)
    fallen = standing.after(WRONG, now=1000)
    assert fallen.streak == 0
    assert fallen.check_probability == 1
    assert fallen.shunned(1000 + SHUN_S - 1)
    assert not fallen.shunned(1000 + SHUN_S)
    assert fallen.score < standing.score


def test_unclear_checks_neither_help_nor_harm() -> None:
    standing = Standing(streak=5, right=5)
    after = standing.after(UNCLEAR, 7)
    assert (after.streak, after.right, after.wrong, after.wrong_at) == (5, 5, 0, 0)
    assert after.score == standing.score


@given(st.lists(st.sampled_from([RIGHT, WRONG, UNCLEAR]), max_size=60))
def test_the_streak_counts_agreements_since_the_last_wrong_answer(verdicts: list[Verdict]) -> None:
    standing = Standing()
    for verdict in verdicts:
        standing = standing.after(verdict, 1.0)
        assert 0 < standing.score <= 1
    counted = [verdict for verdict in verdicts if verdict is not UNCLEAR]
    last_wrong = max((at for at, verdict in enumerate(counted) if verdict is WRONG), default=-1)
    assert standing.streak == len(counted) - 1 - last_wrong


def test_failing_jobs_lowers_the_score() -> None:
    assert Standing(served=10, failed=10).score < Standing(served=10).score


# --- agreement -------------------------------------------------------------------------------------------------------


def test_deterministic_work_is_compared_bit_by_bit() -> None:
    assert same_bytes(b"42", b"42") is RIGHT
    assert same_bytes(b"42", b"43") is WRONG


def _embedding(*rows: list[float], packed: bool = False) -> dict[str, object]:
    def shown(row: list[float]) -> object:
        return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode() if packed else row

    return {"data": [{"index": at, "embedding": shown(row)} for at, row in enumerate(rows)]}


def test_embeddings_are_compared_by_direction() -> None:
    first = _embedding([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    assert same_vectors(first, _embedding([0.9999, 0.001, 0.0], [0.0, 2.0, 0.0])) is RIGHT
    assert same_vectors(first, _embedding([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], packed=True)) is RIGHT
    assert same_vectors(first, _embedding([0.9, 0.3, 0.0], [0.0, 1.0, 0.0])) is WRONG
    assert same_vectors(first, _embedding([1.0, 0.0, 0.0])) is WRONG
    assert same_vectors(first, _embedding([0.0, 0.0, 0.0], [0.0, 1.0, 0.0])) is WRONG
    assert same_vectors(first, {"data": "nothing"}) is WRONG
    assert same_vectors(first, _embedding([float("nan")] * 3, [0.0, 1.0, 0.0])) is WRONG


def _check(*tokens: tuple[str, dict[str, float]]) -> Text:
    made = tuple(Token(text, others.get(text, -0.1), others) for text, others in tokens)
    return Text("".join(token.text for token in made), "stop", made)


CHECK = _check(("The", {"The": -0.1}), (" sky", {" sky": -0.7, " sea": -0.8, " dog": -4.0}), (" is", {" is": -0.1}))


def test_the_same_greedy_text_is_right() -> None:
    assert same_text(Text("The sky is"), CHECK, greedy=True) is RIGHT


def test_greedy_text_that_parts_at_a_near_tie_proves_nothing() -> None:
    assert same_text(Text("The sea was"), CHECK, greedy=True) is UNCLEAR


def test_greedy_text_that_parts_at_a_clear_choice_is_wrong() -> None:
    assert same_text(Text("The dog is"), CHECK, greedy=True) is WRONG
    assert same_text(Text("Bananas"), CHECK, greedy=True) is WRONG
    assert same_text(Text(""), CHECK, greedy=True) is WRONG


def test_text_that_was_cut_short_is_wrong_unless_the_end_was_as_likely() -> None:
    assert same_text(Text("The"), CHECK, greedy=True) is WRONG
    ending = _check(("The", {"The": -0.1}), (" sky", {" sky": -0.7, "<|im_end|>": -0.8}))
    assert same_text(Text("The"), ending, greedy=True) is UNCLEAR


def test_sampled_text_is_wrong_only_where_it_was_impossible() -> None:
    assert same_text(Text("The dog is"), CHECK, greedy=False) is UNCLEAR
    assert same_text(Text("The cat is"), CHECK, greedy=False) is WRONG


def test_without_likelihoods_other_text_proves_nothing() -> None:
    assert same_text(Text("The dog"), Text("The sky"), greedy=True) is UNCLEAR


def test_a_prompt_that_is_counted_longer_than_it_is_is_noticed() -> None:
    assert overcounted(40, 20)
    assert not overcounted(24, 20)
    assert not overcounted(1040, 1000)
    assert overcounted(1060, 1000)
    assert not overcounted(10, 20)


def test_a_third_answer_breaks_ties() -> None:
    assert break_tie(RIGHT, WRONG) == (RIGHT, WRONG)
    assert break_tie(WRONG, RIGHT) == (WRONG, RIGHT)
    assert break_tie(WRONG, WRONG) == (UNCLEAR, UNCLEAR)
    assert break_tie(UNCLEAR, UNCLEAR) == (UNCLEAR, UNCLEAR)


# --- back-off --------------------------------------------------------------------------------------------------------


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_provider_that_fails_is_left_alone_for_longer_each_time_and_others_are_not() -> None:
    clock = Clock()
    backoff = Backoff(clock)
    pauses = []
    for _ in range(12):
        pauses.append(backoff.failed("a"))
        clock.now += pauses[-1]
        assert backoff.wait_s("a") == 0
    assert pauses[:4] == [1, 2, 4, 8]
    assert pauses[-1] == LONGEST_S
    assert backoff.wait_s("b") == 0
    backoff.succeeded("a")
    assert backoff.failed("a") == 1


def test_a_busy_provider_is_left_alone_as_long_as_it_asks_and_has_not_failed() -> None:
    clock = Clock()
    backoff = Backoff(clock)
    backoff.busy("a", 5)
    assert backoff.wait_s("a") == 5
    clock.now += 5
    assert backoff.failed("a") == 1
    backoff.busy("a", 1e9)
    assert backoff.wait_s("a") == LONGEST_S


# --- events ----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.booleans())
def test_events_are_the_same_however_they_are_cut(step: int, windows: bool) -> None:
    stream = b'data: {"a": 1}\n\nevent: depin.receipt\ndata: {"b": "\xc3\xa9"}\n\n' + sse.DONE
    sent = stream.replace(b"\n", b"\r\n") if windows else stream
    events = sse.Events()
    found = [event for at in range(0, len(sent), step) for event in events.feed(sent[at : at + step])]
    assert b"".join(found) == stream
    assert [sse.is_plain(event) for event in found] == [True, False, True]
    assert sse.parse(found[1]) == ("depin.receipt", '{"b": "é"}'.encode())
    assert sse.is_done(found[2])
    assert sse.compose(b"{}", "x") == b"event: x\ndata: {}\n\n"


def test_an_event_without_end_is_refused() -> None:
    events = sse.Events()
    with pytest.raises(UserFacingError, match="without end"):
        events.feed(b"data: " + b"x" * sse.MAX_EVENT_BYTES)

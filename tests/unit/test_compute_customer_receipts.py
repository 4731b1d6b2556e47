"""What a receipt must say, whose fault a failure is, and how much checking may cost: all pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.customer.compute import failures
from depin_desktop.customer.compute.answers import offered
from depin_desktop.customer.compute.asks import TextAsk
from depin_desktop.customer.compute.failures import Fault
from depin_desktop.customer.compute.hosts import CHAT, hosts_of, with_stand_ins
from depin_desktop.customer.compute.receipts import Seen, WrongReceipt, answering, read_receipt
from depin_desktop.customer.compute.scores import Spending, Spent
from depin_desktop.customer.compute.texts import says_something
from depin_desktop.net.work_receipts import WorkReceipt, WorkUsage, sign_receipt, sign_verdict, verdict_signer
from depin_desktop.payments.payer import PaymentFailed

from .test_compute_customer_asks import SHA, machines, offer

OPERATOR, CUSTOMER = Account.create(), Account.create().address
ANSWER = b'{"choices": [{"message": {"content": "because of the air"}}]}'


def seen() -> Seen:
    node = offer("a").model_copy(update={"operator": OPERATOR.address})
    (host,) = hosts_of([node], CHAT)
    ask = TextAsk.of(CHAT, {"messages": [{"role": "user", "content": "why"}]})
    return Seen(ask, host, ask.request(host), CUSTOMER, ANSWER, hashlib.sha256(ANSWER).hexdigest(), 20)


def receipt(of: Seen, **changes: Any) -> dict[str, Any]:
    says = {
        "job": "j",
        "kind": CHAT,
        "model": SHA,
        "engine": "e 1",
        "parameters_hash": of.request.parameters_hash,
        "input_hash": of.request.input_hash,
        "output_hash": of.output_hash,
        "usage": WorkUsage(prompt_tokens=15, completion_tokens=5, seconds=1),
        "charged": 20,
        "customer": CUSTOMER,
        "provider": "a",
        "finished_at": 1.0,
    }
    return sign_receipt(WorkReceipt(**{**says, **changes}), OPERATOR)


def text(said: dict[str, Any]) -> bytes:
    return json.dumps(said).encode()


def test_a_receipt_may_name_a_machine_that_stood_in_and_no_other() -> None:
    node = machines("a", {}, {"sha256": "cd" * 32, "engine": "e 2"}).model_copy(update={"operator": OPERATOR.address})
    hosts, ask = hosts_of([node], CHAT), seen().ask
    host = with_stand_ins(hosts[0], hosts, "m", ask.ceiling)
    of = replace(seen(), host=host)
    good = read_receipt(text(receipt(of, model="cd" * 32, engine="e 2")), of)
    assert answering(good, host) == hosts[1]  # whose trust and rate it is
    assert answering(read_receipt(text(receipt(of)), of), host) == hosts[0]
    for says in ({"model": "cd" * 32, "engine": "e 3"}, {"engine": "e 2"}, {"model": "ef" * 32, "engine": "e 2"}):
        with pytest.raises(WrongReceipt, match="than it offered"):
            read_receipt(text(receipt(of, **says)), of)


def test_a_receipt_that_says_what_was_seen_holds() -> None:
    of = replace(seen(), charged=20 * 10**12)
    assert read_receipt(text(receipt(of, charged=20 * 10**12)), of).job == "j"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"provider": "b"}, "somebody else"),
        ({"customer": "0x"}, "somebody else"),
        ({"kind": "embedding"}, "other work"),
        ({"model": "cd" * 32}, "another model"),
        ({"engine": "e 2"}, "another engine"),
        ({"input_hash": "00"}, "another question"),
        ({"parameters_hash": "00"}, "other parameters"),
        ({"output_hash": "00"}, "another answer"),
        ({"charged": 19}, "something else than it signed"),
        ({"usage": WorkUsage()}, "more than its offer"),
        ({"usage": WorkUsage(prompt_tokens=10**6)}, "more than it can have done"),
        ({"usage": WorkUsage(completion_tokens=10**6)}, "more than it can have done"),
    ],
)
def test_a_receipt_that_says_anything_else_does_not(changes: dict[str, Any], words: str) -> None:
    of = seen()
    with pytest.raises(WrongReceipt, match=words):
        read_receipt(text(receipt(of, **changes)), of)


def test_a_receipt_must_be_the_operators_and_untouched() -> None:
    of = seen()
    said = receipt(of)
    for wrong in (said | {"charged": "1"}, {**said, "signature": "0x"}, {"job": "j"}):
        with pytest.raises(WrongReceipt):
            read_receipt(text(wrong), of)
    for wrong in (b"", b"[]", b"{" * 20_000, b"nonsense"):
        with pytest.raises(WrongReceipt):
            read_receipt(wrong, of)


@pytest.mark.parametrize(
    ("status", "code", "fault"),
    [
        (400, "bad-request", Fault.CUSTOMER),
        (413, "too-large", Fault.CUSTOMER),
        (422, "fuel", Fault.CUSTOMER),
        (404, "unknown-model", Fault.PROVIDER),
        (408, "silent", Fault.PROVIDER),
        (429, "busy", Fault.BUSY),
        (503, "paused", Fault.BUSY),
        (503, "stopped", Fault.PROVIDER),
        (500, "internal", Fault.PROVIDER),
        (502, "crashed", Fault.PROVIDER),
    ],
)
def test_it_is_known_whose_fault_a_refusal_is(status: int, code: str, fault: Fault) -> None:
    body = json.dumps({"code": code, "message": "It is\nso.", "remedy": ""}).encode()
    failed = failures.of_answer("a", status, {"Retry-After": "7"}, body)
    assert (failed.fault, failed.code, failed.status) == (fault, code, status)
    assert "\n" not in failed.message
    assert failed.wait_s == (7 if fault is Fault.BUSY else failures.BUSY_S)


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("budget-refused", Fault.CUSTOMER),
        ("insufficient-funds", Fault.FUNDS),
        ("budget-exhausted", Fault.FUNDS),
        ("price-changed", Fault.PROVIDER),
        ("invalid_batch_settlement_evm_channel_busy", Fault.BUSY),
    ],
)
def test_it_is_known_whose_fault_a_failed_payment_is(code: str, fault: Fault) -> None:
    assert failures.of_payment(PaymentFailed("x", code=code)).fault is fault


@given(st.binary())
def test_a_strangers_words_never_break_anything(body: bytes) -> None:
    code, message, remedy = failures.said(body)
    assert max(len(code), len(message), len(remedy)) <= 300
    assert isinstance(says_something(body), bool)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 10**6)), max_size=60), st.floats(0.05, 0.9))
def test_checks_never_take_more_than_their_share(spent: list[tuple[bool, int]], share: float) -> None:
    spending = Spending()
    for check, amount in spent:
        if not check:
            spending = spending.after(Spent.ANSWERS, amount)
        elif spending.may_check(amount, share):
            spending = spending.after(Spent.CHECKS, amount)
        assert spending.checks <= share * (spending.answers + spending.checks) + 1e-6


def test_offers_of_one_model_are_shown_together_with_the_best_of_each() -> None:
    (chat, wasm) = offered([offer("a", price=3, rate=10), offer("b", price=1, rate=5), offer("c", price=2, rate=99)])
    assert (chat.providers, chat.rate, chat.price_in_per_mtoken) == (3, 99, 10**18)
    assert (wasm.kind, wasm.providers) == ("wasm", 3)


def test_a_verdict_is_signed_for_one_job_of_one_provider() -> None:
    account = Account.create()
    said = sign_verdict(account, "j", "a", "right")
    assert verdict_signer("j", "a", "right", said["signature"]) == account.address
    for other in (("k", "a", "right"), ("j", "b", "right"), ("j", "a", "wrong")):
        assert verdict_signer(*other, said["signature"]) != account.address

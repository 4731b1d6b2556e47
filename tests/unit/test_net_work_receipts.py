"""Receipts for work: the same hashes on both sides, and a signature that says who."""

from __future__ import annotations

import json

from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.net.work_receipts import (
    WorkReceipt,
    WorkUsage,
    bytes_hash,
    sign_receipt,
    signer_of,
    text_input_hash,
    text_parameters_hash,
)

OPERATOR = Account.create()
RECEIPT = WorkReceipt(
    job="00" * 16,
    kind="chat",
    model="ab" * 32,
    engine="e 1",
    parameters_hash="",
    input_hash="",
    output_hash=bytes_hash(b"x"),
    usage=WorkUsage(prompt_tokens=3, completion_tokens=4, seconds=0.25),
    charged=10**19,
    customer="0x" + "11" * 20,
    provider="0x" + "22" * 20,
    finished_at=1.5,
)


def test_a_receipt_says_who_signed_it_and_every_change_shows() -> None:
    said = json.loads(json.dumps(sign_receipt(RECEIPT, OPERATOR)))
    assert signer_of(said) == OPERATOR.address
    assert WorkReceipt.model_validate(said).charged == 10**19
    for name in WorkReceipt.model_fields:
        changed = said | {name: "1" if isinstance(said[name], str) else 7}
        assert signer_of(changed) != OPERATOR.address, name
    assert signer_of({name: value for name, value in said.items() if name != "signature"}) is None


@given(st.booleans(), st.sampled_from(["m", "ab" * 32]), st.text(max_size=20))
def test_how_an_answer_travels_changes_neither_hash(stream: bool, model: str, user: str) -> None:
    body = {"messages": [{"role": "user", "content": "hé"}], "temperature": 0.5, "seed": 3}
    sent = body | {"stream": stream, "model": model, "user": user}
    assert text_input_hash(sent) == text_input_hash(body)
    assert text_parameters_hash(sent) == text_parameters_hash(body)
    assert text_parameters_hash(body | {"seed": 4}) != text_parameters_hash(body)
    assert text_input_hash(body | {"messages": []}) != text_input_hash(body)

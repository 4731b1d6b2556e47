"""Signed JSON agrees with every Ethereum wallet and cannot be altered."""

from __future__ import annotations

import json

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.net.signing import canonical_json, recover_json, recover_message, sign_json, sign_message

ACCOUNT = Account.from_key("0x" + "11" * 32)
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_canonical_json_sorts_keys_and_leaves_no_spaces():
    assert (
        canonical_json({"b": [1, 2.5], "a": {"ü": "x", "d": None}}) == '{"a":{"d":null,"ü":"x"},"b":[1,2.5]}'.encode()
    )


@pytest.mark.parametrize("value", [float("nan"), {"x": float("inf")}, {"x": object()}, {"x": b"bytes"}])
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(value)


@given(json_values)
def test_canonical_json_survives_a_trip_over_the_wire(value):
    try:
        signed = canonical_json(value)
    except UnicodeEncodeError:
        return  # lone surrogates are no text
    assert canonical_json(json.loads(signed)) == signed


@given(st.binary(max_size=300))
def test_signatures_are_those_of_eth_account(message):
    expected = ACCOUNT.sign_message(encode_defunct(message)).signature
    assert sign_message(ACCOUNT.key, message) == bytes(expected)
    assert recover_message(message, bytes(expected)) == ACCOUNT.address


def test_an_altered_value_is_not_the_signers():
    signature = sign_json(ACCOUNT, {"price": 5})
    assert recover_json({"price": 5}, signature) == ACCOUNT.address
    assert recover_json({"price": 6}, signature) != ACCOUNT.address


def test_a_high_s_twin_is_refused():
    signature = sign_message(ACCOUNT.key, b"once")
    s = ORDER - int.from_bytes(signature[32:64])
    twin = signature[:32] + s.to_bytes(32) + bytes([55 - signature[64]])
    assert recover_message(b"once", twin) is None


@pytest.mark.parametrize(
    "signature",
    [
        None,
        7,
        "",
        "0x",
        "0x" + "00" * 65,
        "0x" + "zz" * 65,
        "0x" + "11" * 64,
        "0x" + "ff" * 65,
        "0x" + "01" * 64 + "1b",
    ],
)
def test_a_malformed_signature_is_nobodys_or_a_strangers(signature):
    assert recover_json({"a": 1}, signature) != ACCOUNT.address


def test_v_of_zero_or_one_is_refused():
    signature = sign_message(ACCOUNT.key, b"x")
    assert recover_message(b"x", signature[:64] + bytes([signature[64] - 27])) is None

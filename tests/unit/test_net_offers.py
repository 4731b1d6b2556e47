"""An offer is believed only as its registered operator said it, now, for this chain."""

from __future__ import annotations

import json

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from depin_desktop.net.offers import (
    CLOCK_SKEW_S,
    MAX_LIFETIME_S,
    MAX_OFFER_BYTES,
    NodeOffer,
    Rejected,
    StorageOffer,
    open_envelope,
    seal_envelope,
)
from depin_desktop.net.signing import canonical_json, sign_json

OWNER, OPERATOR, STRANGER = (Account.from_key(bytes([byte]) * 32) for byte in (1, 2, 3))
NOW = 1_900_000_000.5


def offer(**changes) -> NodeOffer:
    fields = {
        "owner": OWNER.address,
        "operator": OPERATOR.address,
        "payout": OWNER.address,
        "node_id": "ab" * 32,
        "addresses": ("127.0.0.1:4000",),
        "chain_id": 31337,
        "issued_at": NOW,
        "expires_at": NOW + 90,
        "storage": StorageOffer(
            free_bytes=2**40, max_piece_bytes=2**28, price_per_leaf_period=10**18, price_per_gib_read=2**70
        ),
    }
    return NodeOffer(**{**fields, **changes})


def reason(envelope: bytes, **changes) -> str:
    with pytest.raises(Rejected) as caught:
        open_envelope(envelope, **{"chain_id": 31337, "now": NOW, **changes})
    return caught.value.reason


def test_what_was_sealed_is_what_is_opened():
    assert open_envelope(seal_envelope(offer(), OPERATOR), chain_id=31337, now=NOW) == offer()


def test_a_newer_version_may_say_more():
    said = offer().model_dump(mode="json") | {"moon": {"phase": "full"}}
    envelope = canonical_json({"offer": said, "signature": sign_json(OPERATOR, said)})
    assert open_envelope(envelope, chain_id=31337, now=NOW) == offer()


def test_a_stranger_cannot_speak_for_the_operator():
    assert reason(seal_envelope(offer(), STRANGER)) == "bad-signature"


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_altered_byte_is_believed(data):
    envelope = bytearray(seal_envelope(offer(), OPERATOR))
    place = data.draw(st.integers(0, len(envelope) - 1))
    envelope[place] ^= data.draw(st.integers(1, 255))
    try:
        opened = open_envelope(bytes(envelope), chain_id=31337, now=NOW)
    except Rejected:
        return
    assert opened == offer()  # e.g. another case of a hexadecimal digit of the signature


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"chain_id": 1}, "other-chain"),
        ({"expires_at": NOW}, "expired"),
        ({"issued_at": NOW + CLOCK_SKEW_S + 1}, "from-the-future"),
        ({"expires_at": NOW + MAX_LIFETIME_S + 1}, "too-long"),
        ({"node_id": "xyz"}, "malformed"),
        ({"owner": "0x12"}, "malformed"),
        ({"owner": OWNER.address.lower()}, "malformed"),
        ({"addresses": ("127.0.0.1:1" * 50,) * 10}, "oversize"),
    ],
)
def test_each_fault_has_its_reason(changes, expected):
    assert reason(seal_envelope(offer(**changes), OPERATOR)) == expected


def test_an_unsigned_offer_is_dropped():
    said = offer().model_dump(mode="json")
    assert reason(json.dumps({"offer": said}).encode()) == "malformed"
    assert reason(json.dumps({"offer": said, "signature": None}).encode()) == "bad-signature"


@pytest.mark.parametrize(
    "envelope",
    [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * MAX_OFFER_BYTES, b'{"offer": 3, "signature": "0x"}'],
)
def test_rubbish_is_malformed(envelope):
    assert reason(envelope) == "malformed"


def test_a_time_that_is_no_number_is_not_believed():
    said = offer().model_dump(mode="json")
    envelope = json.dumps({"offer": said | {"expires_at": float("nan")}, "signature": sign_json(OPERATOR, said)})
    assert reason(envelope.encode()) in ("expired", "malformed")


def test_the_withdrawal_is_newer_and_empty():
    withdrawn = offer().emptied(NOW + 1)
    assert withdrawn.empty
    assert not offer().empty
    assert withdrawn.issued_at > offer().issued_at

"""Addresses are read in any of the forms in which they are written, and slips are noticed."""

from __future__ import annotations

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.core.addresses import clean_address, parse_address
from depin_desktop.core.errors import UserFacingError


@given(st.integers(1, 2**128))
def test_every_way_to_write_an_address_is_read_as_eip_55(key: int) -> None:
    address = Account.from_key(key.to_bytes(32, "big")).address
    for written in (address, address.lower(), f"0x{address[2:].upper()}", f" {address}\n"):
        assert parse_address(written) == address


@given(st.text(max_size=60))
def test_anything_else_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(UserFacingError) as refused:
        parse_address(text)
    assert refused.value.code == "bad-address"


def test_a_slip_in_a_letters_case_is_noticed() -> None:
    address = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # EIP-55's first example
    assert parse_address(address) == address
    with pytest.raises(UserFacingError):
        parse_address(address.replace("aA", "Aa", 1))


FIRST = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
IN_GROUPS = "5aAe b605 3F3E 94C9 b9A0\n9f33 6694 35E7 Ef1B eAed"


@pytest.mark.parametrize(
    "pasted",
    [
        FIRST,
        f"  {FIRST}\r\n",
        f"\u200b\ufeff{FIRST}\u2060",
        f"“{FIRST}”,",
        f"<{FIRST}>",
        f"0X{FIRST[2:]}",
        FIRST[2:],
        IN_GROUPS,
        f"0x {IN_GROUPS}",
        f"ethereum:{FIRST}",
        f"ethereum:pay-{FIRST}@31337?value=1e18",
        f"\u202a{FIRST[:20]}\u00a0{FIRST[20:]}\u202c",
    ],
)
def test_what_surrounds_a_pasted_address_is_taken_off(pasted: str) -> None:
    assert clean_address(pasted) == FIRST


def test_an_address_can_be_typed_though_it_is_cleaned_with_every_key() -> None:
    typed = ""
    for key in FIRST:
        typed = clean_address(typed + key)
    assert typed == FIRST


def test_a_uri_that_calls_a_contract_is_not_taken_for_a_payment_to_it() -> None:
    uri = f"ethereum:{FIRST}@1/transfer?address=0x{'ab' * 20}&uint256=5"
    with pytest.raises(UserFacingError):
        parse_address(clean_address(uri))

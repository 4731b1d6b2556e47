"""Addresses are read in any of the forms in which they are written, and slips are noticed."""

from __future__ import annotations

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.chain.addresses import parse_address
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

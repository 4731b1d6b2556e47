"""Addresses as people type them."""

from __future__ import annotations

from eth_utils.address import is_address, is_checksum_address, to_checksum_address

from depin_desktop.core.errors import UserFacingError


def parse_address(text: str) -> str:
    """The address in EIP-55. One in mixed letter case must carry the right checksum, which catches slips.

    Raises:
        UserFacingError: "bad-address".
    """
    text = text.strip()
    if not text.startswith("0x") or not is_address(text):
        raise UserFacingError(f"“{text}” is not an address.", "Give 0x and 40 hex digits.", code="bad-address")
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and not is_checksum_address(text):
        raise UserFacingError(
            f"“{text}” has a slip in it: its letters' case does not fit.", "Copy it once more.", code="bad-address"
        )
    return to_checksum_address(text)

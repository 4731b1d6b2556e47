"""Addresses as people type and paste them."""

from __future__ import annotations

import re

from eth_utils.address import is_address, is_checksum_address, to_checksum_address

from depin_desktop.core.errors import UserFacingError

_URI = re.compile(r"ethereum:(?:pay-)?([^@/?]*)(?:@\d+)?(?:\?.*)?", re.IGNORECASE)  # EIP-681, of a plain payment
_AROUND = "\"'`‘’“”«»<>()[]{},;.:"
_DIGITS = re.compile(r"[0-9a-fA-F]{40}")


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


def clean_address(text: str) -> str:
    """What is left of a pasted address without what mails, web pages and wallets put into and around it.

    That is spaces and line breaks, also between groups of digits, invisible characters, quotes and brackets, the URI
    of a plain payment, and a missing or capital 0x. No digit is changed: whether it is an address is for
    `parse_address` to say. A URI that calls a contract stays as it is, since its first address is not who is paid.
    """
    cleaned = "".join(character for character in text if character.isprintable() and not character.isspace())
    cleaned = cleaned.strip(_AROUND)
    if (uri := _URI.fullmatch(cleaned)) is not None:
        cleaned = uri.group(1)
    if _DIGITS.fullmatch(cleaned):
        return "0x" + cleaned
    return "0x" + cleaned[2:] if cleaned[:2] == "0X" else cleaned

"""Signed JSON: an EIP-191 personal message over canonical JSON, by the key of an Ethereum account.

Offers, receipts and storage authorisations are signed like this; any Ethereum wallet can check or make one.
Canonical means: keys sorted, no spaces, UTF-8 without escapes beyond JSON's own, no NaN.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from coincurve import PrivateKey, PublicKey
from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address

SIGNATURE_BYTES = 65
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Account(Protocol):
    """What signing needs of an account; eth_account's `LocalAccount` is one."""

    @property
    def address(self) -> Any: ...

    @property
    def key(self) -> Any: ...


def canonical_json(value: Any) -> bytes:
    """The bytes that are signed for `value`.

    Raises:
        ValueError: the value holds NaN, an infinity, or something that JSON cannot say.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8")
    except (TypeError, RecursionError) as error:
        raise ValueError("this cannot be written as JSON") from error


def personal_digest(message: bytes) -> bytes:
    """The 32 bytes that `personal_sign` signs for `message` (EIP-191, version 0x45)."""
    digest: bytes = keccak(b"\x19Ethereum Signed Message:\n%d" % len(message) + message)
    return digest


def sign_message(key: bytes, message: bytes) -> bytes:
    """65 bytes r ‖ s ‖ v over `message`, with s in the lower half and v 27 or 28. `key` is the 32-byte private key."""
    signature = PrivateKey(bytes(key)).sign_recoverable(personal_digest(message), hasher=None)
    return signature[:64] + bytes([signature[64] + 27])


def recover_message(message: bytes, signature: bytes) -> str | None:
    """The checksummed address whose key signed `message`, or None for anything but a well-formed low-s signature."""
    if len(signature) != SIGNATURE_BYTES or signature[64] not in (27, 28):
        return None
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
    if not 0 < r < _ORDER or not 0 < s <= _HALF_ORDER:
        return None
    try:
        public = PublicKey.from_signature_and_message(
            signature[:64] + bytes([signature[64] - 27]), personal_digest(message), hasher=None
        )
    except Exception:  # noqa: BLE001 - coincurve raises plain Exception where no key fits
        return None
    return to_checksum_address(keccak(public.format(compressed=False)[1:])[-20:])


def sign_json(account: Account, value: Any) -> str:
    """The signature of `account` over `value`, as 0x hex."""
    return "0x" + sign_message(account.key, canonical_json(value)).hex()


def recover_json(value: Any, signature: object) -> str | None:
    """The checksummed address that signed `value`, or None if `signature` (0x hex) is nobody's."""
    if not isinstance(signature, str) or not signature.startswith("0x") or len(signature) != 2 + 2 * SIGNATURE_BYTES:
        return None
    try:
        return recover_message(canonical_json(value), bytes.fromhex(signature[2:]))
    except ValueError:
        return None

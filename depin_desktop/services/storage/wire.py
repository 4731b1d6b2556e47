"""What customers and providers sign outside the chain: the permission to upload, and the receipt for it.

Signatures are EIP-191 personal messages over canonical JSON: sorted keys, no spaces, UTF-8.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from eth_hash.auto import keccak
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from depin_desktop.chain.typed_data import BadSignature, Signer, recover_digest, sign_digest
from depin_desktop.core.errors import UserFacingError

_ROOT = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")
_SCHEME = "depin "
MAX_HEADER_CHARACTERS = 4096


def canonical(fields: dict[str, Any]) -> bytes:
    """The bytes that are signed for `fields`."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def personal_digest(message: bytes) -> bytes:
    """EIP-191's hash of a personal message."""
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message)


def sign_fields(account: Signer, fields: dict[str, Any]) -> str:
    """The 0x-prefixed personal signature over canonical JSON."""
    return "0x" + sign_digest(account, personal_digest(canonical(fields))).hex()


def signer_of(fields: dict[str, Any], signature: str) -> str:
    """The EIP-55 address that signed `fields`.

    Raises:
        BadSignature: not a canonical signature in hexadecimal.
    """
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
    except ValueError as error:
        raise BadSignature("not hexadecimal") from error
    return recover_digest(personal_digest(canonical(fields)), raw)


def parse_hash(text: str, what: str) -> str:
    """A root or set id as we write it: 64 lower-case hexadecimal digits without prefix.

    Raises:
        UserFacingError: it is not 32 bytes in hexadecimal.
    """
    match = _ROOT.fullmatch(text)
    if match is None:
        raise UserFacingError(
            f"The {what} is not 32 bytes in hexadecimal.", "Send 64 hexadecimal digits.", code="bad-identifier"
        )
    return match.group(1).lower()


class Authorization(BaseModel):
    """The customer's permission to store one piece with one provider."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    customer: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    root: str
    size: int
    expires: int
    signature: str


class Receipt(BaseModel):
    """The provider's word that a piece is on disk and stays there until `expires_at`, deal or not."""

    model_config = ConfigDict(frozen=True)

    root: str
    size: int
    leaf_count: int
    customer: str
    provider: str
    stored_at: int
    expires_at: int
    signature: str = ""

    def signed(self, operator: Signer) -> Receipt:
        """The same with the operator's signature."""
        return self.model_copy(update={"signature": sign_fields(operator, self.model_dump(exclude={"signature"}))})


def bad_authorization(reason: str) -> UserFacingError:
    return UserFacingError(
        f"The authorisation was refused: {reason}.", "Sign the request again.", code="bad-authorization", status=401
    )


def read_authorization(header: str | None, *, provider: str, root: str, size: int, now: float, max_life_s: int) -> str:
    """Checks the header of an upload and returns the customer's EIP-55 address.

    Raises:
        UserFacingError: "bad-authorization" (401): absent, malformed, for another piece, expired or badly signed.
    """
    if not header or len(header) > MAX_HEADER_CHARACTERS or not header.lower().startswith(_SCHEME):
        raise bad_authorization("there is none of scheme Depin")
    try:
        text = header[len(_SCHEME) :].strip()
        document = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        sent = Authorization.model_validate_json(document)
        named = parse_hash(sent.root, "root")
    except (binascii.Error, ValueError, ValidationError, UserFacingError):
        raise bad_authorization("it cannot be read") from None
    if (named, sent.size) != (root, size):
        raise bad_authorization("it is for another piece")
    if not now < sent.expires <= now + max_life_s:
        raise bad_authorization("it has expired, or lasts too long")
    fields = {**sent.model_dump(exclude={"signature"}), "provider": provider}
    try:
        signer = signer_of(fields, sent.signature)
    except BadSignature:
        raise bad_authorization("its signature is malformed") from None
    if signer.lower() != sent.customer.lower():
        raise bad_authorization("it is signed by somebody else")
    return signer

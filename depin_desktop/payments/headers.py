"""The x402 v2 wire format of scheme `batch-settlement`: three HTTP headers, each base64 of camelCase JSON.

Source: the x402 specification v2 and its Python SDK 2.25 (`schemas`, `mechanisms/evm/batch_settlement/types`).
Amounts travel as decimal strings, hashes and signatures as 0x-prefixed hexadecimal.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

from eth_utils.address import to_checksum_address
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, SerializeAsAny, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

PAYMENT_REQUIRED = "PAYMENT-REQUIRED"
PAYMENT_SIGNATURE = "PAYMENT-SIGNATURE"
PAYMENT_RESPONSE = "PAYMENT-RESPONSE"

REFUND_PATH = "/payments/refund"
"""Where a customer who wants nothing but its deposit back may ask for it; any paid resource serves as well."""

SCHEME = "batch-settlement"
VERSION = 2
MAX_HEADER_BYTES = 16_384
PAYMENT_IDENTIFIER = "payment-identifier"  # x402's extension for idempotent retries

UINT128_MAX = 2**128 - 1


def _amount(value: object) -> int:
    """An unsigned 128-bit integer written as ASCII digits (or an int, when built by our own code)."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 39:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= UINT128_MAX:
        raise ValueError("not an unsigned 128-bit integer in decimal digits")
    return value


def _hex(length: int | None) -> Any:
    def parse(value: object) -> bytes:
        if isinstance(value, str):
            if not value.startswith("0x"):
                raise ValueError("hexadecimal must begin with 0x")
            value = binascii.unhexlify(value[2:])
        if not isinstance(value, bytes) or (length is not None and len(value) != length):
            raise ValueError(f"not {length} bytes in hexadecimal")
        return value

    return BeforeValidator(parse)


@lru_cache(maxsize=4096)
def _checksummed(text: str) -> str:
    return to_checksum_address(text)


def _address(value: object) -> str:
    if not isinstance(value, str) or _ADDRESS.match(value) is None:
        raise ValueError("not an address")
    return _checksummed(value)


_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}\Z")
_AS_HEX = PlainSerializer(lambda value: "0x" + value.hex(), return_type=str)

Amount = Annotated[int, BeforeValidator(_amount), PlainSerializer(str, return_type=str)]
Bytes32 = Annotated[bytes, _hex(32), _AS_HEX]
HexBytes = Annotated[bytes, _hex(None), _AS_HEX]
EvmAddress = Annotated[str, BeforeValidator(_address)]
"""Read in any letter case, kept in EIP-55, so that addresses compare as text."""


class Wire(BaseModel):
    """Base of everything on the wire: frozen, camelCase, tolerant of fields that a newer peer adds."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")


class ChannelConfig(Wire):
    """What makes a channel: its EIP-712 digest is the channel's id, so nothing in it can ever change."""

    payer: EvmAddress
    payer_authorizer: EvmAddress
    receiver: EvmAddress
    receiver_authorizer: EvmAddress
    token: EvmAddress
    withdraw_delay: int = Field(ge=0, lt=2**40)
    salt: Bytes32


class Voucher(Wire):
    """The payer's signature under a total: the receiver may claim at most that much from the channel, ever."""

    channel_id: Bytes32
    max_claimable_amount: Amount
    signature: HexBytes


class Erc3009Authorization(Wire):
    """The payer's permission to move one deposit; its nonce is keccak256(abi.encode(channelId, salt))."""

    valid_after: Amount
    valid_before: Amount
    salt: Bytes32
    signature: HexBytes


class DepositAuthorization(Wire):
    erc3009_authorization: Erc3009Authorization


class Deposit(Wire):
    amount: Amount
    authorization: DepositAuthorization


class ChannelPayload(Wire):
    """The scheme's part of a payment: a voucher, alone or with the deposit that opens or tops up its channel."""

    type: Literal["voucher", "deposit", "refund"]
    channel_config: ChannelConfig
    voucher: Voucher
    deposit: Deposit | None = None
    amount: Amount | None = None  # of a refund; all that is left when absent


class ChannelState(Wire):
    """The chain's view of a channel as the provider last saw it, and what the provider has charged so far."""

    channel_id: Bytes32
    balance: Amount
    total_claimed: Amount
    withdraw_requested_at: int = 0
    refund_nonce: str = "0"
    charged_cumulative_amount: Amount | None = None


class VoucherState(Wire):
    """The newest voucher that the provider holds: proof for a payer who lost count."""

    signed_max_claimable: Amount | None = None
    signature: HexBytes | None = None


class Terms(Wire):
    """`extra` of the requirements: how to open a channel, and its state where the payer seems to have lost it."""

    name: str
    version: str
    asset_transfer_method: str = "eip3009"
    receiver_authorizer: EvmAddress
    withdraw_delay: int
    min_deposit: Amount | None = None
    channel_state: ChannelState | None = None
    voucher_state: VoucherState | None = None


class Accepted(Wire):
    """What identifies a way to pay: `amount` base units of `asset` on `network` (CAIP-2) to `pay_to`."""

    scheme: str
    network: str
    asset: EvmAddress
    amount: Amount
    pay_to: EvmAddress


class Requirements(Accepted):
    """One way to pay, as the provider announces it and the payer repeats it."""

    max_timeout_seconds: int
    extra: Terms


class Resource(Wire):
    url: str
    description: str | None = None
    mime_type: str | None = None


class PaymentRequired(Wire):
    """The 402 answer."""

    x402_version: int = VERSION
    error: str | None = None
    resource: Resource | None = None
    accepts: tuple[Requirements, ...]
    extensions: dict[str, Any] | None = None


class PaymentPayload(Wire):
    """What the payer sends with a request."""

    x402_version: int = VERSION
    payload: ChannelPayload
    accepted: SerializeAsAny[Accepted]
    resource: Resource | None = None
    extensions: dict[str, Any] | None = None

    @property
    def identifier(self) -> str | None:
        """The payer's own name for this payment (16 to 128 characters), under which it may repeat the request."""
        extension = (self.extensions or {}).get(PAYMENT_IDENTIFIER)
        info = extension.get("info") if isinstance(extension, dict) else None
        value = info.get("id") if isinstance(info, dict) else None
        return value if isinstance(value, str) and 16 <= len(value) <= 128 else None


class ReceiptDetails(Wire):
    charged_amount: Amount | None = None
    channel_state: ChannelState | None = None


class PaymentResponse(Wire):
    """The receipt beside a paid answer. `transaction` is empty unless the request moved money on chain."""

    success: bool
    error_reason: str | None = None
    payer: str | None = None
    transaction: str = ""
    network: str
    amount: str | None = None
    extra: ReceiptDetails | None = None


Message = TypeVar("Message", bound=Wire)


def encode(message: Wire) -> str:
    """The header value of a message."""
    return base64.b64encode(message.model_dump_json(by_alias=True, exclude_none=True).encode()).decode()


def decode_required(value: str) -> PaymentRequired:
    """Reads a PAYMENT-REQUIRED header, keeping only the ways to pay that this program knows.

    Raises:
        ValueError: not such a header.
    """
    document = _json(value)
    offered = document.get("accepts")
    if not isinstance(offered, list):
        raise ValueError("accepts: not a list of ways to pay")  # noqa: TRY004 - the sender's mistake, not the caller's
    accepts = [way for way in offered if isinstance(way, dict) and way.get("scheme") == SCHEME]
    return _validate(PaymentRequired, {**document, "accepts": accepts})


def decode_payload(value: str) -> PaymentPayload:
    """Reads a PAYMENT-SIGNATURE header.

    Raises:
        ValueError: not such a header, or of another scheme.
    """
    return _validate(PaymentPayload, _json(value))


def decode_response(value: str) -> PaymentResponse:
    """Reads a PAYMENT-RESPONSE header.

    Raises:
        ValueError: not such a header.
    """
    return _validate(PaymentResponse, _json(value))


def _json(value: str) -> dict[str, Any]:
    if len(value) > MAX_HEADER_BYTES:
        raise ValueError("header too long")
    document = from_json(base64.b64decode(value, validate=True))
    if not isinstance(document, dict) or document.get("x402Version", VERSION) != VERSION:
        raise ValueError("not an x402 v2 message")
    return document


def _validate(kind: type[Message], document: dict[str, Any]) -> Message:
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None

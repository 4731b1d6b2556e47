"""The wire format, held against the x402 package itself in both directions."""

from __future__ import annotations

import base64
import json

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st
from x402.http import utils as sdk
from x402.mechanisms.evm.batch_settlement import types as sdk_types
from x402.mechanisms.evm.batch_settlement import utils as sdk_utils
from x402.mechanisms.evm.batch_settlement.client.scheme import BatchSettlementEvmScheme
from x402.mechanisms.evm.batch_settlement.constants import (
    BATCH_SETTLEMENT_ADDRESS,
    ERC3009_DEPOSIT_COLLECTOR_ADDRESS,
)
from x402.schemas import PaymentPayload, PaymentRequired

from depin_desktop.chain.network import Addresses, Network
from depin_desktop.payments import headers as wire
from depin_desktop.payments import vouchers

PAYER = Account.from_key(b"\x01" * 32)
OPERATOR = Account.from_key(b"\x02" * 32)
OWNER = Account.from_key(b"\x03" * 32)
TOKEN = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
NETWORK = Network(
    name="test",
    chain_id=31337,
    rpc_url="http://localhost",
    ws_url="ws://localhost",
    hub_urls=(),
    addresses=Addresses(
        token=TOKEN,
        registry=TOKEN,
        settlement=BATCH_SETTLEMENT_ADDRESS,
        erc3009_collector=ERC3009_DEPOSIT_COLLECTOR_ADDRESS,
        deals=TOKEN,
        multicall3=TOKEN,
    ),
    period_s=60,
    window_s=10,
    min_stake=0,
    suggested_price_per_tib_month=1,
    suggested_price_per_gib_read=1,
)


def requirements(amount: int = 100) -> wire.Requirements:
    return wire.Requirements(
        scheme=wire.SCHEME,
        network="eip155:31337",
        asset=TOKEN,
        amount=amount,
        pay_to=OWNER.address,
        max_timeout_seconds=600,
        extra=wire.Terms(
            name="DePIN Token",
            version="1",
            receiver_authorizer=OPERATOR.address,
            withdraw_delay=86_400,
            min_deposit=1000,
        ),
    )


def required(amount: int = 100) -> wire.PaymentRequired:
    return wire.PaymentRequired(
        error="payment_required", resource=wire.Resource(url="http://node/x"), accepts=(requirements(amount),)
    )


def sdk_payment(amount: int = 100) -> PaymentPayload:
    asked = sdk.decode_payment_required_header(wire.encode(required(amount)))
    assert isinstance(asked, PaymentRequired)
    payload = BatchSettlementEvmScheme(PAYER).create_payment_payload(asked.accepts[0])
    return PaymentPayload(payload=payload, accepted=asked.accepts[0], resource=asked.resource)


def test_the_stock_client_reads_our_402_and_we_read_its_deposit() -> None:
    ours = wire.decode_payload(sdk.encode_payment_signature_header(sdk_payment()))
    config = ours.payload.channel_config
    assert ours.payload.type == "deposit"
    assert ours.payload.deposit is not None
    assert ours.payload.deposit.amount == 1000
    assert (config.payer, config.receiver, config.receiver_authorizer) == (
        PAYER.address,
        OWNER.address,
        OPERATOR.address,
    )
    assert vouchers.channel_id(NETWORK, config) == ours.payload.voucher.channel_id
    assert vouchers.is_signed(NETWORK, config, ours.payload.voucher)
    assert vouchers.is_deposit_signed(NETWORK, PAYER.address, ours.payload.voucher.channel_id, ours.payload.deposit)


def test_our_payment_reads_back_the_same_through_the_package() -> None:
    ours = wire.decode_payload(sdk.encode_payment_signature_header(sdk_payment()))
    theirs = sdk.decode_payment_signature_header(wire.encode(ours.model_copy(update={"accepted": requirements()})))
    assert sdk_types.is_deposit_payload(theirs.payload)
    parsed = sdk_types.DepositPayload.from_dict(theirs.payload)
    assert parsed.channel_config is not None
    assert parsed.voucher is not None
    assert sdk_utils.channel_id_binding_error(parsed.channel_config, parsed.voucher.channel_id, 31337) is None


def test_our_receipt_is_a_settle_response() -> None:
    state = wire.ChannelState(channel_id=b"\x07" * 32, balance=10**20, total_claimed=5, charged_cumulative_amount=7)
    ours = wire.PaymentResponse(
        success=True,
        payer=PAYER.address,
        network="eip155:31337",
        amount="",
        extra=wire.ReceiptDetails(charged_amount=2, channel_state=state),
    )
    theirs = sdk.decode_payment_response_header(wire.encode(ours))
    assert theirs.success
    assert theirs.extra is not None
    assert theirs.extra["chargedAmount"] == "2"
    assert theirs.extra["channelState"]["chargedCumulativeAmount"] == "7"
    assert wire.decode_response(wire.encode(ours)) == ours


@given(st.integers(0, 2**128 - 1))
def test_amounts_survive_the_trip_to_the_unit(amount: int) -> None:
    assert wire.decode_required(wire.encode(required(amount))) == required(amount)


@given(st.binary(max_size=200))
def test_garbage_is_a_value_error_and_nothing_else(junk: bytes) -> None:
    for value in (junk.decode("latin-1"), base64.b64encode(junk).decode()):
        with pytest.raises(ValueError):  # noqa: PT011
            wire.decode_payload(value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("payload", "voucher", "maxClaimableAmount"), "-1"),
        (("payload", "voucher", "maxClaimableAmount"), "1e3"),
        (("payload", "voucher", "maxClaimableAmount"), "٣"),
        (("payload", "voucher", "maxClaimableAmount"), str(2**128)),
        (("payload", "voucher", "channelId"), "0x12"),
        (("payload", "channelConfig", "payer"), "0x12"),
        (("payload", "channelConfig", "withdrawDelay"), 2**41),
        (("payload", "type"), "settle"),
        (("x402Version",), 1),
        (("accepted",), None),
    ],
)
def test_a_malformed_field_is_refused(path: tuple[str, ...], value: object) -> None:
    document = json.loads(base64.b64decode(sdk.encode_payment_signature_header(sdk_payment())))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ValueError):  # noqa: PT011
        wire.decode_payload(base64.b64encode(json.dumps(document).encode()).decode())


def test_only_canonical_signatures_count() -> None:
    voucher = wire.decode_payload(sdk.encode_payment_signature_header(sdk_payment())).payload
    good = voucher.voucher
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high_s = order - int.from_bytes(good.signature[32:64], "big")
    forged = {
        "v of 0 or 1": good.signature[:64] + bytes([good.signature[64] - 27]),
        "high s": good.signature[:32] + high_s.to_bytes(32, "big") + bytes([55 - good.signature[64]]),
        "short": good.signature[:64],
        "zero": bytes(65),
        "other total": good.signature,
    }
    for name, signature in forged.items():
        total = good.max_claimable_amount + (name == "other total")
        forgery = good.model_copy(update={"signature": signature, "max_claimable_amount": total})
        assert not vouchers.is_signed(NETWORK, voucher.channel_config, forgery), name
    assert vouchers.is_signed(NETWORK, voucher.channel_config, good)


def test_the_identifier_is_read_from_x402s_extension() -> None:
    payment = wire.decode_payload(sdk.encode_payment_signature_header(sdk_payment()))
    assert payment.identifier is None
    named = payment.model_copy(update={"extensions": {wire.PAYMENT_IDENTIFIER: {"info": {"id": "a" * 16}}}})
    assert wire.decode_payload(wire.encode(named)).identifier == "a" * 16

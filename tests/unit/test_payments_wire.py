"""Any message of ours survives the wire, and whatever a stranger makes of one is read or refused, never a crash."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from depin_desktop.payments import headers as wire
from depin_desktop.payments import relay_wire

amounts = st.one_of(st.integers(0, 1000), st.integers(0, wire.UINT128_MAX), st.just(wire.UINT128_MAX))
words = st.binary(min_size=32, max_size=32)
signatures = st.binary(min_size=65, max_size=65)
addresses = st.binary(min_size=20, max_size=20).map(lambda raw: wire._checksummed("0x" + raw.hex()))
texts = st.text(max_size=30)


def model(kind: type[BaseModel], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Models of a kind; `st.builds` would fill their aliases as well."""
    return st.fixed_dictionaries(fields).map(lambda values: kind(**values))


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


configs = model(
    wire.ChannelConfig,
    payer=addresses,
    payer_authorizer=addresses,
    receiver=addresses,
    receiver_authorizer=addresses,
    token=addresses,
    withdraw_delay=st.integers(0, 2**40 - 1),
    salt=words,
)
vouchers = model(wire.Voucher, channel_id=words, max_claimable_amount=amounts, signature=signatures)
authorizations = model(
    wire.Erc3009Authorization, valid_after=amounts, valid_before=amounts, salt=words, signature=signatures
)
deposits = model(
    wire.Deposit,
    amount=amounts,
    authorization=model(wire.DepositAuthorization, erc3009_authorization=authorizations),
)
states = model(
    wire.ChannelState,
    channel_id=words,
    balance=amounts,
    total_claimed=amounts,
    withdraw_requested_at=st.integers(0, 2**40),
    charged_cumulative_amount=maybe(amounts),
)
voucher_states = model(wire.VoucherState, signed_max_claimable=maybe(amounts), signature=maybe(signatures))
terms = model(
    wire.Terms,
    name=texts,
    version=texts,
    receiver_authorizer=addresses,
    withdraw_delay=st.integers(0, 2**40),
    min_deposit=maybe(amounts),
    channel_state=maybe(states),
    voucher_state=maybe(voucher_states),
)
ways = model(
    wire.Requirements,
    scheme=st.just(wire.SCHEME),
    network=texts,
    asset=addresses,
    amount=amounts,
    pay_to=addresses,
    max_timeout_seconds=st.integers(0, 2**31),
    extra=terms,
)
resources = model(wire.Resource, url=texts, description=maybe(texts), mime_type=maybe(texts))
required = model(
    wire.PaymentRequired,
    x402_version=st.just(wire.VERSION),
    error=maybe(texts),
    resource=maybe(resources),
    accepts=st.lists(ways, max_size=2).map(tuple),
    extensions=st.none(),
)
payloads = model(
    wire.PaymentPayload,
    x402_version=st.just(wire.VERSION),
    payload=model(
        wire.ChannelPayload,
        type=st.sampled_from(["voucher", "deposit", "refund"]),
        channel_config=configs,
        voucher=vouchers,
        deposit=maybe(deposits),
        amount=maybe(amounts),
    ),
    accepted=model(wire.Accepted, scheme=texts, network=texts, asset=addresses, amount=amounts, pay_to=addresses),
    resource=maybe(resources),
    extensions=st.none(),
)
responses = model(
    wire.PaymentResponse,
    success=st.booleans(),
    error_reason=maybe(texts),
    payer=maybe(texts),
    transaction=texts,
    network=texts,
    amount=maybe(texts),
    extra=maybe(model(wire.ReceiptDetails, charged_amount=maybe(amounts), channel_state=maybe(states))),
)
relayed = model(
    relay_wire.RelayRequest,
    claims=st.lists(
        model(
            relay_wire.RelayedClaim,
            config=configs,
            max_claimable_amount=amounts,
            signature=signatures,
            total_claimed=amounts,
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
    signature=signatures,
)
messages: list[tuple[st.SearchStrategy[Any], Callable[[str], Any]]] = [
    (required, wire.decode_required),
    (payloads, wire.decode_payload),
    (responses, wire.decode_response),
]
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(("made", "decode"), messages)
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_every_message_survives_the_wire(
    made: st.SearchStrategy[Any], decode: Callable[[str], Any], data: st.DataObject
) -> None:
    message = data.draw(made)
    assert decode(wire.encode(message)) == message


@given(relayed)
@settings(max_examples=50, deadline=None)
def test_a_relayed_batch_survives_the_wire(batch: relay_wire.RelayRequest) -> None:
    assert relay_wire.RelayRequest.model_validate_json(batch.model_dump_json(by_alias=True)) == batch


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path to a value inside a JSON document."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return document


@pytest.mark.parametrize(("made", "decode"), messages)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_message_with_anything_in_any_place_is_read_or_refused(
    made: st.SearchStrategy[BaseModel], decode: Callable[[str], Any], data: st.DataObject
) -> None:
    document = json.loads(data.draw(made).model_dump_json(by_alias=True, exclude_none=True))
    path = data.draw(st.sampled_from([(name,) for name in document]) | st.sampled_from(list(places(document))))
    altered = json.dumps(changed(document, path, data.draw(junk)))
    with contextlib.suppress(ValueError):
        read = decode(base64.b64encode(altered.encode()).decode())
        assert decode(wire.encode(read)) == read  # what is read at all is read the same again


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_batch_with_anything_in_any_place_is_read_or_refused(data: st.DataObject) -> None:
    document = json.loads(data.draw(relayed).model_dump_json(by_alias=True))
    path = data.draw(st.sampled_from(list(places(document))))
    altered = json.dumps(changed(document, path, data.draw(junk)))
    with contextlib.suppress(ValidationError):
        relay_wire.RelayRequest.model_validate_json(altered).for_chain()

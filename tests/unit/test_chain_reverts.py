"""Every refusal of every contract becomes a sentence, wherever in the node's error it hides."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.chain.abi import Function, interface
from depin_desktop.chain.contracts import INTERFACES
from depin_desktop.chain.refusals import SENTENCES
from depin_desktop.chain.reverts import decode_revert, revert_of
from depin_desktop.chain.rpc import RpcError

ERRORS = {error.name: error for name in INTERFACES for error in interface(name).errors.values()}
SAMPLES = {"address": "0x" + "ab" * 20, "bytes32": b"\x11" * 32, "string": "text\n\x1b[31m<b>", "bytes": b"\x22" * 5}


def reverted(name: str, *arguments: object) -> bytes:
    return ERRORS[name].encode(*arguments)


@pytest.mark.parametrize("error", ERRORS.values(), ids=lambda error: error.name)
def test_every_error_of_our_contracts_has_its_sentence(error: Function) -> None:
    assert error.name in SENTENCES
    arguments = [SAMPLES.get(parameter.type, 200) for parameter in error.inputs]
    decoded = decode_revert(error.encode(*arguments))
    assert decoded.name == error.name
    assert decoded.message.endswith(".")
    assert "{" not in decoded.message + decoded.remedy
    assert decoded.code.startswith("reverted-")
    assert str(decoded).isprintable()


def test_no_sentence_is_for_an_error_that_does_not_exist() -> None:
    assert SENTENCES.keys() <= ERRORS.keys()


def test_arguments_are_shown_as_people_read_them() -> None:
    assert decode_revert(reverted("WindowClosed", 1_800_000_000)).message == (
        "The challenge window opens at 2027-01-15 08:00:00 UTC."
    )
    assert decode_revert(reverted("StakeTooSmall", 10**18, 10**20)).message == (
        "A stake of 1.00 is below the minimum of 100.00."
    )
    assert decode_revert(reverted("WrongFirstPiece", 7, 3)).message == "The next piece is number 7, not 3."
    told = decode_revert(reverted("NotRegistered", "0x" + "ab" * 20))
    assert told.message == "0xABaBaB…ABaB is not registered as a provider."
    assert "never" in decode_revert(reverted("Expired", 2**64 - 1)).message


def test_solidity_s_own_errors_are_understood() -> None:
    text = bytes.fromhex("08c379a0") + encode(["string"], ["insufficient\nluck"])
    assert decode_revert(text).message == "The contract refused: insufficient luck."
    assert decode_revert(bytes.fromhex("4e487b71") + (0x11).to_bytes(32, "big")).values == {"code": 0x11}
    assert decode_revert(b"").name == "Unknown"


@pytest.mark.parametrize(
    ("code", "message", "wrap"),
    [
        (3, "execution reverted", lambda data: data),  # geth, anvil
        (-32000, "execution reverted", lambda data: {"data": data}),
        (-32603, "Internal error", lambda data: {"originalError": {"code": 3, "data": data}}),
        (-32015, "VM execution error", lambda data: f"Reverted {data}"),  # nethermind, parity
    ],
)
def test_the_data_is_found_wherever_nodes_put_it(code: int, message: str, wrap: object) -> None:
    data = "0x" + reverted("AlreadySeeded", 9).hex()
    found = revert_of(RpcError(code, message, wrap(data)))  # type: ignore[operator]
    assert found is not None
    assert (found.name, found.values) == ("AlreadySeeded", {"period": 9})
    assert found.data == reverted("AlreadySeeded", 9)


def test_data_inside_the_message_is_found() -> None:
    found = revert_of(RpcError(-32000, f"execution reverted: custom error 0x{reverted('NothingOwed').hex()}"))
    assert found is not None
    assert found.name == "NothingOwed"


def test_other_complaints_are_no_refusals() -> None:
    assert revert_of(RpcError(-32000, "insufficient funds for gas * price + value")) is None
    assert revert_of(RpcError(-32005, "limit exceeded")) is None


@given(
    st.binary(max_size=300), st.sampled_from([b"", *(error.selector for error in ERRORS.values()), b"\x08\xc3\x79\xa0"])
)
def test_no_bytes_whatever_break_the_decoder(data: bytes, selector: bytes) -> None:
    assert decode_revert(selector + data).message

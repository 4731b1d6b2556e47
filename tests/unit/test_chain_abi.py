"""The thin codec says the same as web3's, for every function and event of every contract."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st
from web3 import Web3
from web3._utils.events import get_event_data

from depin_desktop.chain.abi import Interface, artifact, creation_code, interface, snake
from depin_desktop.chain.contracts import CONTRACTS

NAMES = tuple(CONTRACTS.values())
FUNCTIONS = [
    (name, item) for name in NAMES for item in artifact(name)["abi"] if item["type"] == "function" and item["inputs"]
]
EVENTS = [(name, item) for name in NAMES for item in artifact(name)["abi"] if item["type"] == "event"]


def values(item: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of an ABI type, in the form that both codecs take."""
    kind: str = item["type"]
    if kind.endswith("[]"):
        return st.lists(values({**item, "type": kind[:-2]}), max_size=3)
    if kind == "tuple":
        return st.tuples(*(values(component) for component in item["components"]))
    if kind == "address":
        return st.binary(min_size=20, max_size=20).map(Web3.to_checksum_address)
    if kind == "bytes32":
        return st.binary(min_size=32, max_size=32)
    if kind == "bytes":
        return st.binary(max_size=100)
    if kind == "string":
        return st.text(max_size=20)
    if kind == "bool":
        return st.booleans()
    assert kind.startswith("uint"), kind
    return st.integers(0, 2 ** int(kind[4:]) - 1)


def overloaded(name: str, item: dict[str, Any]) -> bool:
    same = [one for one in artifact(name)["abi"] if one["type"] == "function" and one["name"] == item["name"]]
    return len(same) > 1


@pytest.mark.parametrize(
    ("name", "item"),
    [pair for pair in FUNCTIONS if not overloaded(*pair)],
    ids=lambda value: value if isinstance(value, str) else value["name"],
)
def test_calls_are_encoded_as_web3_does(name: str, item: dict[str, Any]) -> None:
    contract = Web3().eth.contract(abi=artifact(name)["abi"])

    @settings(max_examples=5)
    @given(st.tuples(*(values(one) for one in item["inputs"])))
    def same(arguments: tuple[Any, ...]) -> None:
        ours = interface(name).functions[item["name"]].encode(*arguments)
        assert "0x" + ours.hex() == contract.encode_abi(item["name"], args=list(arguments))

    same()


def plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return bytes(value)
    return tuple(plain(one) for one in value) if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize(("name", "item"), EVENTS, ids=lambda value: value if isinstance(value, str) else value["name"])
def test_logs_are_decoded_as_web3_does(name: str, item: dict[str, Any]) -> None:
    event = interface(name).event(item["name"])

    @settings(max_examples=5)
    @given(st.tuples(*(values(one) for one in item["inputs"])))
    def same(arguments: tuple[Any, ...]) -> None:
        given_ = list(zip(event.inputs, arguments, strict=True))
        topics = [event.topic, *(encode([p.type], [value]) for p, value in given_ if p.indexed)]
        data = encode([p.type for p in event.plain], [value for p, value in given_ if not p.indexed])
        ours = event.decode(topics, data)
        raw = {
            "topics": topics, "data": data, "address": "0x" + "11" * 20, "blockNumber": 1, "blockHash": bytes(32),
            "transactionHash": bytes(32), "transactionIndex": 0, "logIndex": 0,
        }  # fmt: skip
        theirs = get_event_data(Web3().codec, item, raw)["args"]  # type: ignore[arg-type, typeddict-item]
        if not any(one["type"].startswith("tuple") for one in item["inputs"]):  # web3 names their fields
            assert {snake(key): plain(value) for key, value in theirs.items()} == ours
        assert {p.name: plain(value) for p, value in given_} == ours

    same()


def test_addresses_are_made_readable_at_any_depth() -> None:
    output = {
        "name": "",
        "type": "tuple[]",
        "components": [{"name": "a", "type": "address[]"}, {"name": "n", "type": "uint8"}],
    }
    described = Interface([{"type": "function", "name": "f", "inputs": [], "outputs": [output]}]).functions["f"]
    data = encode(["(address[],uint8)[]"], [[(["0x" + "ab" * 20], 3)]])
    assert described.decode_result(data) == ((((Web3.to_checksum_address("0x" + "ab" * 20),), 3),),)


@pytest.mark.parametrize(
    ("solidity", "python"),
    [("setId", "set_id"), ("firstPieceId", "first_piece_id"), ("minStake_", "min_stake_"), ("stake", "stake")],
)
def test_names_are_written_as_python_does(solidity: str, python: str) -> None:
    assert snake(solidity) == python


@pytest.mark.parametrize("name", NAMES)
def test_every_contract_can_be_deployed_from_its_artifact(name: str) -> None:
    assert len(creation_code(name)) > 1000

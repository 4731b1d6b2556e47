"""The committed artifacts are what the sources compile to, and fit where they are placed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from eth_utils import keccak
from x402.mechanisms.evm.batch_settlement.abi import BATCH_SETTLEMENT_ABI
from x402.mechanisms.evm.batch_settlement.constants import (
    BATCH_SETTLEMENT_ADDRESS,
    ERC3009_DEPOSIT_COLLECTOR_ADDRESS,
)

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = ROOT / "resources" / "contracts"
ARTIFACTS = ROOT / "depin_desktop" / "chain" / "artifacts"
LARGEST_CODE = 24_576  # EIP-170, bytes


def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_artifacts", CONTRACTS / "build_artifacts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def artifact(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ARTIFACTS / f"{name}.json").read_text("utf-8"))
    return loaded


def canonical_type(item: dict[str, Any]) -> str:
    kind = str(item["type"])
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(canonical_type(part) for part in item["components"]) + ")" + kind.removeprefix("tuple")


def signatures(abi: list[dict[str, Any]]) -> set[tuple[str, str, tuple[str, ...]]]:
    """Kind, signature and result types (events: which arguments are indexed) of all functions and events."""
    found = set()
    for item in abi:
        if item["type"] not in ("function", "event"):
            continue
        signature = f"{item['name']}({','.join(canonical_type(one) for one in item['inputs'])})"
        if item["type"] == "function":
            rest = tuple(canonical_type(one) for one in item["outputs"])
        else:
            rest = tuple(str(one["indexed"]) for one in item["inputs"])
        found.add((item["type"], signature, rest))
    return found


@pytest.mark.timeout(300)
def test_the_artifacts_are_what_the_sources_compile_to(tmp_path: Path) -> None:
    build = builder()
    try:
        build.forge()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))  # `dev.py test` always installs them
    texts = build.compile_contracts(tmp_path)
    assert {*ARTIFACTS.glob("*.json"), CONTRACTS / "storage-layout.json"} == set(texts)
    for path, text in texts.items():
        assert path.read_text("utf-8") == text, (
            f"{path.name} differs: run python3 resources/contracts/build_artifacts.py"
        )


@pytest.mark.parametrize("path", sorted(ARTIFACTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_contract_may_be_deployed(path: Path) -> None:
    code = bytes.fromhex(artifact(path.stem)["deployedBytecode"].removeprefix("0x"))
    assert 0 < len(code) <= LARGEST_CODE


def test_a_proof_finds_what_it_reads_in_four_slots() -> None:
    layout = json.loads((CONTRACTS / "storage-layout.json").read_text("utf-8"))
    slots = {line.partition("+")[0] for line in layout["StorageDeals"]["struct DataSets.Set"]}
    assert slots == {"0", "1", "2", "3", "4"}  # the customer's, which a proof does not need, is the first


@pytest.mark.parametrize("name", ["BatchSettlement", "ERC3009DepositCollector", "Multicall3"])
def test_code_placed_by_genesis_needs_no_constructor(name: str) -> None:
    loaded = artifact(name)
    assert loaded["immutables"] == []
    assert not any(item["type"] == "constructor" for item in loaded["abi"])


def test_batch_settlement_has_all_of_x402s_interface() -> None:
    assert signatures(BATCH_SETTLEMENT_ABI) <= signatures(artifact("BatchSettlement")["abi"])


def test_the_collector_trusts_the_address_that_x402_uses() -> None:
    code = artifact("ERC3009DepositCollector")["deployedBytecode"]
    assert BATCH_SETTLEMENT_ADDRESS.removeprefix("0x").lower() in code
    assert ERC3009_DEPOSIT_COLLECTOR_ADDRESS == "0x4020806089470a89826cB9fB1f4059150b550004"


def test_multicall_answers_to_the_usual_selectors() -> None:
    usual = ("aggregate((address,bytes)[])", "tryAggregate(bool,(address,bytes)[])")
    usual += ("aggregate3((address,bool,bytes)[])", "getEthBalance(address)")
    code = bytes.fromhex(artifact("Multicall3")["deployedBytecode"].removeprefix("0x"))
    for signature in usual:
        assert b"\x63" + keccak(text=signature)[:4] in code  # PUSH4 selector

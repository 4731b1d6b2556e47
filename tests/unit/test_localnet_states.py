"""Saved chain states: the newest sound one is found, whatever happened to the others."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from depin_desktop.core.errors import UserFacingError
from depin_desktop.localnet.chain_state import KEEP, ChainStates
from depin_desktop.localnet.traces import without_traces


def state(height: int) -> bytes:
    return json.dumps({"accounts": {}, "best_block_number": height, "blocks": []}).encode()


def dump(height: int) -> str:
    return "0x" + gzip.compress(state(height), mtime=0).hex()


@pytest.fixture
def states(tmp_path: Path) -> ChainStates:
    return ChainStates(tmp_path / "chain")


def restored(states: ChainStates) -> int:
    """The height of the state that anvil would load."""
    return int(json.loads(states.restore().read_bytes())["best_block_number"])


def test_a_new_chain_has_none(states: ChainStates) -> None:
    assert states.empty
    states.keep(dump(1))
    assert not states.empty


def test_the_last_one_kept_is_the_one_restored(states: ChainStates) -> None:
    for height in range(1, 12):
        path = states.keep(dump(height))
        assert gzip.decompress(path.read_bytes()) == state(height)
        assert restored(states) == height
    assert len(list(states.folder.glob("state-*"))) == KEEP


@pytest.mark.parametrize("wrong", ["0x", "0x00", "zz", dump(1)[:-2], dump(1)[:20], dump(1)[:-20] + "00" * 10])
def test_what_is_not_whole_is_never_written(states: ChainStates, wrong: str) -> None:
    kept = states.keep(dump(1))
    with pytest.raises(ValueError, match=r"anvil|hex"):
        states.keep(wrong)
    assert list(states.folder.iterdir()) == [kept]


def test_what_anvil_wrote_at_its_end_counts_when_it_is_newer(states: ChainStates) -> None:
    kept = states.keep(dump(1))
    states.exit_file.write_bytes(state(2))
    later = kept.stat().st_mtime_ns + 1
    os.utime(states.exit_file, ns=(later, later))
    assert restored(states) == 2
    newer = states.keep(dump(3))
    os.utime(newer, ns=(later + 1, later + 1))
    assert restored(states) == 3


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 0.999), damaged=st.integers(1, KEEP - 1), at_exit=st.booleans())
def test_a_cut_off_file_is_passed_over(states: ChainStates, cut: float, damaged: int, at_exit: bool) -> None:
    kept = [states.keep(dump(height)) for height in range(KEEP)]
    files = kept[-damaged:]
    if at_exit:
        states.exit_file.write_bytes(state(99))
        files.append(states.exit_file)
    else:
        states.exit_file.unlink(missing_ok=True)
    for path in files:
        data = path.read_bytes()
        stamp = path.stat().st_mtime_ns
        path.write_bytes(data[: int(len(data) * cut)])
        os.utime(path, ns=(stamp, stamp))
    assert restored(states) == KEEP - damaged - 1


def test_when_all_are_damaged_that_is_said_and_nothing_is_deleted(states: ChainStates) -> None:
    path = states.keep(dump(1))
    path.write_bytes(b"{")
    with pytest.raises(UserFacingError) as failure:
        states.restore()
    assert failure.value.code == "chain-state-damaged"
    assert path.exists()


MINED = {"info": {"traces": [{"trace": {"data": "0x6a"}}], "nonce": 1}, "receipt": {"status": "0x1"}, "block_number": 7}


def dump_of(transactions: object) -> str:
    whole = {"accounts": {}, "blocks": [{"transactions": ["0x1"]}], "transactions": transactions}
    return "0x" + gzip.compress(json.dumps(whole, separators=(",", ":")).encode()).hex()


def transactions_of(state: str) -> object:
    return json.loads(gzip.decompress(bytes.fromhex(state[2:])))["transactions"]


def test_only_what_has_traces_and_is_old_enough_is_given_back_without_them() -> None:
    lean = {**MINED, "info": {"traces": [], "nonce": 1}}
    dumped = dump_of([MINED, {**MINED, "block_number": 9}, lean, {**MINED, "block_number": 8}])
    (given,) = without_traces(dumped, 8)
    assert transactions_of(given) == [lean, {**lean, "block_number": 8}]
    assert list(without_traces(dump_of([]), 8)) == []
    assert [len(transactions_of(one)) for one in without_traces(dump_of([MINED] * 1001), 8)] == [500, 500, 1]


@pytest.mark.parametrize(
    "other", [[{}], [{"info": {}, "block_number": 1}], [{**MINED, "block_number": "0x7"}], [7], [MINED, "…"]]
)
def test_a_dump_of_another_kind_is_left_alone(other: list[object]) -> None:
    with pytest.raises(ValueError, match="not known"):
        list(without_traces(dump_of(other), 8))


@pytest.mark.parametrize("text", ["{}", '{"transactions":[', '{"transactions":[{"info":'])
def test_a_dump_that_ends_too_soon_is_left_alone(text: str) -> None:
    with pytest.raises(ValueError, match=r"without|Expecting"):
        list(without_traces("0x" + gzip.compress(text.encode()).hex(), 8))

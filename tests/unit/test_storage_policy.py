"""The storage service's decisions, as tables."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.api.models import FolderState, ServiceState
from depin_desktop.core.units import GIB, MIB, SECONDS_PER_MONTH, TIB
from depin_desktop.services.storage import policy
from depin_desktop.services.storage.policy import FolderFacts, ServiceFacts

GB = 10**9
GAS_SNAPSHOT = Path(__file__).parents[2] / "resources" / "contracts" / "snapshots" / "deals.json"


def facts(**changes) -> FolderFacts:
    return FolderFacts(
        **{"allocated": 10 * GB, "stored": 0, "reserved": 0, "disk_free": 50 * GB, "keep_free": GB, **changes}
    )


@given(price=st.integers(0, 10**24), period=st.integers(1, 10**6))
def test_a_months_price_is_never_undercut_by_rounding(price: int, period: int):
    per_leaf = policy.leaf_period_price(price, period)
    month = per_leaf * (TIB // 256) * SECONDS_PER_MONTH / period
    assert month >= price * (1 - 1e-9)
    assert policy.leaf_period_price(policy.tib_month_price(per_leaf, period), period) in (per_leaf, per_leaf - 1)


@pytest.mark.parametrize(
    ("count", "price"), [(0, 1), (1, 931_323), (GIB // 2, 5 * 10**14), (GIB, 10**15), (3 * GIB, 3 * 10**15)]
)
def test_reads_cost_by_the_byte_rounded_up_and_never_nothing(count: int, price: int):
    assert policy.read_price(count, 10**15) == price


@given(st.integers(1, 2**34))
def test_a_footprint_covers_the_piece_and_its_layer(size: int):
    layer = 32 * -(-size // 65536) if size > 65536 else 0
    assert size + layer <= policy.footprint(size) < size + layer + 2 * 4096


@pytest.mark.parametrize(
    ("changes", "room"),
    [
        ({}, 10 * GB),
        ({"stored": 4 * GB, "reserved": GB}, 5 * GB),
        ({"disk_free": 3 * GB}, 2 * GB),
        ({"disk_free": 3 * GB, "reserved": GB}, GB),
        ({"disk_free": GB // 2}, 0),
        ({"stored": 11 * GB}, 0),
        ({"leaving": True}, 0),
        ({"fault": FolderState.SLOW}, 0),
    ],
)
def test_room(changes: dict, room: int):
    assert policy.room(facts(**changes)) == room


@pytest.mark.parametrize(
    ("changes", "state", "word"),
    [
        ({}, FolderState.OK, ""),
        ({"stored": 10 * GB}, FolderState.FULL, "in use"),
        ({"disk_free": GB}, FolderState.FULL, "free on this disk"),
        ({"stored": 11 * GB}, FolderState.SHRINKING, "until customers leave"),
        ({"stored": 11 * GB, "leaving": True}, FolderState.LEAVING, "until the customers' deals end"),
        ({"stored": 11 * GB, "leaving": True, "fault": FolderState.MISSING}, FolderState.MISSING, ""),
        ({"fault": FolderState.READ_ONLY}, FolderState.READ_ONLY, ""),
    ],
)
def test_folder_state(changes: dict, state: FolderState, word: str):
    assert policy.folder_state(facts(**changes)) is state
    detail = policy.folder_detail(facts(**changes))
    assert word in detail
    assert bool(detail) == bool(word)


@pytest.mark.parametrize(
    ("rooms", "need", "chosen"), [([], 1, None), ([5], 6, None), ([5, 9, 7], 6, 1), ([0], 0, 0), ([3, 3], 3, 0)]
)
def test_the_folder_with_most_room_is_chosen(rooms: list[int], need: int, chosen: int | None):
    assert policy.choose(rooms, need) == chosen


@given(st.integers(0, 10**6), st.integers(5, 10**5))
def test_poking_in_turns_leaves_nine_tenths_of_the_window(period: int, window: int):
    assert 0 <= policy.poke_delay_s("0xabc", period, window) <= window / 10


@given(st.lists(st.integers(-100, 10**6), max_size=5), st.integers(5, 86_400))
def test_the_next_look_is_neither_too_soon_nor_too_late(moments: list[int], period: int):
    wait = policy.next_round_s(moments, 0, period_s=period)
    assert 1 <= wait <= 60
    assert wait <= max(1, period / 4)
    assert not moments or wait <= max(1, min(moments))


def test_retries_double_and_respect_the_deadline():
    assert [policy.retry_s(n, 10**6) for n in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]
    assert policy.retry_s(6, 20) == 5
    assert policy.retry_s(6, 0) == 1


@pytest.mark.parametrize(
    ("owed", "fee", "proofs", "running", "expected"),
    [
        (0, 0, 0, False, False),
        (0, None, 100, False, False),
        (1, 0, 0, True, True),  # gas costs nothing
        (5000, 100, 0, True, True),
        (4999, 100, 0, True, False),
        (101, 100, 0, False, True),  # nothing more comes
        (100, 100, 0, False, False),
        (1, None, policy.PROOFS_PER_SETTLING, True, True),  # nobody says what gas is worth
        (10**30, None, policy.PROOFS_PER_SETTLING - 1, True, False),
        (1, None, 0, False, True),
    ],
)
def test_settling(owed: int, fee: int | None, proofs: int, running: bool, expected: bool):
    assert policy.worth_settling(owed, fee, proofs=proofs, running=running) is expected


def test_settling_adds_a_fiftieth_at_most_to_what_proving_costs():
    gas = {name: int(figure) for name, figure in json.loads(GAS_SNAPSHOT.read_text()).items()}
    proof, settling = gas["prove 1 GiB, 1 piece, later"], gas["settle, first"]
    assert Fraction(settling, proof * policy.PROOFS_PER_SETTLING) <= policy.MAX_FEE_SHARE
    assert policy.settle_every_s(60, private=True) == 60
    assert policy.settle_every_s(60, private=False) == 86_400


@pytest.mark.parametrize(
    ("escrow", "paid", "fee", "expected"),
    [
        (1, 0, 0, True),
        (0, 10, 0, False),
        (11, 10, 10, True),
        (10, 10, 10, False),  # it is worth no more than its fee
        (11, 9, 10, False),  # the customer has not paid for it
        (1, 1, None, True),
        (1, 0, None, False),
    ],
)
def test_giving_an_escrow_back(escrow: int, paid: int, fee: int | None, expected: bool):
    assert policy.worth_giving_back(escrow, paid, fee) is expected


OK, MISSING, FULL = FolderState.OK, FolderState.MISSING, FolderState.FULL


@pytest.mark.parametrize(
    ("changes", "state", "word"),
    [
        ({"folders": ()}, ServiceState.OFF, "No folder"),
        ({"folders": (MISSING,), "damaged_pieces": 2}, ServiceState.FAULT, "missing"),
        ({"folders": (MISSING, MISSING)}, ServiceState.FAULT, "None of"),
        ({"damaged_pieces": 2, "missed_period_at": 90.0}, ServiceState.ATTENTION, "2 stored pieces"),
        ({"missed_period_at": 90.0, "folders": (OK, MISSING)}, ServiceState.ATTENTION, "missed 10 s ago"),
        ({"folders": (OK, MISSING), "chain_problem": "x"}, ServiceState.ATTENTION, "missing"),
        ({"chain_problem": "The chain is away."}, ServiceState.ATTENTION, "The chain is away."),
        ({"sharing": False, "data_sets": 3}, ServiceState.PAUSED, "Paused"),
        ({"data_sets": 1}, ServiceState.EARNING, "first proof"),
        ({"data_sets": 2, "last_proven_at": 40.0}, ServiceState.EARNING, "2 data sets, proven 1 min ago"),
        ({"folders": (FULL,)}, ServiceState.IDLE, "Full"),
        ({}, ServiceState.IDLE, "nobody"),
    ],
)
def test_one_state_and_one_reason(changes: dict, state: ServiceState, word: str):
    base = {
        "sharing": True,
        "folders": (OK,),
        "chain_problem": "",
        "damaged_pieces": 0,
        "missed_period_at": None,
        "data_sets": 0,
        "last_proven_at": None,
        "now": 100.0,
    }
    found, reason = policy.service_state(ServiceFacts(**{**base, **changes}))
    assert found is state
    assert word in reason
    assert reason.endswith(".")


def test_the_default_leaves_the_machine_some_space():
    assert policy.default_keep_free(100 * GB) == 5 * GB
    assert policy.default_keep_free(20_000 * GB) == 10 * GB
    assert policy.footprint(MIB) == MIB + 4096

"""Gas of the contracts, from the snapshots that the forge tests hold to the unit, beside the figures of others.

x402's are those that its repository commits (contracts/evm/snapshots/X402BatchSettlementGasTest.json); ours beside them
are measured under x402's own settings: no base cost, no calldata, warm slots. All others are whole transactions.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

from tests.benchmarks.table import Row

SNAPSHOTS = Path(__file__).resolve().parents[2] / "resources" / "contracts" / "snapshots"
X402 = {
    "claim 1 voucher": 40_252,
    "claim 10 vouchers": 192_043,
    "settle": 31_204,
    "deposit by pull, first": 84_770,
    "deposit by ERC-3009, first": 111_738,
    "refund": 43_859,
    "refundWithSignature": 53_670,
}
ASKED = {"prove 1 GiB, 1 piece, later": "≤ 195000", "prove 64 GiB, 64 pieces, later": "≤ 225000"}
BY_PIECES = [f"{n} GiB, {n} piece{'s' if n > 1 else ''}" for n in (1, 2, 4, 8, 16, 32, 64)]
BY_SIZE = ["128 MiB, 1 piece", "256 MiB, 1 piece", "512 MiB, 1 piece", "1 GiB, 1 piece"]
PERIODS = {"a period of 1 set of 1 GiB": 1, "a period of 10 sets of 1 GiB": 10, "a period of 100 sets of 1 GiB": 100}


def snapshot(group: str) -> dict[str, int]:
    """The figures of one group, by what was measured."""
    told = json.loads((SNAPSHOTS / f"{group}.json").read_text("utf-8"))
    return {name: int(gas) for name, gas in told.items()}


def growth(deals: dict[str, int], shapes: list[str]) -> list[float]:
    """By how many per cent a later proof grows from one shape to the next, of which each is the double of the last."""
    costs = [deals[f"prove {shape}, later"] for shape in shapes]
    return [100 * (after / before - 1) for before, after in pairwise(costs)]


def rows() -> list[Row]:
    """A row for each measured operation."""
    found = []
    for name, gas in snapshot("x402").items():
        theirs = X402.get(name)
        bound = "≤ 1" if theirs else ""
        found.append(Row(f"as x402 measures: {name}", gas, "gas", theirs, "x402" if theirs else "", bound))
    deals = snapshot("deals")
    for doubled, shapes in (("pieces", BY_PIECES), ("a piece, to 1 GiB", BY_SIZE)):
        steps = growth(deals, shapes)
        for which, value in (("mean", sum(steps) / len(steps)), ("largest", max(steps))):
            found.append(Row(f"deals: growth for each doubling of {doubled}, {which}", value, "%", bound="≤ 3"))
    for group in ("deals", "settlement", "registry", "token"):
        for name, gas in snapshot(group).items():
            found.append(Row(f"{group}: {name}", gas, "gas", bound=ASKED.get(name, "")))
            if (sets := PERIODS.get(name, 1)) > 1:
                found.append(Row(f"{group}: {name}, each set", gas / sets, "gas"))
    return found

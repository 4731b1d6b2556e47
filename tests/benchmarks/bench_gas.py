"""Gas of the contracts, from the snapshots that the forge tests hold to the unit."""

from __future__ import annotations

import json
from pathlib import Path

from tests.benchmarks.table import Row

SNAPSHOTS = Path(__file__).resolve().parents[2] / "resources" / "contracts" / "snapshots"


def rows() -> list[Row]:
    """A row for each measured operation; whole transactions, base and calldata included."""
    found = []
    for path in sorted(SNAPSHOTS.glob("*.json")):
        for name, gas in json.loads(path.read_text("utf-8")).items():
            found.append(Row(f"{path.stem}: {name}", float(gas), "gas"))
    return found

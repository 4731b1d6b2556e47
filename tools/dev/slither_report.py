"""slither's findings of high and medium impact, each held against the reason why it is none.

The reasons are in resources/contracts/slither-explained.json, by detector and place. A finding without a reason fails,
and so does a reason without its finding: it would hide the next one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tools.dev.places import CONTRACTS

EXPLAINED = CONTRACTS / "slither-explained.json"
GRAVE = ("High", "Medium")


def place_of(element: dict[str, Any]) -> str:
    """Where a finding is, such as "StorageDeals.prove" or "StorageDeals.prove.cursor": stable while lines move."""
    parent = element.get("type_specific_fields", {}).get("parent")
    return f"{place_of(parent)}.{element['name']}" if parent else str(element["name"])


def findings(report: Path) -> dict[str, str]:
    """Detector and place of every grave finding, with slither's description.

    Raises:
        ValueError: slither did not come to its end.
    """
    told = json.loads(report.read_text("utf-8"))
    if not told["success"]:
        raise ValueError(f"slither failed: {told['error']}")
    grave = (one for one in told["results"].get("detectors", ()) if one["impact"] in GRAVE)
    return {f"{one['check']}: {place_of(one['elements'][0])}": one["description"] for one in grave}


def unexplained(found: dict[str, str], reasons: Iterable[str]) -> tuple[list[str], list[str]]:
    """Findings without a reason, and reasons without a finding."""
    known = set(reasons)
    return sorted(set(found) - known), sorted(known - set(found))


def judge(report: Path) -> list[str]:
    """What is wrong with a report, in sentences; nothing when every finding is explained."""
    found = findings(report)
    new, stale = unexplained(found, json.loads(EXPLAINED.read_text("utf-8")))
    return [f"not explained: {name}\n{found[name]}" for name in new] + [f"no longer found: {name}" for name in stale]

"""The tables of docs/economics.md: each figure by its formula and, beside it, by simulation.

    python tests/benchmarks/economics.py            print the tables
    python tests/benchmarks/economics.py --trials N simulate with N data sets a cell

The simulation draws challenges as the contract does: keccak256(seed, set, i) mod leaves.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb

from eth_hash.auto import keccak

CHALLENGES = 5  # StorageDeals.CHALLENGES
FAULT_PERIODS = 10  # StorageDeals.FAULT_PERIODS
LEAVES = 2**22  # of 1 GiB
LOST = (0.001, 0.01, 0.05, 0.1, 0.5)
PERIODS = (1, 7, 30, 90)
CODES = ((1, 1), (2, 3), (3, 5), (4, 8), (10, 20))
FAILING = (0.01, 0.05, 0.1)
CAP, FIRST = 1_000_000_000, 400_000_000  # tokens: Emission.CAP and Plan.token_supply
YEARS = (1, 2, 3, 5, 10, 20, 64)


@dataclass(frozen=True)
class Cell:
    """One figure: by the formula, and how often it came out in so many trials."""

    formula: float
    simulated: float
    trials: int

    @property
    def agrees(self) -> bool:
        """Whether the simulation lies within four standard deviations of the formula, and one more trial."""
        deviation = (self.formula * (1 - self.formula) / self.trials) ** 0.5
        return abs(self.formula - self.simulated) <= 4 * deviation + 1 / self.trials


def unnoticed(lost: float, periods: int) -> float:
    """The chance that a provider who lost this fraction of a data set passes every challenge of so many periods."""
    return (1 - lost) ** (CHALLENGES * periods)


def drawn(seed: bytes, set_id: bytes, leaves: int) -> Iterable[int]:
    """A period's challenged leaves, as the contract draws them."""
    return (int.from_bytes(keccak(seed + set_id + i.to_bytes(32, "big"))) % leaves for i in range(CHALLENGES))


def periods_until_noticed(luck: random.Random, lost: float, at_most: int) -> int:
    """How many periods one data set, whose first leaves are lost, is proven; where they lie does not matter."""
    set_id, gone = luck.randbytes(32), int(lost * LEAVES)
    for period in range(at_most):
        if any(leaf < gone for leaf in drawn(luck.randbytes(32), set_id, LEAVES)):
            return period
    return at_most


def detection(trials: int, luck: random.Random) -> list[tuple[float, list[Cell]]]:
    """For each lost fraction the chances to stay unnoticed, by periods."""
    table = []
    for lost in LOST:
        survived = [periods_until_noticed(luck, lost, PERIODS[-1]) for _ in range(trials)]
        cells = [Cell(unnoticed(lost, n), sum(one >= n for one in survived) / trials, trials) for n in PERIODS]
        table.append((lost, cells))
    return table


def segment_lost(needed: int, total: int, failing: float) -> float:
    """The chance that fewer than `needed` of `total` providers still have their piece, when each fails on its own."""
    return sum(comb(total, left) * (1 - failing) ** left * failing ** (total - left) for left in range(needed))


def survival(trials: int, luck: random.Random) -> list[tuple[tuple[int, int], list[Cell]]]:
    """For each code the chances to lose a segment before it is repaired, by the providers' chance to fail."""
    table = []
    for needed, total in CODES:
        cells = []
        for failing in FAILING:
            lost = sum(sum(luck.random() >= failing for _ in range(total)) < needed for _ in range(trials))
            cells.append(Cell(segment_lost(needed, total, failing), lost / trials, trials))
        table.append(((needed, total), cells))
    return table


def loss_over_saving(lost: float) -> float:
    """What dropping a fraction costs in expectation, over the most that it can save: the pay for that fraction.

    A fault costs the period's pay and FAULT_PERIODS times as much of the stake, while no cap of the registry applies.
    """
    return (1 - unnoticed(lost, 1)) * (1 + FAULT_PERIODS) / lost


def emitted(years: int) -> int:
    """Whole tokens that the schedule has released after so many years; the contract counts in base units."""
    kept = CAP - FIRST
    for _ in range(years):
        kept = kept * 85 / 100
    return round(CAP - FIRST - kept)


def percent(value: float) -> str:
    """Three significant digits, and no false zero."""
    return "< 0.0001 %" if 0 < value < 1e-6 else f"{100 * value:.3g} %"


def lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def tables(trials: int, *, seed: int = 1) -> dict[str, str]:
    """Every table by its name; each cell is "formula (simulated)"."""
    luck = random.Random(seed)

    def shown(cells: Sequence[Cell]) -> list[str]:
        return [f"{percent(cell.formula)} ({percent(cell.simulated)})" for cell in cells]

    return {
        "detection": lines(
            ["lost", *(f"{n} period{'s' if n > 1 else ''}" for n in PERIODS)],
            ([percent(lost), *shown(cells)] for lost, cells in detection(trials, luck)),
        ),
        "cheating": lines(
            ["dropped", "noticed per period", "costs so many times what it saves"],
            (
                [percent(lost), percent(1 - unnoticed(lost, 1)), f"{loss_over_saving(lost):.1f}"]
                for lost in (*LOST, 1.0)
            ),
        ),
        "survival": lines(
            ["code", *(f"each fails with {percent(failing)}" for failing in FAILING)],
            ([f"{k} of {n}", *shown(cells)] for (k, n), cells in survival(10 * trials, luck)),
        ),
        "emission": lines(
            ["after years", "emitted", "in all", "of the cap"],
            (
                [f"{n}", f"{emitted(n):,}", f"{FIRST + emitted(n):,}", f"{100 * (FIRST + emitted(n)) / CAP:.3f} %"]
                for n in YEARS
            ),
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    for name, table in tables(parser.parse_args().trials).items():
        sys.stdout.write(f"{name}\n\n{table}\n\n")


if __name__ == "__main__":
    main()

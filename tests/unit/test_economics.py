"""docs/economics.md says what the formulas say, and the formulas say what a simulation finds."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.benchmarks import economics

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "economics.md").read_text("utf-8")


def test_the_simulation_finds_what_the_formulas_say() -> None:
    luck = random.Random(3)
    cells = [cell for _, row in economics.detection(200, luck) for cell in row]
    cells += [cell for _, row in economics.survival(4000, luck) for cell in row]
    assert len(cells) == len(economics.LOST) * len(economics.PERIODS) + len(economics.CODES) * len(economics.FAILING)
    assert all(cell.agrees for cell in cells)


def test_a_simulation_that_is_off_is_noticed() -> None:
    assert economics.Cell(0.5, 0.51, 2000).agrees
    assert not economics.Cell(0.5, 0.6, 2000).agrees


@pytest.mark.parametrize("name", ["detection", "cheating", "survival", "emission"])
def test_the_document_has_the_tables_that_the_command_prints(name: str) -> None:
    for line in economics.tables(1)[name].splitlines():
        formulas = [cell.partition(" (")[0] for cell in line.strip("| ").split(" | ")]
        assert any(
            [cell.partition(" (")[0] for cell in written.strip("| ").split(" | ")] == formulas
            for written in DOCUMENT.splitlines()
        ), line


def test_a_year_of_the_schedule_is_the_contract_s() -> None:
    assert economics.emitted(1) == 90_000_000  # 15 % of the reserve
    assert economics.emitted(2) - economics.emitted(1) == 76_500_000  # 85 % of that

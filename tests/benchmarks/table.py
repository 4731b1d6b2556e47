"""One row a figure, with its baseline from the same run and the ratio between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A figure; `bound` is what the project asks of the ratio (or of the figure, where there is no baseline)."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    against: str = ""
    bound: str = ""

    @property
    def ratio(self) -> float | None:
        return None if not self.baseline else self.value / self.baseline

    @property
    def met(self) -> str:
        """ "yes", "no", or nothing where no bound is set."""
        if not self.bound:
            return ""
        sign, limit = self.bound.split()[:2]
        measured = self.value if self.ratio is None else self.ratio
        good = measured >= float(limit) if sign == "≥" else measured <= float(limit)
        return "yes" if good else "no"

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        baseline = "" if self.baseline is None else f"{self.baseline:,.1f}"
        value = f"{self.value:,.0f}" if self.value >= 1000 else f"{self.value:.3g}"
        return (self.name, value, self.unit, baseline, self.against, ratio, self.bound, self.met)


HEAD = ("what", "measured", "unit", "baseline", "of", "ratio", "asked", "met")


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [HEAD, tuple("---" for _ in HEAD), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)

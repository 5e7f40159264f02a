"""The stages of an attack as a table and a sentence."""

from __future__ import annotations

from dataclasses import dataclass

from palpate.report.model.schema import AttackResults
from palpate.report.model.schema_stages import StageResult
from palpate.report.model.words import percent


@dataclass(frozen=True)
class TableRow:
    """One stage at all budgets.

    Attributes:
        stage: its name.
        cells: what it did at each budget.
        won: images over all budgets.
        passes: passes over all budgets.
        share: their part of the passes of all stages.
    """

    stage: str
    cells: tuple[StageResult, ...]
    won: int
    passes: int
    share: float


def table(attack: AttackResults) -> list[TableRow]:
    """The stages that some image came to, in their order."""
    total = sum(point.passes for point in attack.stages)
    rows = []
    for cells in zip(*(point.stages for point in attack.stages), strict=True):
        passes = sum(one.passes for one in cells)
        if passes:
            rows.append(TableRow(cells[0].stage, cells, sum(one.won for one in cells), passes, passes / total))
    return rows


def sentence(attack: AttackResults) -> str:
    """Which stages found the beaten images, and where most passes went; empty for an attack without stages."""
    rows = table(attack)
    if not rows:
        return ""
    found = ", ".join(f"{row.won} by {row.stage}" for row in sorted(rows, key=lambda row: -row.won) if row.won)
    most = max(rows, key=lambda row: row.passes)
    said = f"Images beaten, counted once at each budget: {found or 'none'}. "
    said += f"{percent(most.share)} of the passes went to {most.stage}."
    if attack.kind == "gradient-free":
        said += " The model gives no gradient, so stages that need one did not run."
    return said

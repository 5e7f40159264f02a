"""What each stage of an attack did at each budget, for `results.json`."""

from __future__ import annotations

from palpate.metrics.panel import Outcome
from palpate.metrics.stages import attacked, carried, stage_rows
from palpate.report.model.description import AttackDescription
from palpate.report.model.schema_stages import StagePoint, StageResult


def measure_stages(attack: AttackDescription, outcome: Outcome) -> list[StagePoint]:
    """One entry per budget; empty for an attack without stages, and for runs of an earlier palpate."""
    points = []
    for budget, eps in enumerate(outcome.eps.tolist()):
        rows = stage_rows(outcome, attack.stages, budget)
        if not rows:
            return []
        points.append(
            StagePoint(
                eps=eps,
                came=int(attacked(outcome, budget).sum()),
                carried=carried(outcome, budget),
                passes=sum(row.passes for row in rows),
                stages=[StageResult.model_validate(row, from_attributes=True) for row in rows],
            )
        )
    return points

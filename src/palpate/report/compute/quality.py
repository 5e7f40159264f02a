"""The two judgements of each goal: the quality of its attacks, and the precision of its figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

from palpate.metrics.findings import HealthFinding
from palpate.metrics.validity import strength
from palpate.metrics.validity.health import leaves_budget
from palpate.metrics.validity.quality import SAMPLE, Evidence, ProbeOutcome, attack_quality, precision
from palpate.report.compute.reading import RunReading
from palpate.report.model.description_quality import ProbedGoal
from palpate.report.model.schema import WorstCase
from palpate.report.model.schema_quality import GoalJudgement, IndicatorResult

_BROKEN = ("run.json", "All attacks ran")


def judge_goal(reading: RunReading, worst: WorstCase, findings: Sequence[HealthFinding]) -> GoalJudgement:
    """Judge the figures of one goal.

    Args:
        reading: the run.
        worst: the figures of all attacks of the goal together.
        findings: what the checks of the whole run found, and what the audit noticed.
    """
    quality = attack_quality(_evidence(reading, worst.goal, findings))
    figures = [point.figure for point in worst.points if point.figure.low is not None and point.figure.high is not None]
    widest = max(figures, key=lambda figure: (figure.high or 0.0) - (figure.low or 0.0), default=None)
    resampling = reading.resampling
    precise = precision(
        None if widest is None else widest.low,
        None if widest is None else widest.high,
        0 if widest is None else widest.total or 0,
        resampling.groups,
        resampling.clustered,
    )
    return GoalJudgement(
        goal=worst.goal,
        quality=quality.degree,
        quality_reasons=list(quality.reasons),
        indicators=[
            IndicatorResult(name=one.name, sign=one.sign, text=one.text, fix=one.fix) for one in quality.indicators
        ],
        precision=precise.degree,
        precision_reasons=list(precise.reasons),
    )


def kinds_of(reading: RunReading) -> dict[str, strength.AttackKind]:
    """How each attack with records climbs."""
    kinds: dict[str, strength.AttackKind] = {}
    for attack in reading.description.attacks:
        outcome = reading.outcome(attack)
        if outcome is not None:
            kinds[outcome.attack] = strength.kind(outcome, attack.steps)
    return kinds


def _evidence(reading: RunReading, goal: str, findings: Sequence[HealthFinding]) -> Evidence:
    description = reading.description
    probed = _probed(reading, goal)
    # An attack that leaves its budget says nothing about images within it.
    outcomes = [one for one in reading.panel.of(goal) if not leaves_budget(one)]
    climbs = any(one.backwards.any() for one in outcomes)
    return Evidence(
        outcomes=outcomes,
        kinds=kinds_of(reading),
        probes=None
        if probed is None
        else [ProbeOutcome(one.probe, one.attack, one.tried, len(one.won)) for one in probed.probes],
        survivors=0 if probed is None else probed.survivors,
        eps="" if probed is None else description.data.written(probed.eps),
        unstable=_said(findings, "Steady decisions") or _said(findings, "random model"),
        gradients=climbs,
        finished=description.status == "finished",
        blocked=_said(findings, "gradients"),
        failures=tuple(one.text for one in findings if one.name in _BROKEN and one.level == "failure"),
        searches={attack.name: attack.searches for attack in description.attacks},
        done=() if probed is None else probed.done,
        by="" if probed is None else probed.by,
        share=0.0 if probed is None else _share(reading, probed),
    )


def _probed(reading: RunReading, goal: str) -> ProbedGoal | None:
    """The probes of a goal; None if the plan switched them off, or an older palpate made the run."""
    quality = reading.description.quality
    return None if quality is None else next((one for one in quality.goals if one.goal == goal), None)


def _share(reading: RunReading, probed: ProbedGoal) -> float:
    """The value of quality.share that pays for enough images, rounded up; 0 if the plan asks for fewer."""
    quality = reading.description.quality
    if quality is None or quality.images < SAMPLE or not probed.spent:
        return 0.0
    return math.ceil(20 * SAMPLE * probed.each / probed.spent) / 20


def _said(findings: Sequence[HealthFinding], name: str) -> str:
    """What a check or the audit found wrong; empty if it found nothing."""
    return next((one.text for one in findings if one.name == name and one.level in ("failure", "warning")), "")

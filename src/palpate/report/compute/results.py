"""All figures of a run, for `results.json` and for the report."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from palpate.metrics.artefacts import broken_outputs
from palpate.metrics.clinical import attacked_directions, clean_directions
from palpate.metrics.intervals import LEVEL
from palpate.metrics.pairs import holm
from palpate.metrics.panel import Floats, Outcome
from palpate.metrics.robustness import (
    beaten_within,
    budgets_of,
    clean_accuracy,
    clean_attackable,
    median_eps,
    reach,
    robust_accuracy,
    smallest_eps,
    success_rate,
    within_budget,
    worst_case,
    worst_success,
)
from palpate.metrics.validity.health import leaves_budget
from palpate.metrics.validity.strength import compare, kind, strongest
from palpate.report.compute.artefacts.figures import measure_artefacts
from palpate.report.compute.budgets import budgets
from palpate.report.compute.certificates.figures import measure_certificates
from palpate.report.compute.grading import directions_of, grading_of, worst_direction_rows, worst_grading
from palpate.report.compute.learned import measure_learned
from palpate.report.compute.minimum import measure_smallest
from palpate.report.compute.reading import UNTARGETED, RunReading, read
from palpate.report.compute.series import all_series
from palpate.report.compute.stability.figures import measure_stability
from palpate.report.compute.stages import measure_stages
from palpate.report.compute.subgroups import all_subgroups
from palpate.report.compute.survival import measure_survival
from palpate.report.compute.validity import judge
from palpate.report.compute.verdict import make_verdict
from palpate.report.model.description import AttackDescription
from palpate.report.model.schema import (
    AttackPoint,
    AttackResults,
    Clean,
    Comparison,
    Intervals,
    Results,
    SmallestEps,
    WorstCase,
    WorstPoint,
)
from palpate.storage.runs import RunFolder

NOTICE = "Synthetic images; not for diagnosis. Adversarial images are made from the audited images to test a model."


def summarise(run: RunFolder) -> dict[str, Any]:
    """All figures of a run as plain data, in the shape of `docs/reference/results.schema.json`.

    Raises:
        StorageError: the run folder is missing, damaged, or was written by a newer palpate.
    """
    return measure(run).model_dump(mode="json")


def measure(run: RunFolder) -> Results:
    """All figures of a run, typed.

    Raises:
        StorageError: the run folder is missing, damaged, or was written by a newer palpate.
    """
    return measure_reading(run, read(run))


def measure_reading(run: RunFolder, reading: RunReading) -> Results:
    """All figures of a run that was read already.

    Raises:
        StorageError: rows of artefacts or traces are missing or damaged.
    """
    description = reading.description
    clean, worst = _clean(reading), [_worst(reading, goal) for goal in reading.panel.goals]
    directions, validity = worst_direction_rows(reading), judge(reading, worst, broken_outputs(run.artefact_frame()))
    attacks = [_attack(reading, attack) for attack in description.attacks]
    series, froc = all_series(reading)
    verdict = make_verdict(description, clean, worst, directions, series)
    shared = ("status", "title", "palpate", "created", "finished", "seed", "task", "model", "data", "threat", "gates")
    return Results(
        notice=NOTICE,
        **{name: getattr(description, name) for name in (*shared, "versions", "machine", "tuning")},
        verdict=verdict,
        validity=validity,
        clean=clean,
        attacks=attacks,
        artefacts=measure_artefacts(run, reading, worst),
        certificates=measure_certificates(run, reading),
        worst_case=worst,
        worst_directions=directions,
        worst_grading=worst_grading(reading),
        series=series,
        budgets=budgets(reading),
        survival=measure_survival(reading, verdict.eps),
        stability=measure_stability(run, reading),
        subgroups=all_subgroups(reading, verdict.eps),
        froc=froc,
        comparisons=[row for goal in reading.panel.goals for row in _comparisons(reading, goal)],
        intervals=Intervals(
            level=LEVEL,
            groups=reading.resampling.groups,
            clustered=reading.resampling.clustered,
            replicates=reading.resampling.replicates,
            seed=reading.resampling.seed,
        ),
    )


def _clean(reading: RunReading) -> Clean:
    images, share = reading.panel.images, clean_accuracy(reading.panel.images)
    everyone = np.ones(images.count, dtype=bool)
    disease = reading.description.task.disease
    return Clean(
        accuracy=reading.proportion(share),
        attackable=reading.proportion(clean_attackable(images), "No image has anything to lose."),
        nothing_to_lose=int((~images.attackable).sum()),
        per_class=reading.per_class(share),
        directions=directions_of(reading, clean_directions(images, disease)),
        grading=grading_of(reading, images.clean_prediction, images.disease_score, everyone),
    )


def _attack(reading: RunReading, attack: AttackDescription) -> AttackResults:
    outcome = reading.outcome(attack)
    shared = {name: getattr(attack, name) for name in ("name", "item", "catalog", "goal", "summary", "parameters")}
    shared |= {"reference": attack.reference, "robust_to": attack.robust_to, "seconds": attack.seconds}
    if outcome is None:
        nothing = SmallestEps(median=None, fallen=0, eligible=0)
        return AttackResults(
            **shared, kind=None, images=0, eligible=0, outside_budget=0, points=[], smallest_eps=nothing,
            forwards=0, backwards=0,
        )  # fmt: skip
    outside = outcome.success & ~within_budget(outcome)
    return AttackResults(
        **shared,
        kind=kind(outcome, attack.steps),
        images=int(outcome.covered.sum()),
        eligible=int(outcome.eligible.sum()),
        outside_budget=int(outside.any(axis=0).sum()),
        points=[_point(reading, outcome, budget) for budget in range(outcome.eps.size)],
        smallest_eps=_smallest(smallest_eps(outcome)),
        smallest_change=measure_smallest(reading, outcome),
        stages=measure_stages(attack, outcome),
        learned_changes=measure_learned(reading, attack, outcome),
        forwards=int(outcome.forwards.sum()),
        backwards=int(outcome.backwards.sum()),
    )


def _point(reading: RunReading, outcome: Outcome, budget: int) -> AttackPoint:
    images, eps = reading.panel.images, float(outcome.eps[budget])
    success = success_rate(outcome, budget)
    robust = robust_accuracy(images, outcome, budget) if outcome.goal == UNTARGETED else None
    disease = reading.description.task.disease
    return AttackPoint(
        eps=eps,
        fraction=reading.fraction(eps),
        success_rate=reading.proportion(success, "No image could be attacked."),
        robust_accuracy=None if robust is None else reading.proportion(robust),
        standing=int((outcome.eligible & outcome.recorded[budget] & ~outcome.success[budget]).sum()),
        held=int((outcome.eligible & ~outcome.success[budget] & outcome.held[budget]).sum()),
        per_class=reading.per_class(success if robust is None else robust),
        directions=directions_of(reading, attacked_directions(images, outcome, budget, disease)),
        grading=grading_of(
            reading, outcome.prediction[budget], outcome.disease_score[budget], outcome.recorded[budget]
        ),
    )


def _smallest(smallest: Floats) -> SmallestEps:
    return SmallestEps(
        median=median_eps(smallest),
        fallen=int(np.isfinite(smallest).sum()),
        eligible=int((~np.isnan(smallest)).sum()),
    )


def _worst(reading: RunReading, goal: str) -> WorstCase:
    images, outcomes = reading.panel.images, reading.panel.of(goal)
    share = worst_case if goal == UNTARGETED else worst_success
    points = []
    for eps in budgets_of(outcomes):
        together = share(images, outcomes, eps)
        points.append(
            WorstPoint(
                eps=eps,
                fraction=reading.fraction(eps),
                figure=reading.proportion(together),
                per_class=reading.per_class(together),
            )
        )
    found = reach(outcomes, [outcome.success for outcome in outcomes], images.count)
    smallest = np.full(images.count, np.inf)
    for eps in reversed(budgets_of(outcomes)):
        smallest[beaten_within(found, eps)] = eps
    eligible = worst_success(images, outcomes, 0.0).among
    return WorstCase(
        goal=goal,
        attacks=[outcome.attack for outcome in outcomes],
        points=points,
        smallest_eps=_smallest(np.where(eligible, smallest, np.nan)),
    )


def _comparisons(reading: RunReading, goal: str) -> list[Comparison]:
    """The strongest attack of a goal with each other one, where attacks differ most: joint success nearest to one half.

    Other pairs are not tested, so Holm's adjustment covers every test that is made. Attacks that left their budget
    are left out: at the same eps they were not under the same constraint.
    """
    ran = [reading.outcome(attack) for attack in reading.description.attacks]
    outcomes = [one for one in ran if one is not None and one.goal == goal and not leaves_budget(one)]
    images, best = reading.panel.images, strongest(outcomes)
    if best is None or len(outcomes) < 2:
        return []
    rates = {eps: worst_success(images, outcomes, eps).value for eps in budgets_of(outcomes)}
    telling = min(rates, key=lambda eps: (abs(rates[eps] - 0.5) if rates[eps] == rates[eps] else 1.0, eps))
    pairs = [
        (first, second, pair)
        for first, second in combinations(outcomes, 2)
        if best in (first, second)
        for eps, pair in compare(first, second, images.group)
        if eps == telling
    ]
    adjusted = holm([pair.p_value for _, _, pair in pairs])
    return [
        Comparison(
            goal=goal, eps=telling, first=first.attack, second=second.attack, both=pair.both,
            only_first=pair.only_first, only_second=pair.only_second, neither=pair.neither,
            p=pair.p_value, p_holm=p_holm,
        )
        for (first, second, pair), p_holm in zip(pairs, adjusted, strict=True)
    ]  # fmt: skip

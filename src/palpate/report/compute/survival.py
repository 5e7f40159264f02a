"""Success before and after post-processing: per attack, per budget and per step, and in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from palpate.metrics.intervals import Share
from palpate.metrics.pairs import holm, paired
from palpate.metrics.panel import Bools, Outcome
from palpate.metrics.robustness import success_rate, within_budget
from palpate.metrics.survival import SurvivalShares, saved_difference, survival, together
from palpate.report.compute.reading import RunReading
from palpate.report.compute.survival_words import sentences
from palpate.report.model.description import AttackDescription, PostProcessingDescription
from palpate.report.model.schema_clinic import (
    AttackSurvival,
    RobustToGain,
    RobustToGainRow,
    SurvivalCell,
    SurvivalPoint,
    SurvivalResults,
)

NO_IMAGE = "No image could be attacked."
NOT_MEASURED = "Not measured on any image."
NO_SUCCESS = "No image was beaten before."


def measure_survival(reading: RunReading, eps: float | None) -> SurvivalResults:
    """All figures of survival from the records.

    Args:
        reading: the run.
        eps: the budget of the verdict; None takes the largest one.
    """
    outcomes = reading.panel.outcomes
    steps, planned = reading.description.handlings, reading.description.attacks
    if not any(outcome.handled.shape[2] for outcome in outcomes):
        return SurvivalResults(handlings=[], eps=eps, sentences=[], attacks=[], bought=[], unpaired=[])
    largest = max(float(outcome.eps.max()) for outcome in outcomes)
    headline = largest if eps is None else eps
    attacks = [_together(reading, goal, steps) for goal in reading.panel.goals]
    attacks += [_attack(reading, attack, outcome, steps) for attack in planned if (outcome := reading.outcome(attack))]
    bought, unpaired = _bought(reading, headline)
    return SurvivalResults(
        handlings=steps,
        eps=headline,
        sentences=sentences(reading.description, attacks, bought, headline),
        attacks=attacks,
        bought=bought,
        unpaired=unpaired,
    )


def _attack(
    reading: RunReading, attack: AttackDescription, outcome: Outcome, steps: Sequence[PostProcessingDescription]
) -> AttackSurvival:
    points = [
        SurvivalPoint(
            eps=float(eps),
            before=reading.proportion(success_rate(outcome, budget), NO_IMAGE),
            saved_linf=saved_difference(outcome, budget),
            cells=[_cell(reading, one.name, survival(outcome, budget, place)) for place, one in enumerate(steps)],
        )
        for budget, eps in enumerate(outcome.eps)
    ]
    return AttackSurvival(attack=attack.name, goal=attack.goal, robust_to=attack.robust_to, points=points)


def _together(reading: RunReading, goal: str, steps: Sequence[PostProcessingDescription]) -> AttackSurvival:
    outcomes, count = reading.panel.of(goal), reading.panel.images.count
    points = []
    for eps in sorted({float(eps) for outcome in outcomes for eps in outcome.eps}):
        saved = [saved_difference(one, int(at)) for one in outcomes for at in np.flatnonzero(one.eps == eps)]
        points.append(
            SurvivalPoint(
                eps=eps,
                before=reading.proportion(_beaten(outcomes, eps, count), NO_IMAGE),
                saved_linf=float(np.fmax.reduce(saved)),
                cells=[
                    _cell(reading, one.name, together(outcomes, eps, place, count)) for place, one in enumerate(steps)
                ],
            )
        )
    return AttackSurvival(attack=None, goal=goal, robust_to=[], points=points)


def _beaten(outcomes: Sequence[Outcome], eps: float, images: int) -> Share:
    """Images that some attack beat at exactly this budget, where post-processing was measured."""
    among: Bools = np.zeros(images, dtype=bool)
    hits = among.copy()
    for outcome in outcomes:
        for budget in np.flatnonzero(outcome.eps == eps):
            among |= outcome.eligible & outcome.recorded[budget]
            hits |= outcome.success[budget] & within_budget(outcome)[budget]
    return Share(hits, among)


def _cell(reading: RunReading, name: str, shares: SurvivalShares) -> SurvivalCell:
    return SurvivalCell(
        handling=name,
        before=reading.proportion(shares.before, NOT_MEASURED),
        after=reading.proportion(shares.after, NOT_MEASURED),
        survived=reading.proportion(shares.survived, NO_SUCCESS),
        alone=reading.proportion(shares.alone, NOT_MEASURED),
    )


def _bought(reading: RunReading, eps: float) -> tuple[list[RobustToGain], list[str]]:
    """Each attack with `robust_to` and the attack that differs only in that, and those that have no such partner."""
    planned = reading.description.attacks
    bought, unpaired = [], []
    for attack in planned:
        if not attack.robust_to:
            continue
        plain = next((one for one in planned if not one.robust_to and _same(one, attack)), None)
        first, second = reading.outcome(attack), None if plain is None else reading.outcome(plain)
        if plain is None:
            unpaired.append(attack.name)
        elif first is not None and second is not None and eps in first.eps and eps in second.eps:
            bought.append(_pair(reading, (attack, first), (plain, second), eps))
    return bought, unpaired


def _same(first: AttackDescription, second: AttackDescription) -> bool:
    settings = [
        (one.catalog, one.goal, {key: value for key, value in one.parameters.items() if key != "robust_to"})
        for one in (first, second)
    ]
    return settings[0] == settings[1]


def _pair(
    reading: RunReading, robust: tuple[AttackDescription, Outcome], plain: tuple[AttackDescription, Outcome], eps: float
) -> RobustToGain:
    (attack, first), (other, second) = robust, plain
    at, there = int(np.searchsorted(first.eps, eps)), int(np.searchsorted(second.eps, eps))
    pairs = [("", success_rate(first, at), success_rate(second, there))]
    pairs += [
        (one.name, survival(first, at, place).after, survival(second, there, place).after)
        for place, one in enumerate(reading.description.handlings)
    ]
    # The same images count for both attacks.
    pairs = [(name, Share(a.hits, a.among & b.among), Share(b.hits, a.among & b.among)) for name, a, b in pairs]
    groups = reading.panel.images.group
    tests = [paired(a.hits[a.among], b.hits[b.among], groups[a.among]) for _, a, b in pairs]
    rows = [
        RobustToGainRow(
            handling=name,
            climbed=name in attack.robust_to,
            success=reading.proportion(a, NOT_MEASURED),
            plain_success=reading.proportion(b, NOT_MEASURED),
            only_attack=test.only_first,
            only_plain=test.only_second,
            p=test.p_value,
            p_holm=p_holm,
        )
        for (name, a, b), test, p_holm in zip(pairs, tests, holm([one.p_value for one in tests]), strict=True)
    ]
    return RobustToGain(
        attack=attack.name, plain=other.name, eps=eps, rows=rows, passes=_passes(first), plain_passes=_passes(second)
    )


def _passes(outcome: Outcome) -> float | None:
    eligible = int(outcome.eligible.sum())
    return float(outcome.backwards.sum()) / eligible if eligible else None

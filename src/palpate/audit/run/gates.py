"""Gates: limits of a plan, measured on the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palpate.audit.plan.sections.gates import ANY, CLEAN
from palpate.metrics.clinical import INVENTED, MISSED, attacked_directions, clean_directions, worst_directions
from palpate.metrics.grading import quadratic_kappa
from palpate.metrics.intervals import Share
from palpate.metrics.panel import Bools, Floats, Images, Ints, Outcome, Panel
from palpate.metrics.robustness import clean_accuracy, robust_accuracy, success_rate, worst_case, worst_success
from palpate.metrics.worst import lowest, within, worst_grades
from palpate.units import radius

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan
    from palpate.audit.plan.sections.gates import GateSection


@dataclass(frozen=True)
class Gate:
    """The result of one gate.

    Attributes:
        text: the condition in words.
        value: the measured figure; None if it is undefined, which never passes.
        passed: whether the condition holds.
    """

    text: str
    value: float | None
    passed: bool


def measured(plan: Plan, panel: Panel) -> list[Gate]:
    """Every gate of the plan, in its order, on the records of a finished run."""
    return [_measured(plan, gate, panel) for gate in plan.gates]


def _measured(plan: Plan, gate: GateSection, panel: Panel) -> Gate:
    value = _value(plan, gate, panel)
    low = -np.inf if gate.at_least is None else gate.at_least
    high = np.inf if gate.at_most is None else gate.at_most
    # Comparisons with NaN are false: a figure that cannot be measured does not pass.
    return Gate(_words(gate), None if np.isnan(value) else value, bool(low <= value <= high))


def _words(gate: GateSection) -> str:
    limit = f"at least {gate.at_least:g}" if gate.at_least is not None else f"at most {gate.at_most:g}"
    figure = gate.metric.replace("_", " ")
    if gate.eps is None:
        return f"{figure}{'' if figure.startswith('clean') else ' of clean images'}: {limit}"
    attack = "any attack" if gate.attack == ANY else f"'{gate.attack}'"
    return f"{figure} under {attack} at eps {gate.eps}: {limit}"


def _value(plan: Plan, gate: GateSection, panel: Panel) -> float:
    disease, classes = plan.task.disease_indices, len(plan.task.names)
    if gate.eps is None or gate.attack == CLEAN:
        return _clean(gate.metric, panel.images, disease, classes)
    eps = radius(gate.eps, plan.scale)
    if gate.attack == ANY:
        return _worst(gate.metric, panel, eps, disease, classes)
    outcome = next(outcome for outcome in panel.outcomes if outcome.attack == gate.attack)
    return _attacked(gate.metric, panel.images, outcome, eps, disease, classes)


def _clean(metric: str, images: Images, disease: Sequence[int], classes: int) -> float:
    if metric == "clean_accuracy":
        return clean_accuracy(images).value
    if metric == "clean_score":
        return _mean(images.score)
    if metric == "kappa":
        return _kappa(images, images.clean_prediction, np.ones(images.count, dtype=bool), classes)
    return _direction(metric, clean_directions(images, disease))


def _attacked(metric: str, images: Images, outcome: Outcome, eps: float, disease: Sequence[int], classes: int) -> float:
    budget = int(np.searchsorted(outcome.eps, eps))
    if metric == "robust_accuracy":
        return robust_accuracy(images, outcome, budget).value
    if metric == "success_rate":
        return success_rate(outcome, budget).value
    if metric == "score":
        return _mean(outcome.scores[budget][images.attackable])
    if metric == "kappa":
        return _kappa(images, outcome.prediction[budget], outcome.recorded[budget], classes)
    return _direction(metric, attacked_directions(images, outcome, budget, disease))


def _worst(metric: str, panel: Panel, eps: float, disease: Sequence[int], classes: int) -> float:
    if metric == "robust_accuracy":
        return worst_case(panel.images, panel.of("untargeted"), eps).value
    if metric == "success_rate":
        return worst_success(panel.images, panel.outcomes, eps).value
    if metric == "score":
        fits = [within(outcome, eps) for outcome in panel.outcomes]
        scores = lowest(panel.images.score, [outcome.scores for outcome in panel.outcomes], fits)
        return _mean(scores[panel.images.attackable])
    if metric == "kappa":
        everyone = np.ones(panel.images.count, dtype=bool)
        return _kappa(
            panel.images, worst_grades(panel.images, panel.outcomes, eps, everyone, classes), everyone, classes
        )
    return _direction(metric, worst_directions(panel.images, panel.outcomes, eps, disease))


def _direction(metric: str, shares: dict[str, Share]) -> float:
    missed, invented = shares[MISSED].value, shares[INVENTED].value
    return {
        "missed_disease": missed,
        "invented_disease": invented,
        "sensitivity": 1 - missed,
        "specificity": 1 - invented,
    }[metric]


def _mean(scores: Floats) -> float:
    """Over the images where the score is defined; NaN if there is none."""
    known = scores[np.isfinite(scores)]
    return float(known.mean()) if known.size else float("nan")


def _kappa(images: Images, prediction: Ints, among: Bools, classes: int) -> float:
    statistic = quadratic_kappa(images.label, prediction, among, classes)
    return float(statistic(np.ones((1, images.count)))[0])

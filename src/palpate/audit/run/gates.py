"""Gates: limits of a plan, measured on the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palpate.audit.plan.certificates import gated_level
from palpate.audit.plan.sections.gates import ANY, CERTIFIED, CLEAN
from palpate.metrics.artefacts import ArtefactOutcome, arrange_artefacts
from palpate.metrics.certificates import CertificateOutcome, arrange_certificates
from palpate.metrics.clinical import INVENTED, MISSED, attacked_directions, clean_directions, worst_directions
from palpate.metrics.grading import quadratic_kappa
from palpate.metrics.intervals import Share
from palpate.metrics.panel import Bools, Floats, Images, Ints, Outcome, Panel
from palpate.metrics.robustness import clean_accuracy, robust_accuracy, success_rate, worst_case, worst_success
from palpate.metrics.worst import lowest, within, worst_grades
from palpate.storage.frames import Frame
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


def measured(plan: Plan, panel: Panel, artefacts: Frame | None = None, certificates: Frame | None = None) -> list[Gate]:
    """Every gate of the plan, in its order.

    Args:
        plan: with the scale of the images.
        panel: the records of a finished run.
        artefacts: the rows of its artefacts.
        certificates: the rows of its certificates.
    """
    tried = [] if artefacts is None else arrange_artefacts(artefacts, plan.task.disease_indices)
    found = {one.name: one for one in tried}
    bounds = [] if certificates is None else arrange_certificates(certificates)

    def value(gate: GateSection) -> float:
        if gate.metric in CERTIFIED:
            return _certified(plan, gate, bounds)
        return _value(plan, gate, panel) if gate.artefact is None else _artefact(gate, found[gate.artefact])

    return [_measured(gate, value(gate)) for gate in plan.gates]


def _measured(gate: GateSection, value: float) -> Gate:
    low = -np.inf if gate.at_least is None else gate.at_least
    high = np.inf if gate.at_most is None else gate.at_most
    # Comparisons with NaN are false: a figure that cannot be measured does not pass.
    return Gate(worded(gate), None if np.isnan(value) else value, bool(low <= value <= high))


def worded(gate: GateSection) -> str:
    """A gate in words."""
    limit = f"at least {gate.at_least:g}" if gate.at_least is not None else f"at most {gate.at_most:g}"
    figure = gate.metric.replace("_", " ")
    if gate.metric in CERTIFIED:
        noise = "" if gate.sigma is None else f" with sigma {gate.sigma}"
        return f"{figure} within L2 {gate.radius}{noise}: {limit}"
    if gate.artefact is not None:
        how = "the worst found of" if gate.worst else f"severity {gate.severity} of"
        return f"{figure} at {how} '{gate.artefact}': {limit}"
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


def _artefact(gate: GateSection, outcome: ArtefactOutcome) -> float:
    """The mean over random artefacts of a severity, or over the worst found of each image."""
    place = 0 if gate.severity is None else gate.severity - 1
    worst = outcome.found
    values = {
        "robust_accuracy": worst.right.astype(np.float64) if gate.worst else outcome.right[place],
        "score": worst.score if gate.worst else outcome.score[place],
        "missed_disease": worst.missed if gate.worst else outcome.missed[place],
        "invented_disease": worst.invented if gate.worst else outcome.invented[place],
    }
    return _mean(values[gate.metric])


def _certified(plan: Plan, gate: GateSection, outcomes: Sequence[CertificateOutcome]) -> float:
    """The lower bound over the certified images."""
    sigma, length = gated_level(plan, gate)
    outcome = next(one for one in outcomes if one.sigma == sigma)
    place = int(np.flatnonzero(outcome.radii == length)[0])
    if gate.metric == "certified_accuracy":
        return _mean(outcome.least.acceptable[place].astype(np.float64))
    return _mean(outcome.least.score[place])


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

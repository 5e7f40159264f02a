"""The figures of a grader or detector, and the clinical direction of its errors: per attack and in the worst case."""

from __future__ import annotations

from palpate.metrics.clinical import INVENTED, MISSED, is_disease, worst_directions
from palpate.metrics.grading import area_under_roc, quadratic_kappa, sensitivity, specificity
from palpate.metrics.intervals import Share
from palpate.metrics.panel import Bools, Floats, Ints
from palpate.metrics.robustness import budgets_of, seen
from palpate.metrics.worst import disease_scores, worst_grades
from palpate.report.compute.reading import RunReading
from palpate.report.model.schema import Directions, Grading, WorstDirections, WorstGrading
from palpate.report.model.typed import Figure

_NO_DISEASE = "No disease image counts here."
_NO_HEALTHY = "No healthy image counts here."


def directions_of(reading: RunReading, shares: dict[str, Share]) -> Directions | None:
    """Missed and invented disease; None if the plan names no disease."""
    if not reading.description.task.directions:
        return None
    return Directions(
        missed_disease=reading.proportion(shares[MISSED], _NO_DISEASE),
        invented_disease=reading.proportion(shares[INVENTED], _NO_HEALTHY),
    )


def grading_of(reading: RunReading, prediction: Ints, score: Floats, among: Bools) -> Grading:
    """Kappa where the classes have an order; sensitivity, specificity and area where the plan names disease."""
    task, label = reading.description.task, reading.panel.images.label
    sens = spec = area = None
    if task.directions:
        sens = reading.proportion(sensitivity(label, prediction, among, task.disease), _NO_DISEASE)
        spec = reading.proportion(specificity(label, prediction, among, task.disease), _NO_HEALTHY)
        area = _area(reading, score, among)
    kappa = _kappa(reading, prediction, among)
    return Grading(quadratic_kappa=kappa, sensitivity=sens, specificity=spec, area_under_roc=area)


def _kappa(reading: RunReading, prediction: Ints, among: Bools) -> Figure | None:
    task = reading.description.task
    if task.kind != "ordinal":
        return None
    statistic = quadratic_kappa(reading.panel.images.label, prediction, among, len(task.classes))
    return reading.statistic(statistic, "Fewer than two grades occur, so agreement beyond chance has no meaning.")


def _area(reading: RunReading, score: Floats, among: Bools) -> Figure:
    positive = is_disease(reading.panel.images.label, reading.description.task.disease)
    note = "It needs a disease and a healthy image, and finite scores."
    return reading.statistic(area_under_roc(positive, score, among), note)


def worst_grading(reading: RunReading) -> list[WorstGrading]:
    """The worst case over all attacks and goals, image by image; nothing without an order and without disease."""
    task, images, outcomes = reading.description.task, reading.panel.images, reading.panel.outcomes
    if task.kind != "ordinal" and not task.directions:
        return []
    among, rows = seen(outcomes, images.count), []
    for eps in budgets_of(outcomes):
        kappa = sens = spec = area = None
        if task.kind == "ordinal":
            kappa = _kappa(reading, worst_grades(images, outcomes, eps, among, len(task.classes)), among)
        if task.directions:
            wrong = worst_directions(images, outcomes, eps, task.disease)
            sens, spec = (
                reading.proportion(Share(~wrong[name].hits, wrong[name].among), note)
                for name, note in ((MISSED, _NO_DISEASE), (INVENTED, _NO_HEALTHY))
            )
            area = _area(reading, disease_scores(images, outcomes, eps, task.disease), among)
        grading = Grading(quadratic_kappa=kappa, sensitivity=sens, specificity=spec, area_under_roc=area)
        rows.append(WorstGrading(eps=eps, fraction=reading.fraction(eps), grading=grading))
    return rows


def worst_direction_rows(reading: RunReading) -> list[WorstDirections]:
    """Missed and invented disease over all attacks and goals together; nothing if the plan names no disease."""
    images, outcomes = reading.panel.images, reading.panel.outcomes
    rows = []
    for eps in budgets_of(outcomes):
        directions = directions_of(reading, worst_directions(images, outcomes, eps, reading.description.task.disease))
        if directions is not None:
            rows.append(WorstDirections(eps=eps, fraction=reading.fraction(eps), directions=directions))
    return rows

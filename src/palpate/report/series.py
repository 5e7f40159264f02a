"""Figures per structure, finding and class of boxes: one list of series that tables, charts and sentences read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from palpate.metrics import measures
from palpate.metrics.measures import FindingRead
from palpate.metrics.panel import Bools, Floats, Lists, Outcome
from palpate.report.description import Measure, visible
from palpate.report.reading import Reading
from palpate.report.schema import Figure, Series, SeriesPoint

LONG_TAILED = frozenset({"hd95"})
"""Measures of which one bad image makes the mean meaningless: the median is given as well."""
ABSENT = "It is defined in no image that counts here."

Better = Literal["higher", "lower", ""]
Statistic = Literal["mean", "median", "share", "pooled"]


@dataclass(frozen=True, eq=False)
class State:
    """All images as stored, or under one attack at one budget.

    Attributes:
        recorded: (N,) images that have a record.
        measures: (N, M) the task's measures.
        found: (N,) what the model found, flat.
        scores: (N,) how good the decisions are.
    """

    recorded: Bools
    measures: Floats
    found: Lists
    scores: Floats


def clean_state(reading: Reading) -> State:
    """The images as stored."""
    images = reading.panel.images
    return State(np.ones(images.count, dtype=bool), images.measures, images.found, images.score)


def attacked_state(outcome: Outcome, budget: int) -> State:
    """The images under an attack."""
    return State(outcome.recorded[budget], outcome.measures[budget], outcome.found[budget], outcome.scores[budget])


Look = Callable[[State], tuple[Figure, int]]
"""A figure of a state, and the number of images where it is undefined."""


def along(
    reading: Reading, name: str, part: str, statistic: Statistic, unit: str, better: Better, look: Look, *,
    clean: bool = True,
) -> Series:  # fmt: skip
    """One series: the figure without an attack (unless it makes no sense) and under every attack at every budget."""
    before, undefined = look(clean_state(reading)) if clean else (None, 0)
    return Series(
        name=name,
        part=part,
        statistic=statistic,
        unit=unit,
        better=better,
        clean=before,
        clean_undefined=undefined,
        attacks={visible(outcome.attack): _points(outcome, look) for outcome in reading.panel.outcomes},
    )


def _points(outcome: Outcome, look: Look) -> list[SeriesPoint]:
    points = []
    for budget, eps in enumerate(outcome.eps):
        figure, undefined = look(attacked_state(outcome, budget))
        points.append(SeriesPoint(eps=float(eps), figure=figure, undefined=undefined))
    return points


def score_series(reading: Reading) -> list[Series]:
    """The mean score of the images, under the score's name."""
    task = reading.description.task

    def look(state: State) -> tuple[Figure, int]:
        undefined = measures.undefined_count(state.scores, state.recorded)
        return reading.mean(state.scores, state.recorded, ABSENT), undefined

    return [along(reading, task.score, "", "mean", "", "higher", look)] if not task.classification else []


def measure_series(reading: Reading) -> list[Series]:
    """Mean of every measure of the records, and the median of those with a long tail."""
    series = []
    for index, measure in enumerate(reading.description.task.measures):
        series.append(_measured(reading, index, measure, "mean"))
        if measure.name in LONG_TAILED:
            series.append(_measured(reading, index, measure, "median"))
    return series


def _measured(reading: Reading, index: int, measure: Measure, statistic: Literal["mean", "median"]) -> Series:
    def look(state: State) -> tuple[Figure, int]:
        values = state.measures[:, index]
        undefined = measures.undefined_count(values, state.recorded)
        if statistic == "mean":
            return reading.mean(values, state.recorded, ABSENT), undefined
        return reading.statistic(measures.median(values, state.recorded), ABSENT), undefined

    return along(reading, measure.name, measure.part, statistic, measure.unit, measure.better, look)


def structure_series(reading: Reading) -> list[Series]:
    """Success per structure: at or below the task's floor now, above it before."""
    task, images = reading.description.task, reading.panel.images
    floor = task.floor
    if task.kind != "segmentation" or floor is None:
        return []
    series = []
    for index, measure in enumerate(task.measures):
        if measure.name != task.score or not measure.part:
            continue

        def look(state: State, index: int = index) -> tuple[Figure, int]:
            share = measures.lost(images.measures[:, index], state.measures[:, index], state.recorded, floor)
            return reading.proportion(share, "The structure is acceptable in no image that counts here."), 0

        series.append(along(reading, "success", measure.part, "share", "", "lower", look, clean=False))
    return series


def finding_series(reading: Reading) -> list[Series]:
    """Sensitivity, specificity, area under the ROC curve and success of every finding of a multi-label model."""
    task, images = reading.description.task, reading.panel.images
    if task.kind != "multilabel":
        return []
    width = len(task.classes)
    truth = measures.table(images.truth, width)
    thresholds = measures.spread(task.operating.thresholds, width)
    made: list[Series] = []
    for index, (name, threshold) in enumerate(zip(task.classes, thresholds, strict=True)):

        def read(state: State, index: int = index, threshold: float = threshold) -> FindingRead:
            probability = np.where(state.recorded, measures.table(state.found, width)[:, index], np.nan)
            return FindingRead(truth[:, index], probability, threshold)

        made += _finding(reading, name, read)
    return made


def _finding(reading: Reading, name: str, read: Callable[[State], FindingRead]) -> list[Series]:
    before = read(clean_state(reading))

    def sensitivity(state: State) -> tuple[Figure, int]:
        return reading.proportion(read(state).sensitivity, "No image that counts here has the finding."), 0

    def specificity(state: State) -> tuple[Figure, int]:
        return reading.proportion(read(state).specificity, "No image that counts here is without the finding."), 0

    def area(state: State) -> tuple[Figure, int]:
        note = "It needs an image with and one without the finding."
        return reading.statistic(read(state).area_under_roc, note), 0

    def success(state: State) -> tuple[Figure, int]:
        return reading.proportion(read(state).turned(before), "The finding was read rightly in no image."), 0

    return [
        along(reading, "sensitivity", name, "share", "", "higher", sensitivity),
        along(reading, "specificity", name, "share", "", "higher", specificity),
        along(reading, "area_under_roc", name, "pooled", "", "higher", area),
        along(reading, "success", name, "share", "", "lower", success, clean=False),
    ]


def all_series(reading: Reading) -> list[Series]:
    """Every series of a run, in the order in which a report shows them; none for a classification."""
    return [
        *score_series(reading),
        *measure_series(reading),
        *structure_series(reading),
        *finding_series(reading),
    ]

"""Figures per structure, finding and class of boxes: one list of series that tables, charts and sentences read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from palpate.metrics import measures
from palpate.metrics.measures import FindingRead
from palpate.report.compute.box_series import box_series
from palpate.report.compute.reading import RunReading
from palpate.report.compute.states import State, States, along
from palpate.report.model.description import MeasureDescription
from palpate.report.model.schema import Froc, Series
from palpate.report.model.typed import Figure

LONG_TAILED = frozenset({"hd95"})
"""Measures whose mean one bad image makes meaningless: the median is given as well."""
ABSENT = "It is defined in no image that counts here."


def score_series(reading: RunReading, states: States) -> list[Series]:
    """The mean score of the images, under the score's name."""
    task = reading.description.task

    def figure(state: State) -> tuple[Figure, int]:
        undefined = measures.undefined_count(state.scores, state.recorded)
        return reading.mean(state.scores, state.recorded, ABSENT), undefined

    return [along(states, task.score, "", "mean", "", "higher", figure)] if not task.classification else []


def measure_series(reading: RunReading, states: States) -> list[Series]:
    """Mean of every measure of the records, and the median of those with a long tail."""
    series: list[Series] = []
    # For boxes, figures over all images say more than counts per image.
    given = () if reading.description.task.kind == "detection" else reading.description.task.measures
    for index, measure in enumerate(given):
        series.append(_measured(reading, states, index, measure, "mean"))
        if measure.name in LONG_TAILED:
            series.append(_measured(reading, states, index, measure, "median"))
    return series


def _measured(
    reading: RunReading, states: States, index: int, measure: MeasureDescription, statistic: Literal["mean", "median"]
) -> Series:
    def figure(state: State) -> tuple[Figure, int]:
        values = state.measures[:, index]
        undefined = measures.undefined_count(values, state.recorded)
        if statistic == "mean":
            return reading.mean(values, state.recorded, ABSENT), undefined
        return reading.statistic(measures.median(values, state.recorded), ABSENT), undefined

    return along(states, measure.name, measure.part, statistic, measure.unit, measure.better, figure)


def structure_series(reading: RunReading, states: States) -> list[Series]:
    """Success per structure: at or below the task's floor now, above it before."""
    task, images = reading.description.task, reading.panel.images
    floor = task.floor
    if task.kind != "segmentation" or floor is None:
        return []
    series = []
    for index, measure in enumerate(task.measures):
        if measure.name != task.score or not measure.part:
            continue

        def figure(state: State, index: int = index) -> tuple[Figure, int]:
            share = measures.lost(images.measures[:, index], state.measures[:, index], state.recorded, floor)
            return reading.proportion(share, "The structure is acceptable in no image that counts here."), 0

        series.append(along(states, "success", measure.part, "share", "", "lower", figure, clean=False))
    return series


def finding_series(reading: RunReading, states: States) -> list[Series]:
    """Sensitivity, specificity, area under the ROC curve and success of every finding of a multi-label model."""
    task, images = reading.description.task, reading.panel.images
    if task.kind != "multilabel":
        return []
    width = len(task.classes)
    truth = measures.table(images.truth, width)
    thresholds = measures.spread(task.operating.thresholds, width)
    series: list[Series] = []
    for index, (name, threshold) in enumerate(zip(task.classes, thresholds, strict=True)):

        def read(state: State, index: int = index, threshold: float = threshold) -> FindingRead:
            probability = np.where(state.recorded, measures.table(state.found, width)[:, index], np.nan)
            return FindingRead(truth[:, index], probability, threshold)

        series += _finding(reading, states, name, read)
    return series


def _finding(reading: RunReading, states: States, name: str, read: Callable[[State], FindingRead]) -> list[Series]:
    before = read(states.clean)

    def sensitivity(state: State) -> tuple[Figure, int]:
        return reading.proportion(read(state).sensitivity, "No image that counts here has the finding."), 0

    def specificity(state: State) -> tuple[Figure, int]:
        return reading.proportion(read(state).specificity, "No image that counts here is without the finding."), 0

    def area(state: State) -> tuple[Figure, int]:
        note = "It needs an image with and one without the finding."
        return reading.statistic(read(state).area_under_roc, note), 0

    def success(state: State) -> tuple[Figure, int]:
        return reading.proportion(read(state).turned(before), "The finding was read correctly in no image."), 0

    return [
        along(states, "sensitivity", name, "share", "", "higher", sensitivity),
        along(states, "specificity", name, "share", "", "higher", specificity),
        along(states, "area_under_roc", name, "pooled", "", "higher", area),
        along(states, "success", name, "share", "", "lower", success, clean=False),
    ]


def all_series(reading: RunReading) -> tuple[list[Series], list[Froc]]:
    """Every series of a run, in the order in which a report shows them, and its FROC curves.

    A classification has none, and a run without records has none.
    """
    if reading.description.task.classification or not reading.panel.images.count:
        return [], []
    states = States(reading)
    series = [
        *score_series(reading, states),
        *measure_series(reading, states),
        *structure_series(reading, states),
        *finding_series(reading, states),
    ]
    if reading.description.task.kind != "detection":
        return series, []
    boxes, curves = box_series(reading, states)
    return [*series, *boxes], curves

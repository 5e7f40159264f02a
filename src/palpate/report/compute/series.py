"""Figures per structure, finding and class of boxes: one list of series that tables, charts and sentences read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from palpate.metrics import measures
from palpate.metrics.measures import FindingRead
from palpate.metrics.panel import Bools, Floats
from palpate.report.compute.box_series import box_series
from palpate.report.compute.reading import RunReading
from palpate.report.compute.states import Read, State, States, along
from palpate.report.model.description import MeasureDescription
from palpate.report.model.schema import Froc, Series
from palpate.report.model.typed import Figure

LONG_TAILED = frozenset({"hd95"})
"""Measures whose mean one bad image makes meaningless: the median is given as well."""
ABSENT = "It is defined in no image that counts here."


def score_series(reading: RunReading, states: States) -> list[Series]:
    """The mean score of the images that have something to lose, under the score's name."""
    task, attackable = reading.description.task, reading.panel.images.attackable

    def figure(state: State) -> Read:
        before = np.where(attackable, states.clean.scores, np.nan)
        return _paired(before, state.scores, state.recorded & attackable, reading.mean)

    return [along(states, task.score, "", "mean", "", "higher", figure)] if not task.classification else []


def measure_series(reading: RunReading, states: States) -> list[Series]:
    """Mean of every measure of the records, and the median of those with a long tail."""
    series: list[Series] = []
    # For boxes, figures over all images say more than counts per image.
    given = () if reading.description.task.kind == "detection" else reading.description.task.measures
    for index, measure in enumerate(given):
        series.append(measured(reading, states, index, measure, "mean"))
        if measure.name in LONG_TAILED:
            series.append(measured(reading, states, index, measure, "median"))
    return series


def measured(
    reading: RunReading, states: States, index: int, measure: MeasureDescription, statistic: Literal["mean", "median"]
) -> Series:
    """One measure of the records: without an attack, under each, and in the worst case."""

    def middle(values: Floats, among: Bools, note: str) -> Figure:
        return reading.statistic(measures.median(values, among), note)

    def figure(state: State) -> Read:
        before, values = states.clean.measures[:, index], state.measures[:, index]
        return _paired(before, values, state.recorded, reading.mean if statistic == "mean" else middle)

    return along(states, measure.name, measure.part, statistic, measure.unit, measure.better, figure)


def _paired(before: Floats, values: Floats, recorded: Bools, estimate: Callable[[Floats, Bools, str], Figure]) -> Read:
    """A mean or median over the images in which the measure is defined here and without an attack.

    A structure that is not annotated and that only an attack makes the model find has no figure before; a mean with it
    would be over other images than the clean one.
    """
    both = np.where(np.isfinite(before), values, np.nan)
    among = recorded & np.isfinite(both)
    clean = None if np.array_equal(among, np.isfinite(before)) else estimate(before, among, ABSENT)
    return Read(estimate(values, among, ABSENT), measures.undefined_count(both, recorded), clean)


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

        def figure(state: State, index: int = index) -> Read:
            share = measures.lost(images.measures[:, index], state.measures[:, index], state.recorded, floor)
            return Read(reading.proportion(share, "The structure is acceptable in no image that counts here."))

        series.append(along(states, "success", measure.part, "share", "", "lower", figure, clean=False, ends=("low",)))
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

    def sensitivity(state: State) -> Read:
        return Read(reading.proportion(read(state).sensitivity, "No image that counts here has the finding."))

    def specificity(state: State) -> Read:
        return Read(reading.proportion(read(state).specificity, "No image that counts here is without the finding."))

    def area(state: State) -> Read:
        note = "It needs an image with and one without the finding."
        return Read(reading.statistic(read(state).area_under_roc, note))

    def success(state: State) -> Read:
        return Read(reading.proportion(read(state).turned(before), "The finding was read correctly in no image."))

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

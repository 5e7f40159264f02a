"""The state of the images: as stored, or under one attack at one budget; and one figure over all states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from palpate.metrics import measures
from palpate.metrics.panel import Bools, Floats, Outcome
from palpate.metrics.robustness import budgets_of, seen
from palpate.metrics.worst import highest, lowest, within
from palpate.report.compute.reading import RunReading
from palpate.report.model.schema import Series, SeriesPoint
from palpate.report.model.typed import Figure, visible
from palpate.storage.lists import Lists

Better = Literal["higher", "lower", ""]
SeriesStatistic = Literal["mean", "median", "share", "pooled"]
End = Literal["low", "high"]
ENDS: dict[Better, tuple[End, ...]] = {"higher": ("low",), "lower": ("high",), "": ("low", "high")}
"""In which values the worst case lies. Without a better direction, it is the one further from the clean figure."""


@dataclass(frozen=True, eq=False)
class State:
    """All images as stored, or under one attack at one budget, or the worst of each image.

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


class States:
    """The images as stored, under every attack at every budget, and in the worst case; each computed once."""

    def __init__(self, reading: RunReading):
        outcomes = reading.panel.outcomes
        self.clean = clean_state(reading)
        self.attacked = {
            visible(outcome.attack): [(float(eps), attacked_state(outcome, at)) for at, eps in enumerate(outcome.eps)]
            for outcome in outcomes
        }
        self.worst = {eps: worst_states(reading, eps) for eps in budgets_of(outcomes)}


def clean_state(reading: RunReading) -> State:
    """The images as stored."""
    images = reading.panel.images
    return State(np.ones(images.count, dtype=bool), images.measures, images.found, images.score)


def attacked_state(outcome: Outcome, budget: int) -> State:
    """The images under an attack."""
    return State(outcome.recorded[budget], outcome.measures[budget], outcome.found[budget], outcome.scores[budget])


def worst_states(reading: RunReading, eps: float) -> dict[End, State]:
    """The lowest and the highest measures of each image over all attacks within a budget; findings at their worst."""
    images, outcomes = reading.panel.images, reading.panel.outcomes
    fits, recorded = [within(outcome, eps) for outcome in outcomes], seen(outcomes, images.count)
    found = _misread(reading, fits) if reading.description.task.kind == "multilabel" else images.found
    scores = lowest(images.score, [outcome.scores for outcome in outcomes], fits)
    values = [outcome.measures for outcome in outcomes]
    return {
        "low": State(recorded, lowest(images.measures, values, fits), found, scores),
        "high": State(recorded, highest(images.measures, values, fits), found, scores),
    }


def _misread(reading: RunReading, fits: Sequence[Bools]) -> Lists:
    """Of each finding that is present the lowest probability, of each that is absent the highest."""
    images, width = reading.panel.images, len(reading.description.task.classes)
    attacked = [measures.table(outcome.found, width) for outcome in reading.panel.outcomes]
    clean = measures.table(images.found, width)
    present = np.equal(measures.table(images.truth, width), 1)
    worst = np.where(present, lowest(clean, attacked, fits), highest(clean, attacked, fits))
    places = np.arange(images.count, dtype=np.int64)
    return Lists(worst.ravel(), places * width, np.full(images.count, width, dtype=np.int64))


@dataclass(frozen=True)
class Read:
    """A figure of a state."""

    figure: Figure
    undefined: int = 0
    """Images that have a record and in which it is undefined, there or without an attack."""
    clean: Figure | None = None
    """The figure without an attack over the same images, if these are not the images of the clean figure."""


StateFigure = Callable[[State], Read]


def along(
    states: States, name: str, part: str, statistic: SeriesStatistic, unit: str, better: Better, figure: StateFigure, *,
    clean: bool = True, worst: Sequence[SeriesPoint] | None = None, ends: tuple[End, ...] | None = None,
) -> Series:  # fmt: skip
    """One series: the figure without an attack (unless it makes no sense), under every attack, and in the worst case.

    `worst` gives the worst case at each budget if it is not the figure of the lowest or highest measures; `ends` says
    which of these make it if `better` does not.
    """
    before = figure(states.clean) if clean else None
    value = None if before is None else before.figure.value
    if worst is None:
        worst = [
            _further([_point(eps, figure(found[end])) for end in ends or ENDS[better]], value)
            for eps, found in states.worst.items()
        ]
    return Series(
        name=name,
        part=part,
        statistic=statistic,
        unit=unit,
        better=better,
        clean=None if before is None else before.figure,
        clean_undefined=0 if before is None else before.undefined,
        attacks={
            attack: [_point(eps, figure(state)) for eps, state in points] for attack, points in states.attacked.items()
        },
        worst=list(worst),
    )


def _point(eps: float, found: Read) -> SeriesPoint:
    return SeriesPoint(eps=eps, figure=found.figure, undefined=found.undefined, clean=found.clean)


def _further(points: Sequence[SeriesPoint], clean: float | None) -> SeriesPoint:
    """The point whose figure is furthest from the clean one; the first of equals."""

    def distance(point: SeriesPoint) -> float:
        value = point.figure.value
        return -1.0 if value is None else abs(value - (clean or 0.0))

    return max(points, key=distance)

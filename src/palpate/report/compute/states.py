"""The state of the images: as stored, or under one attack at one budget; and one figure over all states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from palpate.metrics.panel import Bools, Floats, Lists, Outcome
from palpate.report.compute.reading import RunReading
from palpate.report.model.schema import Series, SeriesPoint
from palpate.report.model.typed import Figure, visible

Better = Literal["higher", "lower", ""]
SeriesStatistic = Literal["mean", "median", "share", "pooled"]


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


class States:
    """The images as stored and under every attack at every budget, each computed once."""

    def __init__(self, reading: RunReading):
        self.clean = clean_state(reading)
        self.attacked = {
            visible(outcome.attack): [(float(eps), attacked_state(outcome, at)) for at, eps in enumerate(outcome.eps)]
            for outcome in reading.panel.outcomes
        }


def clean_state(reading: RunReading) -> State:
    """The images as stored."""
    images = reading.panel.images
    return State(np.ones(images.count, dtype=bool), images.measures, images.found, images.score)


def attacked_state(outcome: Outcome, budget: int) -> State:
    """The images under an attack."""
    return State(outcome.recorded[budget], outcome.measures[budget], outcome.found[budget], outcome.scores[budget])


StateFigure = Callable[[State], tuple[Figure, int]]
"""A figure of a state, and the number of images where it is undefined."""


def along(
    states: States, name: str, part: str, statistic: SeriesStatistic, unit: str, better: Better, figure: StateFigure, *,
    clean: bool = True,
) -> Series:  # fmt: skip
    """One series: the figure without an attack (unless it makes no sense) and under every attack at every budget."""
    before, undefined = figure(states.clean) if clean else (None, 0)
    return Series(
        name=name,
        part=part,
        statistic=statistic,
        unit=unit,
        better=better,
        clean=before,
        clean_undefined=undefined,
        attacks={
            attack: [_point(eps, figure(state)) for eps, state in points] for attack, points in states.attacked.items()
        },
    )


def _point(eps: float, found: tuple[Figure, int]) -> SeriesPoint:
    return SeriesPoint(eps=eps, figure=found[0], undefined=found[1])

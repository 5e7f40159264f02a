"""Figures of a detector over all images: boxes found, false boxes, average precision, and FROC curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from palpate.metrics.detection import COCO, Matches
from palpate.metrics.panel import Floats
from palpate.metrics.robustness import seen
from palpate.metrics.worst import choose, merged, within
from palpate.report.compute.reading import RunReading
from palpate.report.compute.states import Better, Read, SeriesStatistic, State, States, along
from palpate.report.model.schema import Froc, Series, SeriesPoint
from palpate.report.model.typed import Figure

NO_BOX = "No box is annotated in the images that count here."
POINTS = 80
"""Points of a FROC curve at most."""


@dataclass(frozen=True)
class _BoxFigure:
    """A figure of matched boxes, and for each image how much of what makes it good is left (lower is worse)."""

    of: Callable[[Matches], Figure]
    left: Callable[[Matches], Floats]


class Detector:
    """The detections of a run, matched once per attack and budget."""

    def __init__(self, reading: RunReading, states: States):
        task = reading.description.task
        self.reading, self.states, self.classes = reading, states, len(task.classes)
        self.confidence = task.operating.confidence if task.operating.confidence is not None else 0.5
        self.overlap = task.operating.overlap if task.operating.overlap is not None else 0.5
        self.overlaps = tuple(sorted({*COCO, self.overlap}))
        self._matched: dict[State, Matches] = {}

    def matches(self, state: State) -> Matches:
        """The boxes of a state, matched."""
        if state not in self._matched:
            truth = self.reading.panel.images.truth
            self._matched[state] = Matches.of(truth, state.found, state.recorded, self.classes, self.overlaps)
        return self._matched[state]

    def recall(self, label: int | None) -> _BoxFigure:
        """Share of the annotated boxes that are found, with their numbers."""

        def figure(matches: Matches) -> Figure:
            boxes = matches.boxes if label is None else int(matches.annotated[:, label].sum())
            recall = self.reading.statistic(matches.recall(self.confidence, self.overlap, label), NO_BOX)
            count = None if recall.value is None else round(recall.value * boxes)
            return recall.model_copy(update={"count": count, "total": boxes})

        return _BoxFigure(figure, lambda matches: matches.found_of_images(self.confidence, self.overlap, label))

    def false_positives(self, label: int | None) -> _BoxFigure:
        """Shown boxes per image that find no annotated one."""
        at = (self.confidence, self.overlap, label)
        return _BoxFigure(
            lambda matches: self.reading.statistic(matches.false_positives(*at), NO_BOX),
            lambda matches: -matches.wrong_of_images(*at),
        )

    def precision(self, overlaps: tuple[float, ...], label: int | None) -> _BoxFigure:
        """Average precision."""
        return _BoxFigure(
            lambda matches: self.reading.costly(matches.average_precision(overlaps, label), NO_BOX),
            lambda matches: matches.balance_of_images(overlaps, label),
        )

    def froc_score(self) -> _BoxFigure:
        """Mean recall at the seven standard rates of false boxes per image of a FROC curve."""
        return _BoxFigure(
            lambda matches: self.reading.costly(matches.froc_score(self.overlap), NO_BOX),
            lambda matches: matches.balance_of_images((self.overlap,), None),
        )

    def series(self, name: str, part: str, statistic: SeriesStatistic, better: Better, figure: _BoxFigure) -> Series:
        """One figure without an attack, under each, and in the worst case."""
        made = along(
            self.states, name, part, statistic, "", better, lambda state: Read(figure.of(self.matches(state))), worst=[]
        )
        return made.model_copy(update={"worst": self._worst(made, figure)})

    def _worst(self, made: Series, figure: _BoxFigure) -> list[SeriesPoint]:
        """Each image as the attack leaves it that leaves least, or one attack on all images if that is worse.

        Average precision and FROC rank the boxes of all images together, so that the worst of each image need not be
        the worst of all of them.
        """
        outcomes, count = self.reading.panel.outcomes, self.reading.panel.images.count
        cells = [state for points in self.states.attacked.values() for _, state in points]
        matched = [self.matches(state) for state in (self.states.clean, *cells)]
        alone = [point for points in made.attacks.values() for point in points]
        keys, among = np.stack([figure.left(one) for one in matched]), seen(outcomes, count)
        points: list[SeriesPoint] = []
        for eps in self.states.worst:
            fits = np.concatenate([np.ones((1, count), dtype=bool), *(within(outcome, eps) for outcome in outcomes)])
            each = SeriesPoint(eps=eps, figure=figure.of(merged(matched, choose(keys, fits), among)))
            whole = [point for point, fit in zip(alone, fits[1:], strict=True) if fit[among].all()]
            points.append(_worse([each, *whole, *points[-1:]], made.better, eps))
        return points

    def froc(self, state: State, attack: str | None, eps: float | None) -> Froc:
        """The curve of all classes together, thinned."""
        alarms, found = self.matches(state).froc(self.overlap)
        # The axis of false boxes is logarithmic; with few points at its low end the curve would be drawn too low.
        lowest = 1 / max(len(self.reading.panel.images.truth), 1)
        # A detector without a false box has alarms of 0 only.
        levels = np.geomspace(lowest, max(lowest, *alarms.tolist(), 0.0), POINTS - 2)
        steps = np.searchsorted(alarms, levels, side="right") - 1
        kept = np.unique([0, *steps, len(alarms) - 1]) if len(alarms) else np.zeros(0, dtype=int)
        return Froc(attack=attack, eps=eps, false_positives=alarms[kept].tolist(), recall=found[kept].tolist())


def _worse(points: Sequence[SeriesPoint], better: Better, eps: float) -> SeriesPoint:
    """The worst of some points, the first of equals, at a budget."""
    sign = 1.0 if better == "higher" else -1.0
    known = [point for point in points if point.figure.value is not None] or points[:1]
    worst = min(known, key=lambda point: sign * (point.figure.value or 0.0))
    return SeriesPoint(eps=eps, figure=worst.figure)


def box_series(reading: RunReading, states: States) -> tuple[list[Series], list[Froc]]:
    """Boxes found, false boxes and average precision, for all classes together and for each; FROC for all together."""
    detector = Detector(reading, states)
    parts: list[tuple[str, int | None]] = [("", None)]
    # A single class is the same as all classes.
    parts += [(name, label) for label, name in enumerate(reading.description.task.classes) if detector.classes > 1]
    series = []
    for name, label in parts:
        series += [
            detector.series("recall", name, "share", "higher", detector.recall(label)),
            detector.series("false_positives", name, "pooled", "lower", detector.false_positives(label)),
            detector.series("map50", name, "pooled", "higher", detector.precision((0.5,), label)),
        ]
    series.append(detector.series("map", "", "pooled", "higher", detector.precision(COCO, None)))
    series.append(detector.series("froc", "", "pooled", "higher", detector.froc_score()))
    curves = [detector.froc(states.clean, None, None)]
    curves += [detector.froc(state, attack, eps) for attack, points in states.attacked.items() for eps, state in points]
    return series, curves

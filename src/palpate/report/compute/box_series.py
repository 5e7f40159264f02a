"""Figures of a detector over all images: boxes found, false boxes, average precision, and FROC curves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from palpate.metrics.detection import COCO, Matches
from palpate.metrics.intervals import Statistic
from palpate.report.compute.reading import RunReading
from palpate.report.compute.states import State, StateFigure, States, along
from palpate.report.model.schema import Froc, Series
from palpate.report.model.typed import Figure

NO_BOX = "No box is annotated in the images that count here."
POINTS = 80
"""Points of a FROC curve at most."""


class _Detector:
    """The detections of a run, matched once per attack and budget."""

    def __init__(self, reading: RunReading):
        task = reading.description.task
        self.reading, self.classes = reading, len(task.classes)
        self.confidence = task.operating.confidence if task.operating.confidence is not None else 0.5
        self.overlap = task.operating.overlap if task.operating.overlap is not None else 0.5
        self.overlaps = tuple(sorted({*COCO, self.overlap}))
        self._matched: dict[State, Matches] = {}

    def matches(self, state: State) -> Matches:
        if state not in self._matched:
            truth = self.reading.panel.images.truth
            self._matched[state] = Matches.of(truth, state.found, state.recorded, self.classes, self.overlaps)
        return self._matched[state]

    def recall(self, label: int | None) -> StateFigure:
        """Share of the annotated boxes that are found, with their numbers."""

        def figure(state: State) -> tuple[Figure, int]:
            matches = self.matches(state)
            boxes = matches.boxes if label is None else int(matches.annotated[:, label].sum())
            recall = self.reading.statistic(matches.recall(self.confidence, self.overlap, label), NO_BOX)
            count = None if recall.value is None else round(recall.value * boxes)
            return recall.model_copy(update={"count": count, "total": boxes}), 0

        return figure

    def false_positives(self, label: int | None) -> StateFigure:
        """Shown boxes per image that find no annotated one."""
        return self._figure(lambda matches: matches.false_positives(self.confidence, self.overlap, label), costly=False)

    def precision(self, overlaps: tuple[float, ...], label: int | None) -> StateFigure:
        """Average precision."""
        return self._figure(lambda matches: matches.average_precision(overlaps, label), costly=True)

    def froc_score(self) -> StateFigure:
        """Mean recall at the seven standard rates of false boxes per image of a FROC curve."""
        return self._figure(lambda matches: matches.froc_score(self.overlap), costly=True)

    def _figure(self, statistic: Callable[[Matches], Statistic], *, costly: bool) -> StateFigure:
        estimate = self.reading.costly if costly else self.reading.statistic

        def figure(state: State) -> tuple[Figure, int]:
            return estimate(statistic(self.matches(state)), NO_BOX), 0

        return figure

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


def box_series(reading: RunReading, states: States) -> tuple[list[Series], list[Froc]]:
    """Boxes found, false boxes and average precision, for all classes together and for each; FROC for all together."""
    detector = _Detector(reading)
    parts: list[tuple[str, int | None]] = [("", None)]
    # A single class is the same as all classes.
    parts += [(name, label) for label, name in enumerate(reading.description.task.classes) if detector.classes > 1]
    series = []
    for name, label in parts:
        series += [
            along(states, "recall", name, "share", "", "higher", detector.recall(label)),
            along(states, "false_positives", name, "pooled", "", "lower", detector.false_positives(label)),
            along(states, "map50", name, "pooled", "", "higher", detector.precision((0.5,), label)),
        ]
    series.append(along(states, "map", "", "pooled", "", "higher", detector.precision(COCO, None)))
    series.append(along(states, "froc", "", "pooled", "", "higher", detector.froc_score()))
    curves = [detector.froc(states.clean, None, None)]
    curves += [detector.froc(state, attack, eps) for attack, points in states.attacked.items() for eps, state in points]
    return series, curves

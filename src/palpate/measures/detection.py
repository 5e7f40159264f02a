"""The detections in one image: counts at the operating point, and boxes for curves over all images."""

from __future__ import annotations

from dataclasses import replace

from palpate.annotations import Boxes, Candidates
from palpate.errors import InputError
from palpate.measures.measure import Measure
from palpate.tasks.boxes import matched
from palpate.tasks.detection import Detection
from palpate.tasks.detection_goals import Degrade

LEAST = 0.05
"""Detections down to this confidence are kept for the records: mAP and FROC use all thresholds above it."""


class DetectionReader:
    """Three counts per image at the operating point, `task.confidence` and `task.overlap`, matched as in COCO.

    | measure | meaning |
    | --- | --- |
    | `true_positives` | annotated boxes that a detection of their class finds |
    | `false_positives` | detections that find none, duplicates included |
    | `missed` | annotated boxes that are not found |

    `found` has all detections after suppression down to a confidence of 0.05, at most 100.

    Args:
        task: reads outputs and targets.
        classes: their names, in the task's order.

    Raises:
        InputError: names that do not fit the task.
    """

    measures: tuple[Measure, ...] = (
        Measure("true_positives"),
        Measure("false_positives", better="lower"),
        Measure("missed", better="lower"),
    )

    def __init__(self, task: Detection, classes: tuple[str, ...]):
        if len(classes) != task.classes:
            raise InputError(f"task.classes: {len(classes)} names for {task.classes} classes; give one name each.")
        self.task, self.classes = task, classes
        self._all = replace(task, goal=Degrade(), criterion=None, confidence=min(LEAST, task.confidence))

    def measure(self, outputs: Candidates, targets: Boxes) -> list[tuple[float, ...]]:
        """Found, false and missed boxes of each sample."""
        decided = self.task.predict(outputs)
        right = (matched(decided, targets, self.task.overlap) >= 0).sum(1)
        wrong = (decided.labels >= 0).sum(1) - right
        missed = (targets.labels >= 0).sum(1) - right
        rows = zip(right.tolist(), wrong.tolist(), missed.tolist(), strict=True)
        return [tuple(float(value) for value in row) for row in rows]

    def truth(self, targets: Boxes) -> list[tuple[float, ...]]:
        """Class, x1, y1, x2, y2 of each annotated box, in turn."""
        rows = zip(targets.labels.tolist(), targets.boxes.tolist(), strict=True)
        return [
            tuple(
                value for label, box in zip(labels, boxes, strict=True) if label >= 0 for value in (float(label), *box)
            )
            for labels, boxes in rows
        ]

    def found(self, outputs: Candidates) -> list[tuple[float, ...]]:
        """Class, confidence, x1, y1, x2, y2 of each detection, in turn, highest confidence first."""
        rows = zip(*(part.tolist() for part in self._all.predict(outputs)), strict=True)
        return [
            tuple(
                value
                for box, label, confidence in zip(boxes, labels, confidences, strict=True)
                if label >= 0
                for value in (float(label), confidence, *box)
            )
            for boxes, labels, confidences in rows
        ]

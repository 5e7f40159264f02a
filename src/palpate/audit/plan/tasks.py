"""From `[task]` and a goal in words to the task of an attack, and to the reader that fills its records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from palpate.audit.plan.goals import class_goal, detection_goal, finding_goal, mask_goal
from palpate.audit.plan.sections.tasks import (
    ClassificationSection,
    DetectionSection,
    MultiLabelSection,
    SegmentationSection,
)
from palpate.contracts import Task
from palpate.measures.detection import DetectionReader
from palpate.measures.measure import Nothing, Reader
from palpate.measures.multilabel import MultiLabelReader
from palpate.measures.segmentation import SegmentationReader
from palpate.tasks.classification import Classification
from palpate.tasks.detection import Detection
from palpate.tasks.heads import HEADS, Head, OneLogit
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.screening import screened
from palpate.tasks.segmentation import Segmentation

if TYPE_CHECKING:
    from palpate.audit.plan.fields import PlanFields
    from palpate.audit.plan.sections.tasks import TaskSection


def task_of(section: TaskSection, goal: str) -> Task:
    """What the model's output means, with an attack's goal in words.

    Raises:
        InputError: head, classes or thresholds do not fit, or there is no such goal.
    """
    if isinstance(section, MultiLabelSection):
        return MultiLabel(len(section.findings), finding_goal(goal, section), section.thresholds)
    if isinstance(section, SegmentationSection):
        return _segmentation(section, goal)
    if isinstance(section, DetectionSection):
        return Detection(
            len(section.classes),
            detection_goal(goal, section),
            confidence=section.confidence,
            overlap=section.overlap,
            suppression=section.suppression,
            floor=section.floor,
            head=section.head,
        )
    return Classification(len(section.classes), class_goal(goal, section), _head(section))


def plan_task(plan: PlanFields, goal: str) -> Task:
    """The task of a plan: as `task_of`, and behind a detector that rejects, one that knows refused answers."""
    task = task_of(plan.task, goal)
    return screened(task) if any(one.defence == "reject" for one in plan.model.defences) else task


def _segmentation(section: SegmentationSection, goal: str) -> Segmentation:
    return Segmentation(
        len(section.structures),
        section.exclusive,
        mask_goal(goal, section),
        metric=section.score,
        floor=section.floor,
        structure=None if section.structure is None else section.structures.index(section.structure),
        threshold=section.threshold,
        resample=section.resample,
    )


def _head(section: ClassificationSection) -> Head:
    if section.head == OneLogit.name:
        return OneLogit(0.5 if section.threshold is None else section.threshold)
    return HEADS[section.head]()


@dataclass(frozen=True)
class Grid:
    """The properties of images that decide the units of measures.

    Attributes:
        dimensions: spatial axes of the images.
        spaced: the pixel size of every image is known.
    """

    dimensions: int = 2
    spaced: bool = False


FLAT = Grid()
"""2D images whose pixel size is not known."""


def reader_of(section: TaskSection, task: Task, grid: Grid) -> Reader:
    """The reader of outputs and targets for the records."""
    if isinstance(task, Segmentation) and isinstance(section, SegmentationSection):
        return SegmentationReader(task, section.structures, grid.spaced, grid.dimensions, section.tolerance)
    if isinstance(task, Detection):
        return DetectionReader(task, section.names)
    if isinstance(task, MultiLabel):
        return MultiLabelReader(task, section.names)
    return Nothing()


def goal_words(task: Task) -> str:
    """The goal in words, as records have it."""
    assert isinstance(task, Classification | MultiLabel | Segmentation | Detection)
    return task.goal.describe()


def family(section: TaskSection) -> str:
    """The kind of task as attacks name it: `classification` for all that decide for one class."""
    return "classification" if isinstance(section, ClassificationSection) else section.kind


def head_words(section: TaskSection) -> str:
    """How raw outputs are interpreted, for a report."""
    if isinstance(section, ClassificationSection):
        return section.head if section.head != "one-logit" else f"one-logit, threshold {section.threshold or 0.5:g}"
    if isinstance(section, MultiLabelSection):
        return "a sigmoid per finding"
    if isinstance(section, DetectionSection):
        return f"{section.head}, candidates"
    if section.exclusive:
        return "softmax per pixel" if len(section.structures) > 1 else "softmax per pixel, or the sigmoid of one map"
    return f"a sigmoid per structure and pixel, threshold {section.threshold:g}"


def score_words(section: TaskSection) -> str:
    """The name of an image's score."""
    if isinstance(section, SegmentationSection):
        return section.score
    return {"multilabel": "share of findings read right", "detection": "f1"}.get(section.kind, "accuracy")


def operating(section: TaskSection) -> dict[str, Any]:
    """The operating point, if the task has one."""
    if isinstance(section, DetectionSection):
        return {"confidence": section.confidence, "overlap": section.overlap, "suppression": section.suppression}
    return {"thresholds": list(section.thresholds)} if isinstance(section, MultiLabelSection) else {}

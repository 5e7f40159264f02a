"""The kind of a task as attacks name it, and whether its goal says what the decision must become."""

from __future__ import annotations

from palpate.contracts import Task
from palpate.tasks.classification import Classification
from palpate.tasks.detection import Detection
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.segmentation import Segmentation

_KINDS: dict[type, str] = {
    Classification: "classification",
    MultiLabel: "multilabel",
    Segmentation: "segmentation",
    Detection: "detection",
}


def kind_of(task: Task) -> str | None:
    """`classification`, `multilabel`, `segmentation` or `detection`; None for a task of another package."""
    return next((kind for known, kind in _KINDS.items() if isinstance(task, known)), None)


def is_targeted(task: Task) -> bool:
    """Whether the goal says what the decision must become."""
    assert isinstance(task, Classification | MultiLabel | Segmentation | Detection)
    return task.goal.targeted

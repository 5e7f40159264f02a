"""What the fields of `[data]` must be to each other and to the task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from palpate.audit.plan_problems import Problem, one_of
from palpate.audit.plan_tasks import SegmentationSection

if TYPE_CHECKING:
    from palpate.audit.plan_data import DataSection
    from palpate.audit.plan_tasks import TaskSection

_CSV_ONLY = ("images", "file", "label", "group", "where", "mask", "boxes", "field")
_NEEDED = {"mask": "the column with the masks' paths", "boxes": "a CSV with one line a box"}
_KINDS = {
    "mask": "segmentation",
    "values": "segmentation",
    "field": "segmentation",
    "ignore_value": "segmentation",
} | dict.fromkeys(("boxes", "box_file", "corners"), "detection")


def data_problems(section: DataSection, task: TaskSection) -> Iterator[Problem]:
    """All contradictions of the section, and with the task."""
    yield from one_of(section, "data", ("table", "folders", "medmnist"))
    if section.table is None:
        for name in _CSV_ONLY:
            if name in section.model_fields_set:
                yield ("data", name), "it belongs to a CSV. Remove it, or name the CSV in data.table."
    if section.medmnist is None and "split" in section.model_fields_set:
        yield ("data", "split"), 'it belongs to a MedMNIST archive. For a CSV write where = {split = "test"}.'
    if task.kind in ("multilabel", "segmentation", "detection") and section.table is None:
        yield ("data", "table"), f"{task.kind} reads its images and annotations from a CSV. Name it."
    needed = {"segmentation": "mask", "detection": "boxes"}.get(task.kind)
    if needed is not None and getattr(section, needed) is None:
        yield ("data", needed), f"{task.kind} needs it: {_NEEDED[needed]}."
    for name, kind in _KINDS.items():
        if name in section.model_fields_set and task.kind != kind:
            yield ("data", name), f'it belongs to kind = "{kind}", and this task is "{task.kind}". Remove it.'
    if isinstance(section.mask, tuple) and isinstance(task, SegmentationSection):
        yield from _columns(section.mask, task)


def _columns(masks: tuple[str, ...], task: SegmentationSection) -> Iterator[Problem]:
    if task.exclusive:
        yield ("data", "mask"), "a column per structure is for structures that may overlap. Set task.exclusive = false."
    elif len(masks) != len(task.structures):
        yield ("data", "mask"), f"{len(masks)} columns for {len(task.structures)} structures. Give one each."

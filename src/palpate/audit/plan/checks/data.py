"""Contradictions between the fields of `[data]`, and with the task."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from palpate.audit.plan.problems import Problem
from palpate.audit.plan.sections.data import LAYOUTS
from palpate.audit.plan.sections.tasks import ClassificationSection, SegmentationSection

if TYPE_CHECKING:
    from palpate.audit.plan.sections.data import DataSection
    from palpate.audit.plan.sections.tasks import TaskSection

_CLASSES = ("binary", "multiclass", "ordinal")
_TASKS = {
    "table": (*_CLASSES, "multilabel", "segmentation", "detection"),
    "folders": _CLASSES,
    "medmnist": (*_CLASSES, "multilabel"),
    "nnunet": ("segmentation",),
    "datalist": (*_CLASSES, "multilabel", "segmentation", "detection"),
    "coco": ("segmentation", "detection"),
    "voc": ("segmentation", "detection"),
    "masks": ("segmentation",),
    "yolo": ("detection",),
}
_SPLIT = ("medmnist", "nnunet", "datalist", "voc", "yolo")
_LISTINGS = ("table", "datalist", "coco")
_STORED = ("table", "datalist", "masks", "voc")
_OF = {
    "images": (*_LISTINGS, "masks"),
    "file": ("table", "datalist"),
    "label": ("table", "datalist"),
    "group": _LISTINGS,
    "where": _LISTINGS,
    "separator": ("table",),
    "ignored": ("table",),
    "site": _LISTINGS,
    "scanner": _LISTINGS,
    "region": _LISTINGS,
    "mask": ("table",),
    "boxes": ("table",),
    "box_file": ("table",),
    "corners": ("table",),
    "field": ("table", "masks"),
    "image_name": ("masks",),
    "mask_name": ("masks",),
    "field_name": ("masks",),
    "unpaired": ("masks",),
    "values": _STORED,
    "threshold": ("table", "datalist", "masks"),
    "ignore_value": _STORED,
    "box_mode": ("table", "datalist"),
    "box_unit": ("table",),
    "difficult": ("voc",),
    "split": _SPLIT,
}
"""Field -> the layouts that read it."""

_WORDS = {
    "table": "a CSV",
    "folders": "class folders",
    "medmnist": "a MedMNIST archive",
    "nnunet": "an nnU-Net folder",
    "datalist": "a datalist",
    "coco": "a COCO file",
    "voc": "a VOC folder",
    "masks": "a folder of masks",
    "yolo": "a YOLO set",
}
_NEEDED = {"mask": "the column with the masks' paths", "boxes": "a CSV with one line a box"}
_KINDS = {
    **dict.fromkeys(("mask", "values", "threshold", "field", "ignore_value"), "segmentation"),
    **dict.fromkeys(("image_name", "mask_name", "field_name", "unpaired"), "segmentation"),
    **dict.fromkeys(("separator", "ignored"), "multilabel"),
    **dict.fromkeys(("boxes", "box_file", "corners", "box_mode", "box_unit", "difficult"), "detection"),
}


def data_problems(section: DataSection, task: TaskSection) -> Iterator[Problem]:
    """All contradictions of the section, and with the task."""
    yield from _one_layout(section)
    layout = next((name for name in LAYOUTS if getattr(section, name) is not None), None)
    if layout is not None:
        yield from _foreign(section, layout)
        if task.kind not in _TASKS[layout]:
            fitting = " or ".join(name for name in LAYOUTS if task.kind in _TASKS[name])
            yield ("data", layout), f"{_WORDS[layout]} has no annotations for {task.kind}. Use data.{fitting} instead."
    needed = {"segmentation": "mask", "detection": "boxes"}.get(task.kind)
    if layout == "table" and needed is not None and getattr(section, needed) is None:
        yield ("data", needed), f"{task.kind} needs it: {_NEEDED[needed]}."
    for name, kind in _KINDS.items():
        if name in section.model_fields_set and task.kind != kind:
            yield ("data", name), f'it belongs to kind = "{kind}", and this task is "{task.kind}". Remove it.'
    if section.threshold is not None:
        yield from _threshold(section, task)
    for place, size in enumerate(section.spacing or ()):
        if not 0 < size < math.inf:
            yield ("data", "spacing", place), f"{size:g} must be the size of a pixel in mm, above zero."
    for name in ("image_name", "mask_name", "field_name"):
        if getattr(section, name).count("{stem}") != 1:
            yield ("data", name), 'it must hold {stem} once, such as "{stem}_mask".'
    yield from _labels(section, task, layout)
    if isinstance(section.mask, tuple) and isinstance(task, SegmentationSection):
        yield from _columns(section.mask, task)


def _one_layout(section: DataSection) -> Iterator[Problem]:
    """Exactly one layout must be given."""
    given = [name for name in LAYOUTS if getattr(section, name) is not None]
    if not given:
        yield ("data",), f"it names none of {', '.join(LAYOUTS)}. Add one of them."
    for extra in given[1:]:
        yield ("data", extra), f"{given[0]} is given already. Keep one of them."


def _labels(section: DataSection, task: TaskSection, layout: str | None) -> Iterator[Problem]:
    """How labels and findings are written in the table."""
    if isinstance(section.label, tuple):
        if layout != "table" or not isinstance(task, ClassificationSection):
            yield ("data", "label"), "a list of columns is for classes in a CSV, one column a class. Name one column."
        elif len(section.label) != len(task.classes):
            text = f"{len(section.label)} columns for {len(task.classes)} classes. Name one column a class, in order."
            yield ("data", "label"), text
    if section.ignored and section.separator is None:
        yield ("data", "ignored"), "it belongs to separator, which is not given. Add separator, or remove it."


def _foreign(section: DataSection, layout: str) -> Iterator[Problem]:
    """Fields that another layout reads."""
    for name, readers in _OF.items():
        if name not in section.model_fields_set or layout in readers:
            continue
        if name == "group" and section.group == "dicom" and layout != "medmnist":
            continue
        if name == "split" and layout in _LISTINGS:
            text = f'it belongs to {_either(readers)}. For {_WORDS[layout]} write where = {{split = "test"}}.'
        else:
            text = f"it belongs to {_either(readers)}. Remove it, or give data.{readers[0]}."
        yield ("data", name), text


def _threshold(section: DataSection, task: TaskSection) -> Iterator[Problem]:
    for name in ("values", "ignore_value"):
        if name in section.model_fields_set:
            yield ("data", "threshold"), f"it replaces data.{name}. Remove one of them."
    several = isinstance(task, SegmentationSection) and len(task.structures) > 1
    if several and not isinstance(section.mask, tuple) and section.datalist is None:
        text = "one number cannot tell several structures of one file apart. Give data.values."
        yield ("data", "threshold"), text


def _either(layouts: tuple[str, ...]) -> str:
    words = [_WORDS[name] for name in layouts]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _columns(masks: tuple[str, ...], task: SegmentationSection) -> Iterator[Problem]:
    if task.exclusive:
        yield ("data", "mask"), "a column per structure needs structures that may overlap. Set task.exclusive = false."
    elif len(masks) != len(task.structures):
        yield ("data", "mask"), f"{len(masks)} columns for {len(task.structures)} structures. Give one each."

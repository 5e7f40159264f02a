"""Contradictions between the fields of `[data]`, and with the task."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from palpate.audit.plan.labels import labels_kind
from palpate.audit.plan.problems import Problem
from palpate.audit.plan.sections.tasks import ClassificationSection, SegmentationSection
from palpate.data.layouts.registry import LAYOUTS, fields_of
from palpate.data.remote import fault_of, is_url

if TYPE_CHECKING:
    from palpate.audit.plan.sections.data import DataSection
    from palpate.audit.plan.sections.tasks import TaskSection

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
    yield from _urls(section)
    layout = section.layout
    if layout is not None:
        yield from _foreign(section, layout)
        if (labels := labels_kind(task)) not in LAYOUTS[layout].reads:
            fitting = " or ".join(name for name, kind in LAYOUTS.items() if labels in kind.reads)
            text = f"{LAYOUTS[layout].called} has no annotations for {task.kind}. Use data.{fitting} instead."
            yield ("data", layout), text
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


def _urls(section: DataSection) -> Iterator[Problem]:
    """A URL can only be where the images of a table start."""
    for name in (*LAYOUTS, "images", "boxes", "field", "splits"):
        written = getattr(section, name)
        if written is None or not is_url(written):
            continue
        if name == "images" and section.layout == "table":
            if fault := fault_of(written):
                yield ("data", name), fault
        else:
            fix = "Copy it to this disk, or list the files in a table and write: images = 's3://...'."
            yield ("data", name), f"a URL is not read here. {fix}"


def _labels(section: DataSection, task: TaskSection, layout: str | None) -> Iterator[Problem]:
    """How labels and findings are written in the table."""
    if isinstance(section.label, tuple):
        if layout != "table" or not isinstance(task, ClassificationSection):
            yield ("data", "label"), "a list of columns is for classes in a CSV, one column per class. Name one column."
        elif len(section.label) != len(task.classes):
            text = f"{len(section.label)} columns for {len(task.classes)} classes. Name one column per class, in order."
            yield ("data", "label"), text
    if section.ignored and section.separator is None:
        yield ("data", "ignored"), "it belongs to separator, which is not given. Add separator, or remove it."


def _foreign(section: DataSection, layout: str) -> Iterator[Problem]:
    """Fields that another layout reads."""
    for name in type(section).model_fields:
        readers = [other for other in LAYOUTS if name in fields_of(other)]
        if not readers or name not in section.model_fields_set or layout in readers:
            continue
        if name == "group" and section.group == "dicom" and layout != "medmnist":
            continue
        if name == "split" and "where" in fields_of(layout):
            text = f'it belongs to {_either(readers)}. For {LAYOUTS[layout].called} write where = {{split = "test"}}.'
        else:
            text = f"it belongs to {_either(readers)}. Remove it, or give data.{readers[0]}."
        yield ("data", name), text


def _threshold(section: DataSection, task: TaskSection) -> Iterator[Problem]:
    for name in ("values", "ignore_value"):
        if name in section.model_fields_set:
            yield ("data", "threshold"), f"it replaces data.{name}. Remove one of them."
    several = isinstance(task, SegmentationSection) and len(task.structures) > 1
    if several and not isinstance(section.mask, tuple) and section.layout != "datalist":
        text = "one number cannot tell several structures of one file apart. Give data.values."
        yield ("data", "threshold"), text


def _either(layouts: Sequence[str]) -> str:
    words = [LAYOUTS[name].called for name in layouts]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _columns(masks: tuple[str, ...], task: SegmentationSection) -> Iterator[Problem]:
    if task.exclusive:
        yield ("data", "mask"), "a column per structure needs structures that may overlap. Set task.exclusive = false."
    elif len(masks) != len(task.structures):
        yield ("data", "mask"), f"{len(masks)} columns for {len(task.structures)} structures. Give one each."

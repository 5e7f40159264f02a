"""What a plan says of its images, as values of the data package: their layout and their labels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palpate.data.annotations.labels import BoxLabels, ClassLabels, FindingLabels, LabelKind, MaskLabels
from palpate.data.layouts.layout import Layout
from palpate.data.layouts.registry import LAYOUTS, layout_named
from palpate.data.listing import About
from palpate.data.remote import Remote, is_url
from palpate.models.inputs.kinds import Columns

if TYPE_CHECKING:
    from palpate.audit.plan.sections.data import DataSection
    from palpate.audit.plan.sections.tasks import TaskSection

DICOM = "dicom"
"""What `data.group` says where DICOM files tell their patients apart."""

_FOLDERS = ("images", "field", "splits")
"""Fields that are folders or files where they belong to a layout."""

_KINDS: dict[str, type[LabelKind]] = {
    **dict.fromkeys(("binary", "multiclass", "ordinal"), ClassLabels),
    "multilabel": FindingLabels,
    "segmentation": MaskLabels,
    "detection": BoxLabels,
}


def labels_kind(task: TaskSection) -> type[LabelKind]:
    """The kind of labels that a task needs."""
    return _KINDS[task.kind]


def layout_of(data: DataSection, root: Path, given: Columns) -> Layout:
    """The layout that `[data]` names; paths start from `root`, the folder of the plan.

    `given` are the columns that the model is given besides the image.
    """
    name, group = str(data.layout), None if data.group == DICOM else data.group
    values = _given(data, data.model_fields_set)
    values |= {field: _place(root, values[field]) for field in _FOLDERS if field in values}
    values["about"] = About(group, data.site, data.scanner, data.region, given.cells, given.views)
    return layout_named(name, root / getattr(data, name), values)


def _place(root: Path, written: str) -> Path | Remote:
    return Remote.open(written) if is_url(written) else root / written


def labels_of(data: DataSection, task: TaskSection, root: Path) -> LabelKind:
    """The labels that `[data]` and `[task]` name, with the fields that the layout uses."""
    kind = labels_kind(task)
    values = _given(data, LAYOUTS[str(data.layout)].reads[kind])
    if "boxes" in values:
        values["boxes"] = root / values["boxes"]
    if kind is MaskLabels:
        values |= {"exclusive": getattr(task, "exclusive", True), "spacing": data.spacing}
    return kind(task.names, **values)


def _given(data: DataSection, names: Iterable[str]) -> dict[str, Any]:
    """The values of those fields that the plan sets."""
    return {name: getattr(data, name) for name in names if name in data.model_fields_set}

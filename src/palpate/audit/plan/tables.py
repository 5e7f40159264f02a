"""The images and annotations that `[data]` of a plan names, as a table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from palpate.audit.plan.sections.tasks import (
    ClassificationSection,
    DetectionSection,
    MultiLabelSection,
    SegmentationSection,
)
from palpate.data.annotations.findings import FindingLists
from palpate.data.annotations.mask_pairs import Naming
from palpate.data.layouts.datalist import Keys, Shows
from palpate.data.layouts.folder_tables import VOID, table_of_masks, table_of_voc_masks, table_of_yolo
from palpate.data.listing import About
from palpate.data.places import Places
from palpate.data.table import Table

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan
    from palpate.audit.plan.sections.tasks import TaskSection

DICOM = "dicom"
"""What `data.group` says where DICOM files tell their patients apart."""


NAMED = ("table", "folders", "medmnist", "nnunet", "datalist", "coco", "voc", "masks", "yolo", "images", "boxes")
"""Fields of `[data]` that hold the path of a file or folder."""


DESCRIBED = ("voc", "yolo")
"""Fields of layouts that describe each image in a text of its own."""
_TEXTS = (".txt", ".xml", ".yaml", ".yml")
_TEXT_FOLDERS = ("labels", "annotations", "imagesets")


def load_table(plan: Plan) -> Table:
    """The images and annotations of a plan; raises InputError where they cannot be read."""
    places = Places(plan.root, plan.data.roots)
    for name in NAMED:
        if (written := getattr(plan.data, name)) is not None:
            places.require(f"data.{name}", [plan.root / written])
            if name in DESCRIBED:
                places.require(f"data.{name}", [plan.root / written, *_linked_texts(plan.root / written)])
    table = _whole(plan).placed(places)
    if plan.data.nan is not None:
        table = table.with_nan(plan.data.nan)
    if plan.data.orientation == "exif":
        table = table.turned()
    if plan.data.group == DICOM:
        table = table.by_patient()
    return (table if plan.data.limit is None else table.limit(plan.data.limit, plan.seed)).scanned()


def _linked_texts(place: Path) -> list[Path]:
    """Links among the descriptions of a set, and among the folders that hold them: messages may quote such texts."""
    found = []
    for folder, folders, files in os.walk(place if place.is_dir() else place.parent):
        names = [name for name in files if name.lower().endswith(_TEXTS)]
        names += [name for name in folders if name.lower() in _TEXT_FOLDERS]
        found += [path for name in names if (path := Path(folder, name)).is_symlink()]
    return found


def _whole(plan: Plan) -> Table:
    data = plan.data
    if data.table is not None:
        return _listed(plan, plan.root / data.table)
    if data.datalist is not None:
        return _datalist(plan, plan.root / data.datalist)
    return _folder(plan) if data.coco is None else _coco(plan, plan.root / data.coco)


def _folder(plan: Plan) -> Table:
    data, task = plan.data, plan.task
    if data.folders is not None:
        return Table.from_folders(plan.root / data.folders, task.names)
    if data.nnunet is not None:
        return Table.from_nnunet(
            plan.root / data.nnunet,
            _split(plan),
            structures=task.names,
            exclusive=getattr(task, "exclusive", True),
            spacing=data.spacing,
        )
    if data.masks is not None:
        return _paired(plan, plan.root / data.masks)
    if data.yolo is not None:
        return table_of_yolo(plan.root / data.yolo, _split(plan), classes=task.names)
    if data.voc is not None:
        return _voc(plan, plan.root / data.voc)
    return _archive(plan, plan.root / str(data.medmnist))


def _archive(plan: Plan, archive: Path) -> Table:
    task, split = plan.task, plan.data.split
    if isinstance(task, MultiLabelSection):
        return Table.from_medmnist(archive, split, findings=task.findings)
    return Table.from_medmnist(archive, split, task.names)


def _voc(plan: Plan, root: Path) -> Table:
    data, task = plan.data, plan.task
    if not isinstance(task, SegmentationSection):
        return Table.from_voc(root, _split(plan), classes=task.names, difficult=data.difficult)
    return table_of_voc_masks(
        root,
        _split(plan),
        structures=task.structures,
        values=data.values or None,
        ignore_value=VOID if data.ignore_value is None else data.ignore_value,
        spacing=data.spacing,
        exclusive=task.exclusive,
    )


def _paired(plan: Plan, masks: Path) -> Table:
    data, task = plan.data, plan.task
    return table_of_masks(
        masks if data.images is None else plan.root / data.images,
        masks,
        naming=Naming(data.image_name, data.mask_name, data.field_name),
        field=None if data.field is None else plan.root / data.field,
        unpaired=data.unpaired,
        structures=task.names,
        values=data.values or None,
        ignore_value=data.ignore_value,
        threshold=data.threshold,
        spacing=data.spacing,
        exclusive=getattr(task, "exclusive", True),
    )


def _coco(plan: Plan, path: Path) -> Table:
    data, task = plan.data, plan.task
    return Table.from_coco(
        path,
        None if data.images is None else plan.root / data.images,
        shows="masks" if isinstance(task, SegmentationSection) else "boxes",
        names=task.names,
        exclusive=getattr(task, "exclusive", True),
        spacing=data.spacing,
        about=_about(plan),
        where=data.where,
    )


def _datalist(plan: Plan, path: Path) -> Table:
    data, task = plan.data, plan.task
    return Table.from_datalist(
        path,
        _split(plan),
        None if data.images is None else plan.root / data.images,
        shows=_shows(task),
        names=task.names,
        keys=Keys(data.file if "file" in data.model_fields_set else "image", str(data.label), mode=data.box_mode),
        values=data.values or None,
        ignore_value=data.ignore_value,
        threshold=data.threshold,
        exclusive=getattr(task, "exclusive", True),
        spacing=data.spacing,
        about=_about(plan),
        where=data.where,
    )


def _listed(plan: Plan, file: Path) -> Table:
    data, task, about = plan.data, plan.task, _about(plan)
    images = file.parent if data.images is None else plan.root / data.images
    more = {"site": about.site, "scanner": about.scanner, "region": about.region}
    if isinstance(task, SegmentationSection):
        return _listed_masks(plan, task, file, images, more)
    if isinstance(task, DetectionSection):
        return _listed_boxes(plan, task, file, images, more)
    if isinstance(task, MultiLabelSection):
        lists = None if data.separator is None else FindingLists(str(data.label), data.separator, data.ignored)
        return Table.from_findings(file, images, task.findings, data.file, about.group, data.where, lists=lists, **more)
    return Table.from_csv(file, images, data.file, data.label, about.group, data.where, task.classes, **more)


def _listed_masks(
    plan: Plan, task: SegmentationSection, file: Path, images: Path, more: dict[str, str | None]
) -> Table:
    data = plan.data
    assert data.mask is not None
    return Table.from_masks(
        file,
        images,
        data.file,
        data.mask,
        structures=task.structures,
        values=data.values or None,
        field=data.field,
        ignore_value=data.ignore_value,
        threshold=data.threshold,
        spacing=data.spacing,
        group=_about(plan).group,
        where=data.where,
        exclusive=task.exclusive,
        **more,
    )


def _listed_boxes(plan: Plan, task: DetectionSection, file: Path, images: Path, more: dict[str, str | None]) -> Table:
    data = plan.data
    # The list of images has those without boxes too; where there is none, images are those that have a box.
    listing = None if data.boxes == data.table else file
    return Table.from_boxes(
        plan.root / str(data.boxes),
        images,
        data.box_file,
        str(data.label),
        data.corners,
        mode=data.box_mode,
        fractions=data.box_unit == "fractions",
        listing=listing,
        listing_file=data.file,
        group=_about(plan).group,
        where=data.where,
        classes=task.classes,
        **more,
    )


def _about(plan: Plan) -> About:
    data = plan.data
    return About(None if data.group == DICOM else data.group, data.site, data.scanner, data.region)


def _split(plan: Plan) -> str | None:
    return plan.data.split if "split" in plan.data.model_fields_set else None


def _shows(task: TaskSection) -> Shows:
    if isinstance(task, ClassificationSection):
        return "classes"
    if isinstance(task, SegmentationSection):
        return "masks"
    return "boxes" if isinstance(task, DetectionSection) else "findings"

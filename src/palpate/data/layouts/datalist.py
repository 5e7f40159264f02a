"""MONAI and Decathlon datalists: a JSON with lists of `{"image": ..., "label": ..., ...}`, unfolded into sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from palpate.data.annotations.box_modes import BOX_MODES, corners_of
from palpate.data.annotations.boxes import box_cases
from palpate.data.annotations.classes import class_cases
from palpate.data.annotations.findings import finding_cases
from palpate.data.annotations.labels import BoxLabels, ClassLabels, FindingLabels, LabelKind, MaskLabels
from palpate.data.annotations.mask_table import mask_cases
from palpate.data.cases import listed
from palpate.data.json_file import cell, entry, path_from, read_json
from palpate.data.layouts.layout import LabelFields, Layout
from palpate.data.listing import About, Listing
from palpate.data.rows import Rows
from palpate.data.sheets import Line, Sheet
from palpate.data.source import Source
from palpate.data.stacked import Stacked
from palpate.errors import InputError

__all__ = ["Datalist", "Sheets", "datalist_splits", "read_datalist"]

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class Datalist(Layout):
    """A MONAI or Decathlon datalist, a JSON with lists of images and labels.

    An image that is a list of paths has its channels in separate files. A label is a class; a path, or one path per
    structure; a list of classes of boxes, with the key `box`; or a list of 0 and 1 (-1: not judged).

    Attributes:
        split: key of the list, such as `validation`; by default the only one whose items are labelled.
        images: folder that paths start from; that of the JSON by default.
        file: key of the images.
        about: keys that say where an image comes from.
        where: keep the items whose key has this value, such as `{"fold": 0}`.
    """

    called: ClassVar[str] = "a datalist"
    example: ClassVar[str] = "dataset.json"
    reads: ClassVar[LabelFields] = {
        ClassLabels: ("label",),
        FindingLabels: ("label",),
        MaskLabels: ("label", "values", "ignore_value", "threshold"),
        BoxLabels: ("label", "box_mode"),
    }

    split: str | None = None
    images: Path | None = None
    file: str = "image"
    about: About = About()
    where: Mapping[str, object] = field(default_factory=dict)

    def rows(self, labels: LabelKind) -> Rows:
        """The items of the list.

        Raises:
            InputError: a list, key or file is not there or not what it should be, or a path leads out of the folder.
        """
        root = self.images or self.path.parent
        sheets = read_datalist(self.path, self.split, root, self.file, labels)
        listing, source = Listing(sheets.images, root, self.file, self.about, self.where), sheets.source(root)
        if isinstance(labels, MaskLabels):
            cases, masks = mask_cases(listing, replace(labels, mask=sheets.masks, field=None))
            return Rows(*cases, source, masks)
        if isinstance(labels, BoxLabels):
            cases, boxes = box_cases(sheets.boxes, BoxLabels(labels.names), listing)
            return Rows(*cases, source, boxes)
        if isinstance(labels, FindingLabels):
            cases, findings = finding_cases(listing, replace(labels, separator=None))
            return Rows(*cases, source, findings)
        return Rows(*class_cases(listing, labels), source)


@dataclass(frozen=True)
class Sheets:
    """A list of a datalist as sheets.

    Attributes:
        images: one line per item; its image, its label and every other key with a single value are columns.
        boxes: one line per box, where boxes are read.
        files: paths of the channels of images of several files, by the first one.
        masks: column of masks, or the columns where each item lists one file per structure.
    """

    images: Sheet
    boxes: Sheet
    files: Mapping[str, tuple[str, ...]]
    masks: str | tuple[str, ...]

    def source(self, root: Path) -> Source:
        """Where the pixels are."""
        return Stacked(root, channels=self.files)


def datalist_splits(path: Path, document: Any, label: str = "label") -> dict[str, int]:
    """Lists of a datalist whose items are labelled, and how many items they have; one list alone has no name."""
    lists = document if isinstance(document, dict) else {"": document}
    return {
        name: len(items)
        for name, items in lists.items()
        if isinstance(items, list) and items and all(isinstance(item, dict) and label in item for item in items)
    }


def read_datalist(path: Path, split: str | None, images: Path, file: str, labels: LabelKind) -> Sheets:
    """A list of a datalist as sheets; the arguments are those of `Datalist`."""
    key = str(labels.label)
    if isinstance(labels, FindingLabels) and labels.names is None:
        raise InputError("names: findings have no names. Give them, in the order of the model's outputs.")
    items = _items(path, split, (file, key), labels.names if isinstance(labels, FindingLabels) else None)
    lines, boxes, files, masks = [], [], {}, 1
    for number, item in enumerate(items, start=1):
        channels = _paths(path, number, item, file, images)
        cells = {name: cell(value) for name, value in item.items()} | {file: channels[0]}
        if isinstance(labels, MaskLabels):
            drawn = _paths(path, number, item, key, images)
            masks = max(masks, len(drawn))
            cells |= {_column(key, place, len(drawn)): mask for place, mask in enumerate(drawn, start=1)}
        elif isinstance(labels, BoxLabels):
            boxes += _boxes(path, number, item, channels[0], labels)
        else:
            cells |= _labels(f"{path}, item {number}", item, key, labels)
        lines.append(Line(number, cells, "item"))
        if len(channels) > 1:
            files[channels[0]] = channels
    columns = tuple(_column(key, place, masks) for place in range(1, masks + 1))
    sheet = Sheet(path, ["image", "label", *_CORNERS], boxes)
    return Sheets(_sheet(path, lines), sheet, files, columns[0] if masks == 1 else columns)


def _labels(where: str, item: dict[str, Any], key: str, labels: ClassLabels | FindingLabels) -> dict[str, str]:
    """The class, or the findings, of an item as cells; none where findings are keys of their own."""
    if isinstance(labels, ClassLabels):
        return {key: _class(where, item[key])}
    return _findings(where, item[key], labels.names or ()) if key in item else {}


def _items(
    path: Path, split: str | None, keys: tuple[str, str], findings: Sequence[str] | None
) -> list[dict[str, Any]]:
    _, label = keys
    document = read_json(path)
    lists = {name: items for name, items in document.items() if isinstance(items, list)} if isinstance(
        document, dict
    ) else {"": document}  # fmt: skip
    if "" in lists and split is not None:
        raise InputError(f"{path} is one list and has no split '{split}'. Remove data.split.")
    labelled = datalist_splits(path, document, label)
    if split is None and "" not in lists:
        if len(labelled) != 1:
            known = f"it has {listed(labelled)}" if labelled else f"no list of it has items with '{label}'"
            raise InputError(f"{path}: {known}. Name one list of labelled items in data.split.")
        split = next(iter(labelled))
    if (split or "") not in lists:
        raise InputError(f"{path} has no list '{split}'. Its lists are: {listed(lists) or 'none'}.")
    items = lists[split or ""]
    if not isinstance(items, list) or not items:
        raise InputError(f"{path}: the list '{split}' is empty. Choose another split.")
    for number, item in enumerate(items, start=1):
        if isinstance(item, str):
            raise InputError(f"{path}, item {number}: '{split}' lists images without labels. Choose another split.")
        for key in keys:
            # Findings may be keys of their own.
            if not (key == label and findings and isinstance(item, dict) and set(findings) <= set(item)):
                entry(path, f"item {number}", item, key, object)
    return items


def _sheet(path: Path, lines: list[Line]) -> Sheet:
    header = list(dict.fromkeys(key for line in lines for key in line.cells))
    blank = dict.fromkeys(header, "")
    return Sheet(path, header, [Line(line.number, {**blank, **line.cells}, line.word) for line in lines])


def _column(label: str, place: int, count: int) -> str:
    return label if count == 1 else f"{label} {place}"


def _paths(path: Path, number: int, item: dict[str, Any], key: str, images: Path) -> tuple[str, ...]:
    held = item[key]
    paths = held if isinstance(held, list) and held else [held]
    return tuple(path_from(images, one, f"{path}, item {number}, '{key}'") for one in paths)


def _class(where: str, held: Any) -> str:
    if isinstance(held, list) and len(held) == 1:
        held = held[0]
    if isinstance(held, (list, dict)) or held is None:
        raise InputError(f"{where}: its label is {held!r}, and an image has one class. Give its number or its name.")
    return cell(held)


def _findings(where: str, held: Any, names: Sequence[str]) -> dict[str, str]:
    if not isinstance(held, list) or len(held) != len(names):
        raise InputError(
            f"{where}: its label is {held!r}, and there are {len(names)} findings ({listed(names)}). "
            "Give a list of 1, 0 or -1 (not judged), one for each."
        )
    return {name: cell(value) for name, value in zip(names, held, strict=True)}


def _boxes(path: Path, number: int, item: dict[str, Any], image: str, held: BoxLabels) -> list[Line]:
    place = f"item {number}"
    boxes, labels = entry(path, place, item, "box", list), entry(path, place, item, held.label, list)
    mode = item.get("box_mode", held.box_mode)
    if mode not in BOX_MODES:
        raise InputError(f"{path}, {place}: its box_mode is {mode!r}. Give one of {listed(BOX_MODES)}.")
    if len(boxes) != len(labels):
        raise InputError(f"{path}, {place}: {len(boxes)} boxes and {len(labels)} labels. Give each box its label.")
    lines = []
    for box, label in zip(boxes, labels, strict=True):
        numbers = box if isinstance(box, list) else []
        if len(numbers) != 4 or not all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in numbers):
            raise InputError(
                f"{path}, {place}: a box is {box!r}, and palpate reads boxes in two dimensions, four numbers of "
                "pixels. Correct it."
            )
        corners = (repr(corner) for corner in corners_of(numbers, mode))
        cells = {"image": image, "label": cell(label), **dict(zip(_CORNERS, corners, strict=True))}
        lines.append(Line(number, cells, "item"))
    return lines

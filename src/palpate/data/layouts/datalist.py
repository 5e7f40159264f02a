"""MONAI and Decathlon datalists: a JSON with lists of `{"image": ..., "label": ..., ...}`, unfolded into sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from palpate.data.annotations.box_modes import BOX_MODES, BoxMode, corners_of
from palpate.data.cases import listed
from palpate.data.json_file import cell, entry, path_from, read_json
from palpate.data.sheets import Line, Sheet
from palpate.errors import InputError

__all__ = ["BOX_MODES", "BoxMode", "Datalist", "Keys", "Shows", "datalist_splits", "read_datalist"]

Shows = Literal["classes", "masks", "boxes", "findings"]

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of an item: of its image, its label, and of boxes, which `mode` says the meaning of."""

    image: str = "image"
    label: str = "label"
    box: str = "box"
    mode: BoxMode = "xyxy"


@dataclass(frozen=True)
class Datalist:
    """A datalist as sheets.

    Attributes:
        images: one line an item; its image, its label and every other key with a single value are columns.
        boxes: one line a box, where boxes are read.
        files: paths of the channels of images of several files, by the first one.
        masks: column of masks, or the columns where each item lists one file a structure.
    """

    images: Sheet
    boxes: Sheet
    files: Mapping[str, tuple[str, ...]]
    masks: str | tuple[str, ...]


def datalist_splits(path: Path, document: Any, label: str = "label") -> dict[str, int]:
    """Lists of a datalist whose items are labelled, and how many items they have; one list alone has no name."""
    lists = document if isinstance(document, dict) else {"": document}
    return {
        name: len(items)
        for name, items in lists.items()
        if isinstance(items, list) and items and all(isinstance(item, dict) and label in item for item in items)
    }


def read_datalist(
    path: Path, split: str | None, images: Path, keys: Keys, shows: Shows, names: Sequence[str] | None
) -> Datalist:
    """A list of a datalist as sheets; see `palpate.data.table.Table.from_datalist`."""
    items = _items(path, split, keys, names if shows == "findings" else None)
    lines, boxes, files, masks = [], [], {}, 1
    for number, item in enumerate(items, start=1):
        where = f"{path}, item {number}"
        channels = _paths(path, number, item, keys.image, images)
        cells = {key: cell(value) for key, value in item.items()} | {keys.image: channels[0]}
        if shows == "masks":
            drawn = _paths(path, number, item, keys.label, images)
            masks = max(masks, len(drawn))
            cells |= {_column(keys.label, place, len(drawn)): mask for place, mask in enumerate(drawn, start=1)}
        elif shows == "boxes":
            boxes += _boxes(path, number, item, channels[0], keys)
        elif shows == "classes":
            cells[keys.label] = _class(where, item[keys.label])
        elif keys.label in item:
            cells |= _findings(where, item[keys.label], names or ())
        lines.append(Line(number, cells, "item"))
        if len(channels) > 1:
            files[channels[0]] = channels
    columns = tuple(_column(keys.label, place, masks) for place in range(1, masks + 1))
    sheet = Sheet(path, ["image", "label", *_CORNERS], boxes)
    return Datalist(_sheet(path, lines), sheet, files, columns[0] if masks == 1 else columns)


def _items(path: Path, split: str | None, keys: Keys, findings: Sequence[str] | None) -> list[dict[str, Any]]:
    document = read_json(path)
    lists = {name: items for name, items in document.items() if isinstance(items, list)} if isinstance(
        document, dict
    ) else {"": document}  # fmt: skip
    if "" in lists and split is not None:
        raise InputError(f"{path} is one list and has no split '{split}'. Remove data.split.")
    labelled = datalist_splits(path, document, keys.label)
    if split is None and "" not in lists:
        if len(labelled) != 1:
            known = f"it has {listed(labelled)}" if labelled else f"no list of it has items with '{keys.label}'"
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
        for key in (keys.image, keys.label):
            # Findings may be keys of their own.
            if not (key == keys.label and findings and isinstance(item, dict) and set(findings) <= set(item)):
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


def _boxes(path: Path, number: int, item: dict[str, Any], image: str, keys: Keys) -> list[Line]:
    place = f"item {number}"
    boxes, labels = entry(path, place, item, keys.box, list), entry(path, place, item, keys.label, list)
    mode = item.get("box_mode", keys.mode)
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

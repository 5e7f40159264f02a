"""YOLO: a `data.yaml`, images, and one text of boxes an image: class, centre and size in fractions of the image."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from palpate.data.annotations.boxes import Box, BoxLines
from palpate.data.annotations.labels import BoxLabels, LabelKind
from palpate.data.cases import checked_classes, listed
from palpate.data.image_files import image_files
from palpate.data.layouts.layout import LabelFields, Layout
from palpate.data.listing import Listing, locate, visible
from palpate.data.rows import Rows
from palpate.data.sheets import Line, Sheet
from palpate.data.source import Folder
from palpate.errors import InputError

__all__ = ["Yolo", "YoloSet", "is_description", "label_file", "read_yolo", "yolo_boxes", "yolo_images", "yolo_splits"]

MAX_BYTES = 2**20
"""Bytes of a data.yaml or of a text of boxes; larger files are something else."""
_SPLITS = ("test", "val", "train")
_FOLDERS = {"test": ("test",), "val": ("val", "valid", "validation"), "train": ("train", "training")}


@dataclass(frozen=True)
class Yolo(Layout):
    """The `data.yaml` of a YOLO set, or a folder with `images` and `labels`.

    An image whose text is empty or missing has no boxes. Texts that hold polygons, as for segmentation, give the boxes
    around them.

    Attributes:
        split: `test`, `val` or `train`; without it the first of these that is there.
    """

    called: ClassVar[str] = "a YOLO set"
    example: ClassVar[str] = "data.yaml"
    reads: ClassVar[LabelFields] = {BoxLabels: ()}
    has_texts: ClassVar[bool] = True

    split: str | None = None

    def rows(self, labels: LabelKind) -> Rows:
        """The images of the split; classes are named as the set names them by default.

        Raises:
            InputError: a file, split or class is missing, or a text is damaged.
        """
        yolo = read_yolo(self.path)
        sheet, names, boxes, texts = yolo_boxes(yolo, self.split, labels.names)
        cases = tuple(case for _, case in Listing(sheet, yolo.root, "image").lines())
        lines = BoxLines(self.path, yolo.root, boxes, fractions=True, texts=texts)
        return Rows(cases, names, Folder(yolo.root), lines)


@dataclass(frozen=True)
class YoloSet:
    """What a `data.yaml`, or a folder without one, says.

    Attributes:
        path: the file, or the folder.
        root: the folder that holds all images and labels.
        names: of the classes, in their order; empty where nothing names them.
        splits: folders of images, or lists of images, of each split; the one to audit first.
        posed: whether key points follow each box.
    """

    path: Path
    root: Path
    names: tuple[str, ...]
    splits: Mapping[str, tuple[Path, ...]]
    posed: bool = False


def read_yolo(path: Path) -> YoloSet:
    """A YOLO set from its `data.yaml`, or from the folder that holds it, or `images` and `labels`.

    Raises:
        InputError: the file is missing or no YAML, a key is not what it should be, or no split is there.
    """
    if path.is_dir():
        files = [file for file in visible(path.iterdir()) if file.suffix.lower() in (".yaml", ".yml")]
        described = [file for file in files if is_description(file)]
        if len(described) > 1:
            raise InputError(f"{path} holds {listed([one.name for one in described])}. Name one of them in data.yolo.")
        return read_yolo(described[0]) if described else _bare(path)
    document = _yaml(path)
    if not isinstance(document, dict) or "names" not in document:
        raise InputError(f"{path} has no 'names'. Give the data.yaml of a YOLO set, with the names of the classes.")
    splits, missing = {}, []
    for split in _SPLITS:
        if document.get(split):
            try:
                splits[split] = _split(path, document, split)
            except FileNotFoundError as error:  # exports name splits that were never made
                missing.append(str(error))
    if not splits:
        raise InputError(
            f"{path} names no images that are there. {' '.join(missing[:1])} Give it the key val or test: a folder of "
            "images, by its path from the folder of this file."
        )
    folders = [folder for places in splits.values() for folder in places]
    return YoloSet(path, _root(path.parent, folders), _names(path, document["names"]), splits, "kpt_shape" in document)


def yolo_splits(yolo: YoloSet) -> dict[str, int]:
    """Splits of a set, the one to audit first, and how many images they have."""
    return {split: len(yolo_images(yolo, split)) for split in yolo.splits}


def yolo_images(yolo: YoloSet, split: str | None) -> list[Path]:
    """The images of a split; of the first one where none is named.

    Raises:
        InputError: there is no such split, or no images in it.
    """
    wanted = next(iter(yolo.splits)) if split is None else split
    if wanted not in yolo.splits:
        raise InputError(f"{yolo.path} has no split '{wanted}'. Set data.split to one of: {listed(yolo.splits)}.")
    found = [image for place in yolo.splits[wanted] for image in _images(place)]
    if not found:
        raise InputError(f"{yolo.splits[wanted][0]} holds no images. Correct '{wanted}' in {yolo.path}.")
    return found


def yolo_boxes(
    yolo: YoloSet, split: str | None, classes: Sequence[str] | None
) -> tuple[Sheet, tuple[str, ...], dict[str, tuple[Box, ...]], dict[str, Path]]:
    """One line an image with its column `image`, the classes, and the boxes and texts of images that have some.

    Boxes are in fractions of their image.

    Raises:
        InputError: no image has a text of boxes, one is damaged, or a class has no name.
    """
    lines, boxes, texts, highest = [], {}, {}, -1
    names = yolo.names if classes is None else checked_classes(classes, "classes")
    order = _order(yolo, names)
    for number, image in enumerate(yolo_images(yolo, split), start=1):
        name = Path(os.path.relpath(image, yolo.root)).as_posix()
        lines.append(Line(number, {"image": name}, "image"))
        text = label_file(image)
        if text.is_file():
            texts[name] = text
        own = _boxes(text, posed=yolo.posed) if name in texts else ()
        highest = max([highest, *(box.label for box in own)])
        if own and order and highest < len(order):
            own = tuple(box._replace(label=order[box.label]) for box in own)
        boxes[name] = own
    if not texts:
        raise InputError(
            f"{yolo.path}: no image has a text of boxes; that of the first image would be {text}. Put the labels there."
        )
    if not names:
        names = tuple(str(number) for number in range(highest + 1))
    if highest >= len(names):
        raise InputError(f"{yolo.path} names {len(names)} classes, and a box has class {highest}. Name all classes.")
    return Sheet(yolo.path, ["image"], lines), names, {name: own for name, own in boxes.items() if own}, texts


def label_file(image: Path) -> Path:
    """The text of boxes of an image: in `labels` where the image lies in `images`, else beside it."""
    parts = list(image.parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts).with_suffix(".txt")


def _yaml(path: Path) -> Any:
    import yaml  # type: ignore[import-untyped]

    try:
        with open(path, "rb") as handle:
            content = handle.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(
                f"{path} is larger than {MAX_BYTES:,} bytes, which is too large for a data.yaml. Give the right file."
            )
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(content)):
            # A few lines of aliases of aliases stand for more than any memory holds.
            raise InputError(f"{path} uses YAML aliases (*name). Write the values out.")
        return yaml.safe_load(content)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Correct data.yolo.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Give a data.yaml.") from error
    except RecursionError as error:
        raise InputError(f"{path} is nested too deeply to be a data.yaml. Give the right file.") from error
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(getattr(error, "problem", None) or error).split())
        raise InputError(f"{path} is not YAML ({reason}). Save it again.") from error


def is_description(path: Path) -> bool:
    """Whether a YAML file names classes and splits; a damaged `data.yaml` counts as one."""
    try:
        document = _yaml(path)
    except InputError:
        return path.name == "data.yaml"
    return isinstance(document, dict) and "names" in document and any(document.get(split) for split in _SPLITS)


def _names(path: Path, held: Any) -> tuple[str, ...]:
    if isinstance(held, dict):
        numbers = sorted(held, key=str)
        if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers) or sorted(
            numbers
        ) != list(range(len(numbers))):
            raise InputError(
                f"{path}: the numbers of its names are {listed(numbers)}. Count them from 0, without gaps."
            )
        held = [held[number] for number in range(len(numbers))]
    if not isinstance(held, list) or not held:
        raise InputError(
            f"{path}: 'names' is {str(held)[:40]!r}. Give a list of names, or a name for each number from 0."
        )
    return checked_classes(held, f"{path}: names")


def _split(path: Path, document: dict[Any, Any], split: str) -> tuple[Path, ...]:
    held = document[split]
    places = []
    for text in held if isinstance(held, list) else [held]:
        if not isinstance(text, str):
            raise InputError(f"{path}: '{split}' is {text!r}. Give a folder of images, or a list of folders.")
        base = document.get("path")
        bases = [path.parent / base] if isinstance(base, str) else []
        # Exports name folders from where the training ran: `../train/images` beside data.yaml.
        plain = text
        while plain.startswith(("../", "./")):
            plain = plain.partition("/")[2]
        tried = [*(one / text for one in bases), path.parent / text, path.parent / plain]
        place = next((one for one in tried if one.exists()), None)
        if place is None:
            raise FileNotFoundError(f"'{split}' is '{text}', and there is no {tried[0]}.")
        places.append(Path(os.path.normpath(place)))
    return tuple(places)


def _bare(folder: Path) -> YoloSet:
    """A folder with `images` and `labels`, which may have folders of splits, and perhaps `classes.txt`."""
    images, labels = folder / "images", folder / "labels"
    split_first = {
        split: folder / name / "images"
        for split, names in _FOLDERS.items()
        for name in names
        if (folder / name / "images").is_dir() and (folder / name / "labels").is_dir()
    }
    if not split_first and not (images.is_dir() and labels.is_dir()):
        raise InputError(f"{folder} holds neither a data.yaml nor the folders images and labels. Give data.yolo one.")
    below = {split: images / name for split, names in _FOLDERS.items() for name in names if (images / name).is_dir()}
    splits = split_first or below or {"val": images}
    names: tuple[str, ...] = ()
    for place in (folder / "classes.txt", labels / "classes.txt"):
        if place.is_file():
            names = checked_classes([line for line in _text(place).splitlines() if line.strip()], str(place))
            break
    return YoloSet(folder, folder, names, {split: (place,) for split, place in splits.items()})


def _root(folder: Path, places: Sequence[Path]) -> Path:
    """The folder of data.yaml, or one above where images lie beside it."""
    common = os.path.commonpath([os.path.abspath(place) for place in (folder, *places)])
    return folder if common == os.path.abspath(folder) else Path(common)


def _images(place: Path) -> list[Path]:
    if place.is_dir():
        return image_files(place, deep=True)
    lines = [line.strip() for line in _text(place).splitlines() if line.strip()]
    found = []
    for line in lines:
        named = next((one for base in (place.parent, place.parent.parent) if (one := locate(base, line))), None)
        bases = [base for base in (place.parent, place.parent.parent) if locate(base, line)]
        if named is None:
            raise InputError(f"{place}: '{line}' does not exist. List images by their path from the list's folder.")
        found.append(Path(os.path.normpath(bases[0] / named)))
    return found


def _text(path: Path) -> str:
    try:
        with open(path, "rb") as handle:
            content = handle.read(64 * MAX_BYTES)
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text. Save it as UTF-8.") from error


def _boxes(path: Path, *, posed: bool) -> tuple[Box, ...]:
    """The boxes of a text. A polygon counts as the box around it; key points behind a box are passed over."""
    boxes = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if cells := line.split():
            boxes.append(_box(path, f"line {number}", cells[:5] if posed else cells))
    return tuple(boxes)


def _box(path: Path, place: str, cells: Sequence[str]) -> Box:
    try:
        label, numbers = int(cells[0]), [float(cell) for cell in cells[1:]]
    except ValueError:
        label, numbers = -1, []
    drawn = len(numbers) >= 6 and len(numbers) % 2 == 0
    if label < 0 or not (len(numbers) == 4 or drawn) or not all(map(math.isfinite, numbers)):
        raise InputError(
            f"{path}, {place}: '{' '.join(cells)[:60]}' is not a box. Give a class from 0, the centre (x y) and the "
            "size "
            "(width height), as fractions of the image; or a class and the corners of a polygon."
        )
    if max(numbers) > 1.01 or min(numbers) < -0.01:
        raise InputError(
            f"{path}, {place}: the box holds {max(numbers, key=abs):g}, and YOLO writes fractions from 0 to 1. Divide "
            "pixels by the width and height of the image."
        )
    if drawn:
        corners = (min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2]))
    else:
        x, y, width, height = numbers
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if corners[2] <= corners[0] or corners[3] <= corners[1]:
        raise InputError(f"{path}, {place}: the box has no area. Take the line out.")
    return Box(f"{path.name}, {place}", label, corners)


def _order(yolo: YoloSet, names: Sequence[str]) -> tuple[int, ...]:
    """The place of each class of the set in the model's order; empty where classes are not named."""
    if not yolo.names:
        return ()
    if missing := [name for name in yolo.names if name not in names]:
        raise InputError(
            f"{yolo.path} names the classes {listed(yolo.names)}, and the task {listed(names)}: {missing[0]} is "
            "missing. Give task.classes these names, in the order of the model's outputs."
        )
    return tuple(list(names).index(name) for name in yolo.names)

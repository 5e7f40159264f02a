"""Pascal VOC: one XML of boxes an image, with corners that count from 1 and belong to the box.

A box from `xmin` to `xmax` covers these pixels and all between. In corners that count edges from 0, as everywhere else
in palpate, it reaches from `xmin - 1` to `xmax`. Tools that write VOC with corners from 0 are off by one pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import ClassVar
from xml.etree import ElementTree

from palpate.data.annotations.boxes import box_cases
from palpate.data.annotations.labels import BoxLabels, LabelKind, MaskLabels
from palpate.data.annotations.mask_table import mask_cases
from palpate.data.cases import listed
from palpate.data.json_file import path_from, unique
from palpate.data.layouts.layout import LabelFields, Layout
from palpate.data.listing import Listing, locate, visible
from palpate.data.rows import Rows
from palpate.data.sheets import Line, Sheet
from palpate.data.source import Folder
from palpate.errors import InputError

__all__ = ["MAX_XML", "VOID", "PascalVoc", "read_voc", "voc_masks", "voc_splits"]

MAX_XML = 2**22
"""Bytes of an XML; an annotation of a thousand boxes has a tenth of it."""

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
VOID = 255
"""Stored value of pixels that do not count in the masks of Pascal VOC."""

Sizes = dict[str, tuple[int, int]]
"""Declared width and height of images, by name."""


@dataclass(frozen=True)
class PascalVoc(Layout):
    """A Pascal VOC folder: `JPEGImages`, `ImageSets`, and `Annotations` for boxes or `SegmentationClass` for masks.

    Attributes:
        split: a list in `ImageSets/Main`, or `ImageSets/Segmentation` for masks; by default `test` (for masks else
            `val`), or all annotations where there are no lists.
        difficult: keep boxes that are marked as difficult.
    """

    called: ClassVar[str] = "a VOC folder"
    example: ClassVar[str] = "VOC2007"
    reads: ClassVar[LabelFields] = {MaskLabels: ("values", "ignore_value"), BoxLabels: ()}
    has_texts: ClassVar[bool] = True

    split: str | None = None
    difficult: bool = False

    def rows(self, labels: LabelKind) -> Rows:
        """The images of the split; classes of boxes are sorted by default. Stored value 255 of masks does not count.

        Raises:
            InputError: a folder, split, image, mask or size is missing, or an XML is damaged or declares entities.
        """
        if isinstance(labels, MaskLabels):
            ignored = VOID if labels.ignore_value is None else labels.ignore_value
            listing = Listing(voc_masks(self.path, self.split), self.path)
            cases, masks = mask_cases(listing, replace(labels, mask="mask", field=None, ignore_value=ignored))
            return Rows(*cases, Folder(self.path), masks)
        boxes, images, sizes = read_voc(self.path, self.split, self.difficult)
        names = sorted({line.cells["label"] for line in boxes.lines}) if labels.names is None else labels.names
        cases, held = box_cases(boxes, BoxLabels(names), Listing(images, self.path, "image"))
        return Rows(*cases, Folder(self.path), replace(held, sizes=sizes))


def voc_splits(root: Path, what: str = "Main") -> dict[str, int]:
    """Splits of a folder, lists of all its images and not of those of one class, and how many images they have.

    Args:
        root: such as `VOC2007`.
        what: `Main` for boxes, `Segmentation` for masks.
    """
    folder = root / "ImageSets" / what
    files = visible(folder.glob("*.txt")) if folder.is_dir() else []
    splits = {path.stem: _identifiers(path) for path in files}
    # `cow_test.txt` lists the images of a split again, each with 1 or -1.
    whole = [name for name in splits if "_" not in name or name.rpartition("_")[2] not in splits]
    return {name: len(splits[name]) for name in whole if splits[name]}


def read_voc(root: Path, split: str | None, difficult: bool) -> tuple[Sheet, Sheet, Sizes]:
    """One line a box, one line an image, and the declared sizes."""
    identifiers, lines, boxes, sizes = _chosen(root, split), [], [], {}
    for number, identifier in enumerate(identifiers, start=1):
        path = root / "Annotations" / f"{_plain(root, identifier)}.xml"
        document = read_xml(path)
        name = _image(root, path, identifier, document)
        sizes[name] = _size(path, document)
        lines.append(Line(number, {"image": name}, "image"))
        boxes += [
            Line(place, _box(path, place, name, thing), f"{path.name}, object")
            for place, thing in enumerate(document.findall("object"), start=1)
            if difficult or _text(thing, "difficult") != "1"
        ]
    return Sheet(root, ["image", "label", *_CORNERS], boxes), Sheet(root, ["image"], lines), sizes


def voc_masks(root: Path, split: str | None) -> Sheet:
    """One line an image of `SegmentationClass`, with its columns `file` and `mask`.

    Raises:
        InputError: a folder, split, image or mask is missing.
    """
    folder, splits = root / "SegmentationClass", voc_splits(root, "Segmentation")
    masks = {path.stem: path.name for path in visible(folder.iterdir())} if folder.is_dir() else {}
    if not masks:
        raise InputError(f"{root} has no masks in SegmentationClass. Put them there, or choose a task of boxes.")
    if split is None and not splits:
        identifiers = list(masks)
    else:
        identifiers = _of_split(root, split or next((one for one in ("test", "val") if one in splits), None), splits)
    lines = []
    for number, identifier in enumerate(identifiers, start=1):
        if identifier not in masks:
            raise InputError(f"{folder} holds no mask '{identifier}'. Put it there, or take it out of the split.")
        image = _found(root, identifier, str(root))
        cells = {"file": image, "mask": f"SegmentationClass/{masks[identifier]}"}
        lines.append(Line(number, cells, "image"))
    return Sheet(root, ["file", "mask"], lines)


def _of_split(root: Path, split: str | None, splits: Mapping[str, int], what: str = "Segmentation") -> list[str]:
    if split not in splits:
        known = f"no split '{split}'" if split else "several splits"
        raise InputError(
            f"{root} has {known} in ImageSets/{what}. Set data.split to one of: {listed(splits) or 'none'}."
        )
    file = root / "ImageSets" / what / f"{split}.txt"
    identifiers = _identifiers(file)
    unique(file, "the image", identifiers)
    return identifiers


def read_xml(path: Path) -> ElementTree.Element:
    """The root of an XML that declares nothing: entities could make a small file take all memory, or read others.

    Raises:
        InputError: the file is missing, too large, not UTF-8, no XML, or has a DOCTYPE or entities.
    """
    try:
        with open(path, "rb") as handle:
            content = handle.read(MAX_XML + 1)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Each image of a split needs its XML.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Give an XML file.") from error
    if len(content) > MAX_XML:
        raise InputError(
            f"{path} is larger than {MAX_XML:,} bytes, which is too large for an annotation. Give the right file."
        )
    try:
        text = content.decode("utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise InputError(f"{path} declares a DOCTYPE or entities, which palpate does not read. Remove them.")
        return ElementTree.fromstring(text)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error
    except (ElementTree.ParseError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not XML ({error}). Save it again.") from error


def _chosen(root: Path, split: str | None) -> list[str]:
    if not (root / "Annotations").is_dir():
        raise InputError(f"{root} has no folder Annotations. Give the folder of a Pascal VOC set, such as VOC2007.")
    splits = voc_splits(root)
    if split is None and not splits:
        identifiers = [path.stem for path in visible((root / "Annotations").glob("*.xml"))]
        if not identifiers:
            raise InputError(f"{root / 'Annotations'} holds no XML. Give the folder of a Pascal VOC set.")
        return identifiers
    return _of_split(root, split or ("test" if "test" in splits else None), splits, "Main")


def _identifiers(path: Path) -> list[str]:
    try:
        return [line.split()[0] for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text. Save it as UTF-8, one image per line.") from error


def _plain(root: Path, identifier: str) -> str:
    """An identifier, which names a file of `Annotations` and nothing else; a folder below it may be part of it."""
    parts = PurePosixPath(identifier)
    if parts.is_absolute() or ".." in parts.parts or "\0" in identifier:
        raise InputError(f"{root}: the split lists '{identifier}', which names no annotation. Correct the list.")
    return identifier


def _image(root: Path, path: Path, identifier: str, document: ElementTree.Element) -> str:
    name = _text(document, "filename")
    return _found(root, identifier, str(path), *([name] if name else []))


def _found(root: Path, identifier: str, where: str, *others: str) -> str:
    for name in (identifier, *others):
        if found := locate(root, path_from(root, f"JPEGImages/{name}", where)):
            return found
    raise InputError(f"{root / 'JPEGImages'} holds no image '{identifier}'. Put it there, or take it out of the split.")


def _size(path: Path, document: ElementTree.Element) -> tuple[int, int]:
    texts = [_text(document, f"size/{name}") for name in ("width", "height")]
    numbers = [int(text) if text.isdecimal() and len(text) < 10 else 0 for text in texts]
    if not all(numbers):
        raise InputError(
            f"{path} does not say the size of its image (size/width and size/height). Add it: boxes are in its pixels."
        )
    return numbers[0], numbers[1]


def _box(path: Path, place: int, name: str, thing: ElementTree.Element) -> dict[str, str]:
    cells = {"image": name, "label": _text(thing, "name")}
    for corner in _CORNERS:
        text = _text(thing, f"bndbox/{corner}")
        try:
            number = float(text)
        except ValueError as error:
            what = f"'{text}'" if text else "empty"
            raise InputError(f"{path}, object {place}: bndbox/{corner} is {what}. Give its pixel, from 1.") from error
        cells[corner] = repr(number - 1 if corner in ("xmin", "ymin") else number)
    return cells


def _text(element: ElementTree.Element, place: str) -> str:
    return (element.findtext(place) or "").strip()

"""COCO: a JSON of images, categories and annotations, unfolded into sheets of boxes, or drawn as masks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from palpate.data.annotations.annotation import IGNORE, Annotation
from palpate.data.annotations.boxes import box_cases, require_declared
from palpate.data.annotations.coco_shapes import drawn
from palpate.data.annotations.labels import BoxLabels, LabelKind, MaskLabels
from palpate.data.annotations.masks import merged
from palpate.data.cases import Case, checked_classes, listed
from palpate.data.json_file import cell, entry, path_from, read_json, unique
from palpate.data.layouts.layout import LabelFields, Layout
from palpate.data.listing import About, Listing
from palpate.data.rows import Rows
from palpate.data.sheets import Line, Sheet
from palpate.data.source import Folder
from palpate.errors import InputError, nearest

__all__ = ["Coco", "CocoFile", "CocoMasks", "Shape", "coco_boxes", "coco_masks", "read_coco"]

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class Shape(NamedTuple):
    """One drawn annotation: its place for messages, structure from 0, polygons or run lengths, and whether a crowd."""

    place: str
    structure: int
    segmentation: Any
    crowd: bool


@dataclass(frozen=True)
class Coco(Layout):
    """A COCO JSON of boxes or masks.

    Images without annotations are kept. Boxes of crowds are ignored; in masks the pixels of crowds do not count. All
    annotations of a category are one structure.

    Attributes:
        images: folder that `file_name` starts from; that of the JSON by default.
        about: keys of images that say where they come from.
        where: keep the images whose key has this value.
    """

    called: ClassVar[str] = "a COCO file"
    example: ClassVar[str] = "instances.json"
    reads: ClassVar[LabelFields] = {MaskLabels: (), BoxLabels: ()}

    images: Path | None = None
    about: About = About()
    where: Mapping[str, object] = field(default_factory=dict)

    def rows(self, labels: LabelKind) -> Rows:
        """The images of the file; names are its categories, in the order of their ids by default.

        Raises:
            InputError: a key or file is not there, an id is unknown or appears twice, or a shape does not fit.
        """
        root = self.images or self.path.parent
        coco = read_coco(self.path, root)
        listing = Listing(coco.images, root, "file_name", self.about, self.where)
        if isinstance(labels, MaskLabels):
            masks = coco_masks(coco, root, labels)
            listing.require()
            return Rows(tuple(case for _, case in listing.lines()), masks.structures, Folder(root), masks)
        names = tuple(coco.categories.values()) if labels.names is None else labels.names
        cases, boxes = box_cases(coco_boxes(coco), BoxLabels(names), listing)
        return Rows(*cases, Folder(root), replace(boxes, sizes=coco.sizes))


@dataclass(frozen=True)
class CocoFile:
    """A COCO file.

    Attributes:
        path: the file.
        images: one line an image, those without annotations too; `file_name` and every key with a single value.
        names: path of each image by its id.
        sizes: declared width and height of each image, where they are declared.
        categories: names by their ids, in the order of these.
        annotations: as they are in the file.
    """

    path: Path
    images: Sheet
    names: Mapping[int, str]
    sizes: Mapping[str, tuple[int, int]]
    categories: Mapping[int, str]
    annotations: Sequence[dict[str, Any]]


def read_coco(path: Path, images: Path) -> CocoFile:
    """What a COCO file holds; its images start from a folder.

    Raises:
        InputError: it is no COCO file, an id or name appears twice, or an annotation names what is not there.
    """
    document = read_json(path)
    pictures, things = entry(path, "", document, "images", list), entry(path, "", document, "annotations", list)
    if not pictures:
        raise InputError(f"{path} lists no images. Give a file with images, those without annotations too.")
    categories = {}
    for number, one in enumerate(entry(path, "", document, "categories", list), start=1):
        identifier = entry(path, f"category {number}", one, "id", int)
        if identifier in categories:
            raise InputError(f"{path}: the category id {identifier} appears twice. Keep one of them.")
        categories[identifier] = entry(path, f"category {number}", one, "name", str).strip()
    unique(path, "the category", categories.values())
    lines, names, sizes = [], {}, {}
    for number, one in enumerate(pictures, start=1):
        identifier = entry(path, f"image {number}", one, "id", int)
        name = path_from(images, entry(path, f"image {number}", one, "file_name", str), f"{path}, image {number}")
        if identifier in names:
            raise InputError(f"{path}: the image id {identifier} appears twice. Keep one of them.")
        names[identifier] = name
        if all(isinstance(one.get(side), int) for side in ("width", "height")):
            sizes[name] = (one["width"], one["height"])
        lines.append(Line(number, {**{key: cell(value) for key, value in one.items()}, "file_name": name}, "image"))
    for number, thing in enumerate(things, start=1):
        for key, known in (("image_id", names), ("category_id", categories)):
            if entry(path, f"annotation {number}", thing, key, int) not in known:
                what = "images" if key == "image_id" else f"categories {listed(categories)}"
                raise InputError(
                    f"{path}, annotation {number}: {key} {thing[key]} is not one of the {what}. Correct it."
                )
    return CocoFile(path, _filled(path, lines), names, sizes, dict(sorted(categories.items())), things)


def coco_boxes(coco: CocoFile) -> Sheet:
    """One line a box, `[x, y, width, height]` turned to corners; crowds are passed over.

    An annotation without `bbox` that has polygons has the box around them.
    """
    lines = []
    for number, thing in enumerate(coco.annotations, start=1):
        if thing.get("iscrowd") in (1, True):
            continue
        line = _named(number, thing)
        corners = (repr(one) for one in _corners(f"{coco.path}, {line.place}", thing))
        cells = {"image": coco.names[thing["image_id"]], "label": coco.categories[thing["category_id"]]}
        lines.append(replace(line, cells=cells | dict(zip(_CORNERS, corners, strict=True))))
    return Sheet(coco.path, ["image", "label", *_CORNERS], lines)


def _named(number: int, thing: dict[str, Any]) -> Line:
    """A line that messages call by the id of its annotation, which people search for, or by its place."""
    identifier = thing.get("id")
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        return Line(identifier, {}, "annotation id")
    return Line(number, {}, "annotation")


def _corners(where: str, thing: dict[str, Any]) -> tuple[float, float, float, float]:
    box = thing.get("bbox")
    if not box and (points := _points(thing.get("segmentation"))):
        return min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])
    if not box:
        raise InputError(
            f"{where} has no bbox and no polygon. Give bbox = [x, y, width, height] in pixels, or remove it."
        )
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise InputError(f"{where}: its bbox is {box!r}. Give [x, y, width, height] in pixels.")
    left, top, width, height = box
    return left, top, left + width, top + height


def _points(segmentation: Any) -> list[float]:
    """Coordinates of all polygons in turn; none where there are no polygons."""
    if not isinstance(segmentation, list) or not all(
        isinstance(one, list) and len(one) % 2 == 0 for one in segmentation
    ):
        return []
    points = [number for polygon in segmentation for number in polygon]
    return points if all(map(_is_number, points)) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True)
class CocoMasks:
    """Masks drawn from the polygons and run lengths of a COCO file, all of a category as one structure.

    Attributes:
        path: the COCO file, for messages.
        root: the folder of the images.
        structures: names of the structures.
        exclusive: whether each pixel is given one structure at most.
        spacing: mm of a pixel along rows and columns where the files do not say.
        shapes: the annotations of each case; a case without any is not there.
    """

    path: Path
    root: Path
    structures: tuple[str, ...]
    exclusive: bool
    spacing: tuple[float, ...] | None = None
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict, hash=False, repr=False)
    shapes: Mapping[str, tuple[Shape, ...]] = field(default_factory=dict, hash=False, repr=False)

    def read(self, case: Case) -> Annotation:
        """The masks of one case; pixels of crowds are ignored, since no one has drawn what is in them.

        Raises:
            InputError: the image has another size than declared, a shape cannot be drawn, or two structures overlap
                in a task that gives each pixel one.
        """
        header = Folder(self.root).header(case)
        if len(header.shape) != 3:
            raise InputError(f"{self.root / case.path} is a volume, and COCO draws in two dimensions. Give its slices.")
        height, width = header.shape[1:]
        require_declared(self.path, case.path, self.sizes, width, height)
        stack = np.zeros((len(self.structures), height, width), dtype=np.int64)
        crowds = np.zeros_like(stack, dtype=bool)
        for shape in self.shapes.get(case.path, ()):
            mask = drawn(shape.segmentation, height, width, f"{self.path}, {shape.place}")
            if shape.crowd:
                crowds[shape.structure] |= mask
            else:
                stack[shape.structure][mask] = 1
        stack[crowds & (stack == 0)] = IGNORE
        labels = merged(stack, self.structures, f"{self.path}, {case.name}") if self.exclusive else stack
        return Annotation(labels=labels, overlapping=not self.exclusive, spacing=self.spacing or header.spacing)

    def files(self, case: Case) -> tuple[Path, ...]:
        """None: all shapes are in the JSON."""
        return ()

    def content(self, case: Case) -> bytes:
        """The shapes as they are written, whatever their ids."""
        shapes = [[one.structure, one.segmentation, one.crowd] for one in self.shapes.get(case.path, ())]
        return json.dumps([shapes, self.exclusive, self.spacing], sort_keys=True).encode()


def coco_masks(coco: CocoFile, root: Path, labels: MaskLabels) -> CocoMasks:
    """The masks of a COCO file; the structures are all its categories, in the order of their ids, unless named.

    Raises:
        InputError: a category that was drawn is no structure, or a structure no category.
    """
    names = labels.names
    structures = checked_classes(coco.categories.values() if names is None else names, "structures")
    for name in structures:
        if name not in coco.categories.values():
            raise InputError(f"{coco.path} has no category '{name}'. {nearest(name, coco.categories.values())}")
    shapes: dict[str, list[Shape]] = {}
    for number, thing in enumerate(coco.annotations, start=1):
        category = coco.categories[thing["category_id"]]
        if category not in structures:
            raise InputError(
                f"{coco.path}, annotation {number}: the category '{category}' is not one of the structures "
                f"{listed(structures)}. Add it to task.structures, or take its annotations out."
            )
        place = _named(number, thing).place
        drawing = entry(coco.path, place, thing, "segmentation", object)
        shape = Shape(place, structures.index(category), drawing, thing.get("iscrowd") in (1, True))
        shapes.setdefault(coco.names[thing["image_id"]], []).append(shape)
    given = None if labels.spacing is None else tuple(labels.spacing)
    held = {name: tuple(own) for name, own in shapes.items()}
    return CocoMasks(coco.path, root, structures, labels.exclusive is not False, given, coco.sizes, held)


def _filled(path: Path, lines: list[Line]) -> Sheet:
    header = list(dict.fromkeys(key for line in lines for key in line.cells))
    blank = dict.fromkeys(header, "")
    return Sheet(path, header, [Line(line.number, {**blank, **line.cells}, line.word) for line in lines])

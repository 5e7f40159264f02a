"""A look at a folder: data in the layouts of other tools, which describe themselves. A guess is a proposal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from palpate.data.annotations.labels import BoxLabels, FindingLabels, MaskLabels
from palpate.data.inspect.columns import MOST_CLASSES, SPLITS, spread
from palpate.data.inspect.folders import find_folders
from palpate.data.inspect.foreign import foreign
from palpate.data.inspect.found_annotations import FoundAnnotations, Kind
from palpate.data.inspect.mask_candidates import folders_to, split_rank
from palpate.data.inspect.mask_values import MaskValues, stored_values
from palpate.data.inspect.seen import OtherKindError, Seen, UnreadError, look_at, reading
from palpate.data.inspect.yolo import yolo_of
from palpate.data.json_file import path_from, read_json
from palpate.data.layouts.archive import MedMnist, findings_in, read_headers
from palpate.data.layouts.coco import Coco, read_coco
from palpate.data.layouts.datalist import Datalist, datalist_splits
from palpate.data.layouts.nnunet import Dataset, NnUNet, is_raw, nnunet_sheet, nnunet_splits, read_dataset
from palpate.data.layouts.voc import VOID, PascalVoc, voc_masks, voc_splits
from palpate.data.listing import visible
from palpate.data.table import Table, read_table
from palpate.errors import InputError

Proposals = tuple[FoundAnnotations, ...]
_MASKS_LOOKED_AT = 10
_MOST_FOLDERS = 500
_READ_WHOLE = 50_000_000
"""Bytes of images that a look at an nnU-Net folder reads at most, before it turns to a few of them."""
CHEST = (
    *("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax"),
    *("consolidation", "edema", "emphysema", "fibrosis", "pleural thickening", "hernia"),
)
"""The findings of ChestMNIST, in the order of its labels."""


def find_described(folder: Path, unread: list[UnreadError] | None = None) -> Proposals:
    """Annotated images in the layouts of other tools, in a folder and below.

    nnU-Net and VOC folders, YOLO sets, COCO files, datalists of masks or boxes, and folders of images beside folders
    of masks. To `unread` is added what could not be read.
    """
    places = list(islice(folders_to(folder, 1), _MOST_FOLDERS))
    deep = list(islice(folders_to(folder, 2), _MOST_FOLDERS))
    files = [path for place in places for path in visible(place.iterdir())]
    documents, archives = ([path for path in files if path.suffix.lower() == kind] for kind in (".json", ".npz"))
    found: list[FoundAnnotations] = []
    looks = (
        (nnunet_of, deep),
        (_voc, deep),
        (yolo_of, deep),
        (partial(_json, places=deep), documents),
        (_archive, archives),
    )
    for look, candidates in looks:
        own: list[FoundAnnotations] = []
        for path in candidates:
            if path.name != "dataset.json" or not any(one.path == path.parent for one in found):
                own += _guess(look, path, unread)
        found += sorted(own, key=lambda layout: split_rank(layout.path))
    found = several(found)
    if unread is not None:
        unread += foreign(deep)
    taken = {one.path for one in found if one.layout in ("nnunet", "voc")} | {
        one.path.parent for one in found if one.layout == "datalist" and one.kind == "masks"
    }
    return (*found, *(one for one in find_folders(folder, unread) if not taken & set(one.images.parents)))


def _guess(look: Callable[[Path], Proposals], path: Path, unread: list[UnreadError] | None) -> Proposals:
    try:
        return look(path)
    except UnreadError as error:
        if unread is not None:
            unread.append(error)
        return ()
    except InputError as error:
        if unread is not None:
            unread.append(OtherKindError(str(error)))
        return ()
    except (AttributeError, KeyError, TypeError, ValueError):  # JSON of something else, in any shape
        return ()


def nnunet_of(folder: Path) -> Proposals:
    """The labelled images of an nnU-Net raw dataset; none if the folder is not one.

    Raises:
        InputError: it is one, and it cannot be read.
    """
    if not is_raw(folder):
        return ()
    dataset = read_dataset(folder)
    if not dataset.current:  # a dataset.json of version 1 may be one of the Decathlon
        return _nnunet_set(folder, dataset)
    with reading():
        return _nnunet_set(folder, dataset)


def _nnunet_set(folder: Path, dataset: Dataset) -> Proposals:
    sheets = {split: nnunet_sheet(dataset, split) for split in nnunet_splits(dataset)}
    splits = tuple((split, len(sheet.lines)) for split, (sheet, _) in sheets.items())
    names, count = tuple(dataset.labels), sum(count for _, count in splits)
    table = read_table(NnUNet(folder), MaskLabels())
    with reading():
        form = table.source.form(table[0])
    seen = look_at(_few([path for row in range(len(table)) for path in table.paths(row)]))
    return (
        FoundAnnotations(
            "masks", folder, folder, "", names, count, form, seen.equal, splits=splits, layout="nnunet",
            exclusive=not dataset.regions, seen=seen,
        ),
    )  # fmt: skip


def _few(files: Sequence[Path]) -> Sequence[Path]:
    """All files if they are small; the scales of scanners differ, so a few volumes may not show the range of all."""
    return files if sum(path.stat().st_size for path in files) <= _READ_WHOLE else spread(files)


def _voc(folder: Path) -> Proposals:
    if not (folder / "JPEGImages").is_dir():
        return ()
    boxes = _voc_boxes(folder) if (folder / "Annotations").is_dir() else ()
    return (*boxes, *(_voc_masks(folder) if (folder / "SegmentationClass").is_dir() else ()))


def _voc_boxes(folder: Path) -> Proposals:
    splits = _ordered(voc_splits(folder))
    tables = [read_table(PascalVoc(folder, split), BoxLabels()) for split, _ in splits or ((None, 0),)]
    names = tuple(sorted({name for table in tables for name in table.classes}))
    if not names:  # a set of masks may have an XML an image too
        return ()
    seen = _seen(folder, tables[0])
    count = sum(map(len, tables))
    return (
        FoundAnnotations(
            "boxes", folder, folder, "", names, count, seen.form, seen.equal, splits=splits, layout="voc", seen=seen
        ),
    )


def _voc_masks(folder: Path) -> Proposals:
    splits = _ordered(voc_splits(folder, "Segmentation"))
    sheets = [voc_masks(folder, split) for split, _ in splits] or [voc_masks(folder, None)]
    masks = [line.cells["mask"] for line in spread(sheets[0].lines)]
    values = tuple(value for value in stored_values(folder, masks).values if value != VOID)
    if not 1 <= len(values) <= MOST_CLASSES:
        return ()
    seen = look_at([folder / line.cells["file"] for line in spread(sheets[0].lines)])
    count = sum(len(sheet.lines) for sheet in sheets)
    return (
        FoundAnnotations(
            "masks", folder, folder, "", tuple(map(str, values)), count, seen.form, seen.equal, values=values,
            splits=splits, layout="voc", seen=seen,
        ),
    )  # fmt: skip


def _archive(path: Path) -> Proposals:
    """A MedMNIST archive of several findings an image; archives of classes are `palpate.data.inspect.folder`'s."""
    splits = {name.removesuffix("_images"): shape[0] for name, (shape, _) in read_headers(path).items() if shape}
    ordered = _ordered({name: count for name, count in splits.items() if name in SPLITS and count})
    if not ordered or not (count := findings_in(path, ordered[0][0])):
        return ()
    known = CHEST if path.stem.lower().startswith("chestmnist") and count == len(CHEST) else ()
    names = known or tuple(f"finding {number}" for number in range(1, count + 1))
    with reading():
        form = read_table(MedMnist(path, ordered[0][0]), FindingLabels(names)).form()
    images = sum(number for _, number in ordered)
    return (
        FoundAnnotations(
            "findings", path, path.parent, "", names, images, form, True, splits=ordered, layout="medmnist"
        ),
    )


def _json(path: Path, places: Sequence[Path]) -> Proposals:
    document = read_json(path)
    keys = {"images", "annotations", "categories"}
    if isinstance(document, dict) and len(keys & set(document)) > 1 and isinstance(document.get("images"), list):
        with reading():  # what is wrong with it is said, since these keys are those of nothing else
            return _coco(path, document, places)
    return _datalist(path, document)


def _coco(path: Path, document: dict[str, Any], places: Sequence[Path]) -> Proposals:
    images, others = _images_of(path, document, places)
    coco = read_coco(path, images)
    table = read_table(Coco(path, images), BoxLabels())
    seen = _seen(images, table)
    used = Counter(thing["category_id"] for thing in coco.annotations)
    names = tuple(name for number, name in coco.categories.items() if used[number])
    drawn = all(thing.get("segmentation") for thing in coco.annotations)
    kinds: tuple[Kind, ...] = ("boxes", "masks") if drawn else ("boxes",)
    return tuple(
        FoundAnnotations(
            kind,
            path,
            images,
            "",
            names,
            len(table),
            seen.form,
            seen.equal,
            layout="coco",
            exclusive=False,
            seen=seen,
            others=others,
        )
        for kind in kinds
    )


def _images_of(path: Path, document: dict[str, Any], places: Sequence[Path]) -> tuple[Path, tuple[str, ...]]:
    """The folder that the names of a COCO file start from, and others that hold as many of them.

    Raises:
        InputError: it lists no images, or none of the places holds one.
    """
    pictures = [image for image in document["images"] if isinstance(image, dict)]
    listed = [str(image.get("file_name", "")).replace("\\", "/") for image in spread(pictures)]
    if not listed:
        raise InputError(f"{path} lists no images. Give a COCO file whose images are not empty.")
    own = set(re.split(r"[\W_\d]+", f"{path.parent.name} {path.stem}".lower()))
    fit = {place: sum((place / name).is_file() for name in listed) for place in dict.fromkeys((path.parent, *places))}
    most = max(fit.values())
    if not most:
        raise InputError(
            f"{path}: the image '{listed[0]}' (images[0].file_name) is neither beside it nor in a folder next to it. "
            "Put the images there, or correct file_name."
        )
    # `instances_val.json` means val/0.png where train/0.png is there too.
    alike = {
        place: len(own & set(re.split(r"[\W_\d]+", place.name.lower())) - {""}) + (place == path.parent)
        for place, count in fit.items()
        if count == most
    }
    images = max(alike, key=lambda place: alike[place])
    return images, tuple(place.name for place in alike if place != images and alike[place] == alike[images])


def _datalist(path: Path, document: Any) -> Proposals:
    splits = _ordered(datalist_splits(path, document))
    if not splits:
        return ()
    split = splits[0][0] or None
    items = document if split is None else document[split]
    images = path.parent
    boxed = all("box" in item for item in items)
    values, threshold, doubt = MaskValues(())
    if boxed:
        names = sorted({str(label) for item in items for label in item["label"]})
        if not 1 <= len(names) <= MOST_CLASSES:
            return ()
        table = read_table(Datalist(path, split), BoxLabels(names))
    else:
        values, threshold, doubt = _values(images, [item["label"] for item in spread(items)[:_MASKS_LOOKED_AT]])
        if not values:
            return ()
        names = _structures(document, values)
        table = read_table(Datalist(path, split), MaskLabels(names, values=values, threshold=threshold))
    seen = _seen(images, table)
    held = tuple((name, count) for name, count in splits if name)
    count = sum(count for _, count in splits)
    return (
        FoundAnnotations(
            "boxes" if boxed else "masks", path, images, "", tuple(names), count, seen.form, seen.equal,
            values=values, threshold=threshold, doubt=doubt, splits=held, layout="datalist", seen=seen,
        ),
    )  # fmt: skip


def _values(images: Path, labels: list[Any]) -> MaskValues:
    """What a few masks store; no values where labels are no paths."""
    held = stored_values(images, [path_from(images, label, "label") for label in labels])
    return held if len(held.values) < MOST_CLASSES else MaskValues(())


def several(found: list[FoundAnnotations]) -> list[FoundAnnotations]:
    """The layouts, where the first of several nnU-Net data sets, of which none is better, names the others."""
    sets = [one for one in found if one.layout == "nnunet"]
    if len(sets) < 2:
        return found
    others = tuple(one.path.name for one in sets[1:])
    return [replace(one, others=others) if one is sets[0] else one for one in found]


def _structures(document: Any, values: tuple[int, ...]) -> list[str]:
    """Names of the values, where a Decathlon `labels` gives them."""
    labels = document.get("labels") if isinstance(document, dict) else None
    known = labels if isinstance(labels, dict) else {}
    return [str(known.get(str(value), value)) for value in values]


def _ordered(splits: dict[str, int]) -> tuple[tuple[str, int], ...]:
    def place(item: tuple[str, int]) -> int:
        return SPLITS.index(item[0].lower()) if item[0].lower() in SPLITS else len(SPLITS)

    return tuple(sorted(splits.items(), key=place))


def _seen(root: Path, table: Table) -> Seen:
    return look_at([root / case.name for case in spread(list(table))])

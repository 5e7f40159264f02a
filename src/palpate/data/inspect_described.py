"""A look at a folder: data in the layouts of other tools, which describe themselves. A guess is a proposal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from palpate.data.annotated import AnnotatedLayout, Kind
from palpate.data.coco import read_coco
from palpate.data.columns import MOST_CLASSES, SPLITS, spread
from palpate.data.datalist import datalist_splits
from palpate.data.inspect_folders import find_folders
from palpate.data.json_file import path_from, read_json
from palpate.data.listing import visible
from palpate.data.mask_values import stored_values
from palpate.data.nnunet import nnunet_sheet, nnunet_splits, read_dataset
from palpate.data.seen import OtherKindError, Seen, UnreadError, look_at, reading
from palpate.data.table import Table
from palpate.data.voc import voc_splits
from palpate.errors import InputError

Layouts = tuple[AnnotatedLayout, ...]
_MASKS_LOOKED_AT = 10


def find_described(folder: Path, unread: list[UnreadError] | None = None) -> Layouts:
    """nnU-Net and VOC folders, COCO files and datalists of masks or boxes in a folder and one level below.

    To `unread` is added what could not be read.
    """
    places = [folder, *visible(path for path in folder.iterdir() if path.is_dir())] if folder.is_dir() else []
    files = [path for place in places for path in visible(place.iterdir()) if path.suffix.lower() == ".json"]
    found: list[AnnotatedLayout] = []
    for look, candidates in ((_nnunet, places), (_voc, places), (_json, files)):
        for path in candidates:
            if path.name != "dataset.json" or not any(one.path == path.parent for one in found):
                found += _guess(look, path, unread)
    taken = {one.path for one in found if one.layout in ("nnunet", "voc")} | {
        one.path.parent for one in found if one.layout == "datalist" and one.kind == "masks"
    }
    return (*found, *(one for one in find_folders(folder, unread) if not taken & set(one.images.parents)))


def _guess(look: Callable[[Path], Layouts], path: Path, unread: list[UnreadError] | None) -> Layouts:
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


def _nnunet(folder: Path) -> Layouts:
    if not (folder / "dataset.json").is_file():
        return ()
    dataset = read_dataset(folder)
    splits = tuple((split, len(nnunet_sheet(dataset, split)[0].lines)) for split in nnunet_splits(dataset))
    names, count = tuple(dataset.labels), sum(count for _, count in splits)
    table = Table.from_nnunet(folder)
    with reading():
        form = table.source.form(table[0])
    return (
        AnnotatedLayout(
            "masks", folder, folder, "", names, count, form, True,
            splits=splits, layout="nnunet", exclusive=not dataset.regions,
        ),
    )  # fmt: skip


def _voc(folder: Path) -> Layouts:
    if not ((folder / "Annotations").is_dir() and (folder / "JPEGImages").is_dir()):
        return ()
    splits = _ordered(voc_splits(folder))
    tables = [Table.from_voc(folder, split) for split, _ in splits] or [Table.from_voc(folder)]
    names = tuple(sorted({name for table in tables for name in table.classes}))
    seen = _seen(folder, tables[0])
    count = sum(map(len, tables))
    return (
        AnnotatedLayout(
            "boxes", folder, folder, "", names, count, seen.form, seen.equal, splits=splits, layout="voc", seen=seen
        ),
    )


def _json(path: Path) -> Layouts:
    document = read_json(path)
    if isinstance(document, dict) and {"images", "annotations", "categories"} <= set(document):
        with reading():  # what is wrong with it is said, since these keys are those of nothing else
            return _coco(path, document)
    return _datalist(path, document)


def _coco(path: Path, document: dict[str, Any]) -> Layouts:
    above = path.parent.parent
    bases = [path.parent, *visible(path.parent.iterdir()), above, *visible(above.iterdir())]
    listed = [str(image.get("file_name", "")) for image in spread(document["images"])]
    if not listed:
        raise InputError(f"{path} lists no images. Give a COCO file whose images are not empty.")
    found = {base: sum((base / name).is_file() for name in listed) for base in bases if base.is_dir()}
    images = max(found, key=lambda base: found[base])
    if not found[images]:
        raise InputError(
            f"{path}: the image '{listed[0]}' (images[0].file_name) is neither beside it nor in a folder next to it. "
            "Put the images there, or correct file_name."
        )
    coco = read_coco(path, images)
    table = Table.from_coco(path, images)
    seen = _seen(images, table)
    used = Counter(thing["category_id"] for thing in coco.annotations)
    names = tuple(name for number, name in coco.categories.items() if used[number])
    drawn = all(thing.get("segmentation") for thing in coco.annotations)
    kinds: tuple[Kind, ...] = ("boxes", "masks") if drawn else ("boxes",)
    return tuple(
        AnnotatedLayout(
            kind, path, images, "", names, len(table), seen.form, seen.equal, layout="coco", exclusive=False, seen=seen
        )
        for kind in kinds
    )


def _datalist(path: Path, document: Any) -> Layouts:
    splits = _ordered(datalist_splits(path, document))
    if not splits:
        return ()
    split = splits[0][0] or None
    items = document if split is None else document[split]
    images = path.parent
    boxed = all("box" in item for item in items)
    values: tuple[int, ...] = ()
    if boxed:
        names = sorted({str(label) for item in items for label in item["label"]})
        if not 1 <= len(names) <= MOST_CLASSES:
            return ()
        table = Table.from_datalist(path, split, shows="boxes", names=names)
    else:
        values = _values(images, [item["label"] for item in spread(items)[:_MASKS_LOOKED_AT]])
        if not values:
            return ()
        names = _structures(document, values)
        table = Table.from_datalist(path, split, shows="masks", names=names, values=values)
    seen = _seen(images, table)
    held = tuple((name, count) for name, count in splits if name)
    count = sum(count for _, count in splits)
    return (
        AnnotatedLayout(
            "boxes" if boxed else "masks", path, images, "", tuple(names), count, seen.form, seen.equal,
            values=values, splits=held, layout="datalist", seen=seen,
        ),
    )  # fmt: skip


def _values(images: Path, labels: list[Any]) -> tuple[int, ...]:
    """Values other than 0 of a few masks; none where labels are no paths."""
    values = stored_values(images, [path_from(images, label, "label") for label in labels])
    return values if len(values) < MOST_CLASSES else ()


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

"""Inspect a folder: whether it is a YOLO set. A guess is a proposal."""

from __future__ import annotations

from pathlib import Path

from palpate.data.inspect.columns import spread
from palpate.data.inspect.found_annotations import FoundAnnotations
from palpate.data.inspect.seen import look_at, reading
from palpate.data.layouts.yolo import is_description, label_file, read_yolo, yolo_boxes, yolo_images, yolo_splits
from palpate.data.listing import visible

__all__ = ["yolo_of"]


def yolo_of(folder: Path) -> tuple[FoundAnnotations, ...]:
    """The YOLO set of a folder: with a `data.yaml`, or with images and texts of boxes; empty if it is not one.

    Raises:
        UnreadError: it is a YOLO set that cannot be read.
    """
    described = [
        path for path in visible(folder.iterdir()) if path.suffix in (".yaml", ".yml") and is_description(path)
    ]
    if not described and not _has_texts(folder):
        return ()
    path = described[0] if described else folder
    with reading():
        yolo = read_yolo(path)
        splits = tuple((split, count) for split, count in yolo_splits(yolo).items())
        _, names, _, texts = yolo_boxes(yolo, splits[0][0], None)
    images = yolo_images(yolo, splits[0][0])
    seen = look_at(spread(images))
    bare = len(images) - len(texts)
    notes = (f"{bare} of {len(images)} images have no text and count as images without boxes",) if bare else ()
    return (
        FoundAnnotations(
            "boxes", path, yolo.root, "", names, sum(count for _, count in splits), seen.form, seen.equal,
            splits=splits, layout="yolo", seen=seen, notes=notes,
        ),
    )  # fmt: skip


def _has_texts(folder: Path) -> bool:
    """Whether images are in `images` and texts of their boxes in `labels`, here or below folders of splits."""
    pictures = [path for path in (folder / "images", *folder.glob("*/images")) if path.is_dir()]
    return any(label_file(image).is_file() for place in pictures for image in _first_images(place))


def _first_images(place: Path) -> list[Path]:
    from palpate.data.image_files import image_files

    return list(spread(image_files(place, deep=True)))

"""Shared by the examples to prepare data: tables, and images, masks and boxes resized into a separate folder."""

from __future__ import annotations

import csv
from pathlib import Path

from PIL import Image

Row = dict[str, str]
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def rows_of(table: Path, **where: str) -> list[Row]:
    """The lines of a CSV whose columns have these values."""
    with open(table, newline="") as handle:
        return [row for row in csv.DictReader(handle) if all(row[key] == value for key, value in where.items())]


def write_table(table: Path, rows: list[Row]) -> None:
    """Write lines with the same columns as a CSV."""
    with open(table, "w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def resize(source: Path, target: Path, size: tuple[int, int], drawn: bool = False) -> None:
    """Write an image resized to `size` (height, width) as PNG.

    Linear and anti-aliased; what an annotator has `drawn` takes the nearest value, so that none appears that is new.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as image:
        method = Image.Resampling.NEAREST if drawn else Image.Resampling.BILINEAR
        image.resize((size[1], size[0]), method).save(target)


def resize_all(rows: list[Row], source: Path, out: Path, size: tuple[int, int]) -> None:
    """Resize the images and masks of a table with columns image, mask and split, and list them in labels.csv."""
    listed = []
    for row in rows:
        named = {"file": f"images/{Path(row['image']).stem}.png", "mask": f"masks/{Path(row['mask']).stem}.png"}
        resize(source / row["image"], out / named["file"], size)
        resize(source / row["mask"], out / named["mask"], size, drawn=True)
        listed.append({**named, "split": row["split"]})
    write_table(out / "labels.csv", listed)
    print(f"{len(listed)} images: {out}")


def resize_boxed(images: list[Row], boxes: list[Row], source: Path, out: Path, size: tuple[int, int]) -> None:
    """Resize images and their boxes; list the images in images.csv (file, split) and the boxes in boxes.csv.

    Args:
        images: lines with columns image and split.
        boxes: lines with columns image, label, xmin, ymin, xmax and ymax, in pixels of the stored image.
        source: folder that the images' paths start from.
        out: folder to write into.
        size: height and width.
    """
    kept, scales = [], {}
    for row in images:
        file = f"images/{Path(row['image']).stem}.png"
        with Image.open(source / row["image"]) as image:
            scales[row["image"]] = (file, size[1] / image.width, size[0] / image.height)
        resize(source / row["image"], out / file, size)
        kept.append({"file": file, "split": row["split"]})
    listed = []
    for row in boxes:
        file, across, down = scales[row["image"]]
        moved = {key: f"{float(row[key]) * (across if key[0] == 'x' else down):.2f}" for key in CORNERS}
        listed.append({"image": file, "label": row["label"], **moved})
    write_table(out / "images.csv", kept)
    write_table(out / "boxes.csv", listed)
    print(f"{len(kept)} images, {len(listed)} boxes: {out}")

"""Cut DRIVE and CHASE_DB1 to the field of view: `python examples/vessels/prepare.py --source DIR --weights FILE`.

Writes the test images, masks and fields of view in their own resolution as PNG, and labels.csv, into
examples/vessels/data, and the network's weights as safetensors into examples/vessels/weights; git ignores both.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy import ndimage

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

import preparing  # noqa: E402

DARK = 60
"""A pixel whose sum of red, green and blue is at most this is outside the field of view, if none was annotated."""


def field_of_view(image: Image.Image, annotated: Path | None) -> np.ndarray:
    """The field of view (H, W) bool: as annotated, or the largest bright region without its holes."""
    if annotated is not None:
        with Image.open(annotated) as drawn:
            return np.asarray(drawn.convert("L")) > 127
    regions, count = ndimage.label(np.asarray(image).astype(int).sum(2) > DARK)
    sizes = ndimage.sum_labels(np.ones_like(regions), regions, range(1, count + 1))
    return np.asarray(ndimage.binary_fill_holes(regions == 1 + int(np.argmax(sizes))))


def cut(source: Path, row: preparing.Row, out: Path) -> preparing.Row:
    """Write one image, its mask and its field of view, cut to the box around the field of view."""
    name = f"{Path(row['image']).stem}.png"
    with Image.open(source / row["image"]) as stored, Image.open(source / row["mask"]) as drawn:
        image, mask = stored.convert("RGB"), drawn.convert("L")
    inside = field_of_view(image, source / row["fov"] if row["fov"] else None)
    down, across = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = (int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1)
    field = Image.fromarray((inside * 255).astype(np.uint8))
    for folder, part in (("images", image), ("masks", mask), ("fov", field)):
        (out / folder).mkdir(parents=True, exist_ok=True)
        part.crop(box).save(out / folder / name)
    named = {"file": f"images/{name}", "mask": f"masks/{name}", "fov": f"fov/{name}"}
    return {**named, "dataset": row["dataset"], "split": row["split"]}


def main() -> None:
    """Cut, list, convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder with labels.csv, images/, masks/ and fov/")
    parser.add_argument("--weights", type=Path, required=True, help="the network's arrays, .npz")
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    rows = preparing.rows_of(options.source / "labels.csv", split="test")
    listed = [cut(options.source, row, options.out / "data") for row in rows]
    preparing.write_table(options.out / "data" / "labels.csv", listed)
    (options.out / "weights").mkdir(exist_ok=True)
    with np.load(options.weights, allow_pickle=False) as arrays:
        state = {name: torch.tensor(arrays[name]) for name in arrays.files}
    save_file(state, options.out / "weights" / "wnet.safetensors")
    print(f"{len(listed)} images: {options.out / 'data'}")


if __name__ == "__main__":
    main()

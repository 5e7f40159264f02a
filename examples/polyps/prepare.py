"""Resize Kvasir-SEG for this example: `python examples/polyps/prepare.py --source DIR`.

Writes images and masks of 128 x 128 pixels as PNG, and labels.csv, into examples/polyps/data, which git ignores.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import model as example  # noqa: E402
import training  # noqa: E402


def main() -> None:
    """Resize and list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder with labels.csv, images/ and masks/")
    parser.add_argument("--out", type=Path, default=HERE / "data")
    options = parser.parse_args()
    listed = []
    for row in training.rows_of(options.source / "labels.csv"):
        named = {"file": f"images/{Path(row['image']).stem}.png", "mask": f"masks/{Path(row['mask']).stem}.png"}
        training.resize(options.source / row["image"], options.out / named["file"], example.SIZE)
        training.resize(options.source / row["mask"], options.out / named["mask"], example.SIZE)
        listed.append({**named, "split": row["split"]})
    training.write_table(options.out / "labels.csv", listed)
    print(f"{len(listed)} images: {options.out}")


if __name__ == "__main__":
    main()

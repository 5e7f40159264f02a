"""Resize Kvasir-SEG for this example: `python examples/polyp_boxes/prepare.py --source DIR`.

Writes images of 160 x 160 pixels as PNG, images.csv and boxes.csv into examples/polyp_boxes/data, which git ignores.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import model as example  # noqa: E402

import preparing  # noqa: E402


def main() -> None:
    """Resize and list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder with labels.csv, boxes.csv and images/")
    parser.add_argument("--out", type=Path, default=HERE / "data")
    options = parser.parse_args()
    images, boxes = (preparing.rows_of(options.source / name) for name in ("labels.csv", "boxes.csv"))
    preparing.resize_boxed(images, boxes, options.source, options.out, example.SIZE)


if __name__ == "__main__":
    main()

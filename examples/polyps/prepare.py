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

import preparing  # noqa: E402


def main() -> None:
    """Resize and list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder with labels.csv, images/ and masks/")
    parser.add_argument("--out", type=Path, default=HERE / "data")
    options = parser.parse_args()
    preparing.resize_all(preparing.rows_of(options.source / "labels.csv"), options.source, options.out, example.SIZE)


if __name__ == "__main__":
    main()

"""Resize COVID-SemiSeg for this example: `python examples/covid_ct/prepare.py --source DIR`.

Writes slices and infection masks of 160 x 160 pixels as PNG, and labels.csv, into examples/covid_ct/data, which git
ignores. The test slices are those of the data set; every fifth training slice becomes a validation slice.
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
    """Divide, resize and list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder with labels.csv, images/ and masks")
    parser.add_argument("--out", type=Path, default=HERE / "data")
    options = parser.parse_args()
    rows = preparing.rows_of(options.source / "labels.csv")
    for row in [row for row in rows if row["split"] == "train"][4::5]:
        row["split"] = "val"
    preparing.resize_all(rows, options.source, options.out, example.SIZE)


if __name__ == "__main__":
    main()

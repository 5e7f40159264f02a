"""The tables of `strongest` for masks and boxes: `python -m benchmarks.dense_stages [FOLDER]`; half an hour.

FOLDER holds one folder per data set, `lungs` and `polyps`, each with `labels.csv` (image, mask, split), images and
masks; and, if it is there, `vessels` (DRIVE, CHASE_DB1) with the arrays of the network of examples/vessels in
`wnet.npz`, attacked on the middles of 4 images of CHASE_DB1. Networks are trained on the split `train` and attacked on
`val`; test images are never read. Two structures in noise are a further data set. Every loss climbs 40 steps with the
step of Auto-PGD, to the end. Without FOLDER only boxes are measured. Writes `dense_stages_masks.md` and
`dense_stages_boxes.md` in `benchmarks/results`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from benchmarks.dense_stages import boxes, masks

RESULTS = Path(__file__).resolve().parent.parent / "results"


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    folder: Path | None = parser.parse_args().folder
    torch.set_num_threads(1)
    (RESULTS / "dense_stages_boxes.md").write_text(boxes.measured() + "\n", encoding="utf-8")
    if folder is not None:
        (RESULTS / "dense_stages_masks.md").write_text(masks.measured(folder) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

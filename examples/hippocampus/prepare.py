"""Bring the hippocampus volumes to one scale: `python examples/hippocampus/prepare.py --source DIR`.

Their intensities are 8 bit or float, on scales that differ more than tenfold. One eps for all of them needs one scale:
every volume is divided by its own 99.9th percentile, cut there, and stored as float32 from 0 to 255. Written as NIfTI
with the affine and the spacing of the original, with the masks as they are, into examples/hippocampus/data, which git
ignores.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import nibabel
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

import preparing  # noqa: E402

TOP = 255.0


def rescale(source: Path, target: Path) -> None:
    """Write a volume on the scale 0 to 255."""
    volume = nibabel.load(source)
    values = np.asarray(volume.dataobj, dtype=np.float32)
    scaled = np.clip(values / np.percentile(values, 99.9), 0, 1) * TOP
    header = volume.header.copy()
    header.set_data_dtype(np.float32)
    nibabel.save(nibabel.Nifti1Image(scaled.astype(np.float32), volume.affine, header), target)


def main() -> None:
    """Rescale and list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder with labels.csv, images/ and labels/")
    parser.add_argument("--out", type=Path, default=HERE / "data")
    options = parser.parse_args()
    for folder in ("images", "labels"):
        (options.out / folder).mkdir(parents=True, exist_ok=True)
    listed = []
    for row in preparing.rows_of(options.source / "labels.csv"):
        rescale(options.source / row["image"], options.out / row["image"])
        shutil.copyfile(options.source / row["label"], options.out / row["label"])
        listed.append({"file": row["image"], "mask": row["label"], "split": row["split"]})
    preparing.write_table(options.out / "labels.csv", listed)
    print(f"{len(listed)} volumes: {options.out}")


if __name__ == "__main__":
    main()

"""The hippocampus volumes as nnU-Net's raw dataset: `python examples/hippocampus_nnunet/prepare_raw.py --source DIR`.

On one scale, as `examples/hippocampus/prepare.py` brings them to: 0 to 255, from zero to each volume's own 99.9th
percentile. Training and validation volumes go to imagesTr and labelsTr, test volumes to imagesTs and labelsTs of
examples/hippocampus_nnunet/data/nnUNet_raw/Dataset004_Hippocampus, which git ignores.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "hippocampus")]

import prepare as other  # noqa: E402

import preparing  # noqa: E402

DATASET = {
    "channel_names": {"0": "T1"},
    "labels": {"background": 0, "anterior": 1, "posterior": 2},
    "file_ending": ".nii.gz",
}


def main() -> None:
    """Rescale, and give files nnU-Net's names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder with labels.csv, images/ and labels/")
    parser.add_argument("--out", type=Path, default=HERE / "data" / "nnUNet_raw" / "Dataset004_Hippocampus")
    options = parser.parse_args()
    rows = preparing.rows_of(options.source / "labels.csv")
    for row in rows:
        split = "Ts" if row["split"] == "test" else "Tr"
        name = Path(row["image"]).name.removesuffix(".nii.gz")
        for folder in ("images", "labels"):
            (options.out / f"{folder}{split}").mkdir(parents=True, exist_ok=True)
        other.rescale(options.source / row["image"], options.out / f"images{split}" / f"{name}_0000.nii.gz")
        shutil.copyfile(options.source / row["label"], options.out / f"labels{split}" / f"{name}.nii.gz")
    trained = sum(row["split"] != "test" for row in rows)
    (options.out / "dataset.json").write_text(json.dumps({**DATASET, "numTraining": trained}, indent=2) + "\n")
    print(f"{len(rows)} volumes: {options.out}")


if __name__ == "__main__":
    main()

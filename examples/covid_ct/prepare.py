"""Resize COVID-SemiSeg for this example: `python examples/covid_ct/prepare.py --source DIR`.

Writes slices and infection masks of 160 x 160 pixels as PNG, and labels.csv, into examples/covid_ct/data, which git
ignores. The test slices are those of the data set; every fifth training slice becomes a validation slice. Then writes
the test slices once more, upright and in HU with an ASSUMED window and pixel size (hounsfield.py), and hounsfield.csv.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import hounsfield  # noqa: E402
import model as example  # noqa: E402

import preparing  # noqa: E402


def write_hounsfield(rows: list[preparing.Row], out: Path) -> None:
    """Write the test slices in HU, and list them; print how well the assumed window fits the other slices.

    Args:
        rows: lines of the data set with columns image, mask, width, height and split.
        out: folder with the prepared slices.
    """
    listed = []
    for row in rows:
        if row["split"] != "test":
            continue
        image, mask = Path(row["image"]).stem, Path(row["mask"]).stem
        mm = hounsfield.spacing((int(row["height"]), int(row["width"])), example.SIZE)
        named = {"file": f"hounsfield/{image}.nii.gz", "mask": f"hounsfield/{mask}_mask.png"}
        hounsfield.write(out / "images" / f"{image}.png", out / named["file"], mm)
        hounsfield.write(out / "masks" / f"{mask}.png", out / named["mask"], None)
        listed.append({**named, "split": row["split"]})
    preparing.write_table(out / "hounsfield.csv", listed)
    others = [out / "images" / f"{Path(row['image']).stem}.png" for row in rows if row["split"] != "test"]
    air, tissue = hounsfield.peaks(others)
    low, high = hounsfield.WINDOW
    print(f"{len(listed)} test slices in HU, assuming a window of {low:g} to {high:g} HU.")
    found = f"air in the lungs is at {air:.0f} HU (patients: about -850), soft tissue at {tissue:.0f} (40)"
    print(f"In their histograms {found}.")


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
    write_hounsfield(rows, options.out)


if __name__ == "__main__":
    main()

"""Read every export of the runs without palpate: `python examples/clinic_files/verify_exports.py [RUN ...]`.

pydicom, nibabel and Pillow read; run.json and the records say which file is which and how far it may have changed. Ends
with status 1 where a file does not hold what it should:

- no value moved further than the budget and what float32 rounds, by whole stored steps where the plan says lattice
  (for a JPEG, whose compression changes values further, this is only reported);
- the file says that it is synthetic, by palpate, and holds nothing of the patient;
- DICOM: new UIDs, bits, rescale, photometric interpretation and geometry as they were; NIfTI: affine and type; JPEG:
  size, mode and quantisation tables.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet

HERE = Path(__file__).resolve().parent
SETS = {
    "ct_series": "ct_series",
    "xray": "xray",
    "xray_8bit": "xray",
    "xray_test": "xray_test",
    "endoscopy": "endoscopy",
    "hippocampus": "hippocampus",
    "hippocampus_float": "hippocampus",
}
"""Runs, and the folder of data that each audits."""
UIDS = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
KEPT = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PhotometricInterpretation")
PLACED = ("RescaleSlope", "RescaleIntercept", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient")
PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "InstitutionName", "AccessionNumber")


@dataclass
class Compared:
    """An export compared with its original: the change of each number, whether it is lossy, and what is wrong."""

    changes: NDArray[Any]
    whole: bool
    slope: float = 1.0
    lossy: bool = False
    rounding: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def change(self) -> float:
        """The largest."""
        return float(self.changes.max(initial=0.0))


def dicom(original: Path, copy: Path) -> Compared:
    """Two DICOM files."""
    before, after = pydicom.dcmread(original), pydicom.dcmread(copy)
    difference = after.pixel_array.astype(np.int64) - before.pixel_array.astype(np.int64)
    found = Compared(np.abs(difference), True, float(before.get("RescaleSlope", 1)))
    found.wrong += [f"{name} is not new" for name in UIDS if after.get(name) == before.get(name)]
    found.wrong += [f"{name} changed" for name in (*KEPT, *PLACED) if after.get(name) != before.get(name)]
    found.wrong += [
        f"{name} is still there" for name in PATIENT if before.get(name) and after.get(name) == before[name].value
    ]
    if (after.get("ImageType") or [""])[0] != "DERIVED" or "palpate" not in after.get("DerivationDescription", ""):
        found.wrong.append("it does not say that it is derived by palpate")
    return found


def series(original: Path, copy: Path) -> Compared:
    """Two folders of slices, matched by their positions."""
    before, after = ({_height(path): path for path in folder.iterdir()} for folder in (original, copy))
    if before.keys() != after.keys():
        return Compared(np.empty(0), False, wrong=["its slices lie elsewhere"])
    each = [dicom(path, after[height]) for height, path in before.items()]
    uids = {pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID for path in copy.iterdir()}
    wrong = sorted({text for one in each for text in one.wrong}) + (["several series"] if len(uids) > 1 else [])
    return Compared(np.stack([one.changes for one in each]), True, each[0].slope, wrong=wrong)


def _height(path: Path) -> float:
    return float(pydicom.dcmread(path, stop_before_pixels=True).ImagePositionPatient[2])


def nifti(original: Path, copy: Path) -> Compared:
    """Two NIfTI files."""
    before, after = nibabel.load(original), nibabel.load(copy)
    values, whole = before.get_fdata(), before.get_data_dtype().kind in "iu"
    # Floating point stores the nearest number that it can: up to half of the distance between two of them is rounding.
    rounding = 0.0 if whole else float(np.spacing(np.float32(values.max()))) / 2
    found = Compared(np.abs(after.get_fdata() - values), whole, rounding=rounding)
    if not np.array_equal(before.affine, after.affine):
        found.wrong.append("affine changed")
    if before.get_data_dtype() != after.get_data_dtype():
        found.wrong.append("type changed")
    if b"palpate" not in after.header["descrip"].item():
        found.wrong.append("descrip does not name palpate")
    return found


def jpeg(original: Path, copy: Path) -> Compared:
    """Two JPEG files."""
    with Image.open(original) as before, Image.open(copy) as after:
        difference = np.asarray(after, np.int64) - np.asarray(before, np.int64)
        found = Compared(np.abs(difference), True, lossy=True)
        if (before.size, before.mode, before.format) != (after.size, after.mode, after.format):
            found.wrong.append("size, mode or format changed")
        if before.quantization != after.quantization:
            found.wrong.append("quantisation tables changed")
        if b"palpate" not in after.info.get("comment", b""):
            found.wrong.append("its comment does not name palpate")
    return found


def compared(original: Path, copy: Path) -> Compared:
    """By the format of the original."""
    if original.is_dir():
        return series(original, copy)
    kinds = {".dcm": dicom, ".gz": nifti, ".jpg": jpeg, ".jpeg": jpeg}
    return kinds[original.suffix.lower()](original, copy)


def exports(run: Path, data: Path) -> Iterator[tuple[dict[str, Any], Path, Path]]:
    """What run.json lists: the entry, the original, the copy."""
    names = dict(zip(*_columns(run, "row", "image"), strict=True))
    for entry in json.loads((run / "run.json").read_text())["exports"]:
        # Records name images relative to the table; the folder of the data says where that is here.
        yield entry, data / names[entry["row"]], run / entry["file"]


def _columns(run: Path, *names: str) -> list[list[Any]]:
    table = parquet.read_table(run / "records", columns=list(names))
    return [table.column(name).to_pylist() for name in names]


def verified(run: Path, data: Path) -> bool:
    """Compare all exports of a run, print a line, and say what is wrong."""
    lattice = json.loads((run / "run.json").read_text())["threat"].get("lattice", False)
    good, largest, beyond, count = True, 0.0, list[float](), 0
    for entry, original, copy in exports(run, data):
        found = compared(original, copy)
        change, count = found.change * found.slope, count + 1
        largest = max(largest, change)
        if found.lossy:
            beyond.append(float((found.changes > entry["eps"]).mean()))
        elif not change <= entry["eps"] + found.rounding:
            found.wrong.append(f"changed by {change:g}, and the budget is {entry['eps']:g}")
        if lattice and not found.whole:
            found.wrong.append("not in whole stored steps")
        for text in found.wrong:
            good = False
            print(f"{copy}: {text}")
    budget = "within the budget of each"
    if beyond:
        budget = f"after JPEG, which takes {min(beyond):.0%} to {max(beyond):.0%} of the values beyond the budget"
    outcome = "as they should be" if good else "WRONG"
    print(f"{run.name}: {count} exports reload, largest change {largest:g} ({budget}); {outcome}")
    return good and count > 0


def main() -> None:
    """Verify all runs, or the ones named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "runs", nargs="*", default=[name for name in SETS if (HERE / "runs" / name / "run.json").is_file()]
    )
    options = parser.parse_args()
    results = [verified(HERE / "runs" / name, HERE / "data" / SETS[name]) for name in options.runs]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()

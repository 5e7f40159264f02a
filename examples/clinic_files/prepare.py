"""Lay out the files of this example: `python examples/clinic_files/prepare.py --shared DIR [--only SET]`.

DIR holds the folders seg_cxr_lungs, dicom, seg_polyp_kvasir and seg3d_mr_hippocampus. Their files are copied, byte for
byte, into examples/clinic_files/data, which git ignores; only the X-rays of the training are resized. The CT series are
digital phantoms, written here. Once the X-ray network is trained, `--only xray` draws its outlines on the two
radiographs, which nobody has annotated.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import torch
from PIL import Image
from safetensors.torch import load_file

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import model as example  # noqa: E402
import phantom_series  # noqa: E402

import preparing  # noqa: E402
from palpate.data.formats.registry import read_scan  # noqa: E402

WEIGHTS = HERE / "weights" / "lungs.safetensors"
RADIOGRAPHS = ("cr_chest_j2k_monochrome1.dcm", "cr_chest_jpeg.dcm")
SERIES, SEED = 6, 20
THOUSANDS = 6000.0
"""Volumes in floating point with all values below this have scales that are similar enough for one budget."""


def copied(source: Path, target: Path, *names: str) -> None:
    """Copy files, with their folders."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def ct_series(shared: Path, out: Path) -> None:
    """Phantoms as DICOM series with DICOM SEG masks."""
    preparing.write_table(out / "labels.csv", phantom_series.write(out, SERIES, SEED))


def xray_training(shared: Path, out: Path) -> None:
    """Chest X-rays and lungs at the size of the network, for train.py."""
    source = shared / "seg_cxr_lungs"
    preparing.resize_all(preparing.rows_of(source / "labels.csv"), source, out, example.SIZE)


def xray_test(shared: Path, out: Path) -> None:
    """The original test images of the same set: 8-bit JPEG, masks in their size, patients."""
    _masked(shared / "seg_cxr_lungs", out, "mask", ("patient",))


def xray(shared: Path, out: Path) -> None:
    """Two radiographs in DICOM without annotation: the reference is the network's output without an attack."""
    copied(shared / "dicom", out, *RADIOGRAPHS)
    if not WEIGHTS.is_file():
        print(f"{WEIGHTS} is missing. Run train.py, then prepare.py again with --only xray.")
        return
    network = example.build_lungs().eval()
    network.load_state_dict(load_file(WEIGHTS))
    rows = []
    for name in RADIOGRAPHS:
        mask = f"{Path(name).stem}_network.png"
        Image.fromarray(_drawn(network, out / name)).save(out / mask)
        rows.append({"file": name, "mask": mask, "bits": str(read_scan(out / name).header.lattice[1].bit_length())})
    preparing.write_table(out / "labels.csv", rows)


def _drawn(network: torch.nn.Module, path: Path) -> object:
    scan = read_scan(path)
    image = torch.tensor(scan.values).float()[None]
    # White and black in the usual order; the percentiles do the rest.
    image = -image if scan.header.inverted else image
    with torch.no_grad():
        logits = network(example.PREPARE(image))
        logits = torch.nn.functional.interpolate(logits, scan.header.shape[1:], mode="bilinear", align_corners=False)
    return ((logits[0, 0] > 0) * 255).byte().numpy()


def endoscopy(shared: Path, out: Path) -> None:
    """The original test frames of Kvasir-SEG: JPEG, masks in their size."""
    _masked(shared / "seg_polyp_kvasir", out, "mask")


def hippocampus(shared: Path, out: Path) -> None:
    """The original test volumes, on their own scales, with the type and the scale that each file stores."""
    source = shared / "seg3d_mr_hippocampus"
    listed = []
    for row in preparing.rows_of(source / "labels.csv", split="test"):
        copied(source, out, row["image"], row["label"])
        volume = nibabel.load(source / row["image"])
        stored, top = volume.get_data_dtype().name, float(volume.get_fdata().max())
        scale = "8 bit" if stored == "uint8" else "thousands" if top < THOUSANDS else "more"
        listed.append({"file": row["image"], "mask": row["label"], "stored": stored, "scale": scale})
    preparing.write_table(out / "labels.csv", listed)


def _masked(source: Path, out: Path, mask: str, more: tuple[str, ...] = ()) -> None:
    listed = []
    for row in preparing.rows_of(source / "labels.csv", split="test"):
        copied(source, out, row["image"], row[mask])
        with Image.open(source / row["image"]) as image:
            size = image.size
        listed.append((size, {"file": row["image"], "mask": row[mask], **{key: row[key] for key in more}}))
    # Images of one size can share a batch if they are next to each other in the table.
    preparing.write_table(out / "labels.csv", [row for _, row in sorted(listed, key=lambda one: one[0])])


SETS: tuple[Callable[[Path, Path], None], ...] = (ct_series, xray_training, xray_test, xray, endoscopy, hippocampus)


def main() -> None:
    """Lay out all sets, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True, help="folder with the sets")
    parser.add_argument("--only", choices=[lay.__name__ for lay in SETS])
    parser.add_argument("--out", type=Path, default=HERE / "data")
    options = parser.parse_args()
    for lay in SETS:
        if options.only in (None, lay.__name__):
            out = options.out / lay.__name__
            out.mkdir(parents=True, exist_ok=True)
            lay(options.shared, out)
            print(out)


if __name__ == "__main__":
    main()

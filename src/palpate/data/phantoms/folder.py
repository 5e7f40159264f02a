"""Phantoms as a user's folder: images, masks, volumes, and tables of labels and boxes."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from palpate.data.phantoms.endoscopy import ARTEFACTS, endoscopy_set
from palpate.data.phantoms.fundus import fundus_set
from palpate.data.phantoms.thorax import thorax_set, thorax_volume
from palpate.errors import StorageError
from palpate.seeds import derive

NOTICE = "palpate digital phantom, synthetic"
"""Text in every PNG (`Description`) and NIfTI (`descrip`), so that a phantom cannot pass for a patient's image."""

OFFSET = 1024
"""Added to Hounsfield units, so that 16-bit PNG, which have no negative values, can store them."""


def write_fundus_folder(folder: Path, count: int, seed: int, *, size: int = 128) -> None:
    """Write `count` fundus phantoms as `images/phantom_0000.png` ... and `labels.csv` with columns `file,grade`.

    The images are those of `fundus_set(count, seed, size)`; files of the same names are replaced.

    Raises:
        InputError: for a negative count, or too small a size.
        StorageError: when the folder cannot be written.
    """
    images, grades = fundus_set(count, seed, size)
    with _writing(folder):
        names = _write_pictures(folder, "images", images)
        _write_table(folder / "labels.csv", ("file", "grade"), zip(names, grades.tolist(), strict=True))


def write_thorax_folder(folder: Path, count: int, seed: int, *, hounsfield: bool = False) -> None:
    """Write `count` axial slices of thorax phantoms with masks of their lungs and lesions.

    `images/` contains 16-bit PNG of Hounsfield units + 1024 (0..4095), `masks/` the labels of `labelled`; `images.csv`
    has columns `image,mask`. A pixel is 2.75 mm wide and high. The phantoms are those of `thorax_set(count, seed)`;
    files of the same names are replaced. With `hounsfield` the images are signed 16-bit TIFF of Hounsfield units.

    Raises:
        InputError: for a negative count.
        StorageError: when the folder cannot be written.
    """
    images, lungs, lesions = thorax_set(count, seed)
    with _writing(folder):
        columns = (
            _write_signed(folder, images)
            if hounsfield
            else _write_pictures(folder, "images", (images + OFFSET).astype(np.uint16)),
            _write_pictures(folder, "masks", labelled(lungs, lesions)),
        )
        _write_table(folder / "images.csv", ("image", "mask"), zip(*columns, strict=True))


def write_thorax_volumes(folder: Path, count: int, seed: int) -> None:
    """Write `count` whole chests with masks of their lungs and lesions, as NIfTI.

    `images/phantom_0000.nii.gz` contains Hounsfield units, 64 x 64 pixels of 5.5 mm in 48 slices of 6 mm, `masks/` the
    labels of `labelled`; `images.csv` has columns `image,mask`. Axes are x to the patient's left, y to the back and z
    to the head, as in the affine. Volume `i` depends only on `seed` and `i`; files of the same names are
    replaced.

    Raises:
        StorageError: when the folder cannot be written.
    """
    rows = [(f"images/phantom_{i:04d}.nii.gz", f"masks/phantom_{i:04d}.nii.gz") for i in range(count)]
    with _writing(folder):
        for kind in ("images", "masks"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        for i, (image, mask) in enumerate(rows):
            made = thorax_volume(np.random.default_rng(derive(seed, "thorax volume", i)))
            _write_volume(folder / image, made.image, made.spacing)
            _write_volume(folder / mask, labelled(made.lungs, made.lesions), made.spacing)
        _write_table(folder / "images.csv", ("image", "mask"), rows)


def _write_volume(path: Path, voxels: npt.NDArray[Any], spacing: tuple[float, ...]) -> None:
    depth, height, width = spacing
    # NIfTI counts to the right, the front and the head; the first two of our axes run the other way.
    build: Any = nibabel.Nifti1Image  # nibabel has no types
    stored = build(voxels.transpose(2, 1, 0), np.diag([-width, -height, depth, 1.0]))
    stored.header.set_xyzt_units("mm")
    stored.header["descrip"] = NOTICE
    nibabel.save(stored, path)


def labelled(lungs: npt.NDArray[np.uint8], lesions: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """One label for each pixel: 0 outside, 1 left lung, 2 right lung, both without their lesions, 3 lesion."""
    return np.where(lesions, 3, lungs).astype(np.uint8)


def write_endoscopy_folder(folder: Path, count: int, seed: int, *, size: int = 128) -> None:
    """Write `count` endoscopy phantoms with the boxes of their artefacts.

    `images.csv` has a column `image` and names all images, those without artefacts too; `boxes.csv` has columns
    `image,label,xmin,ymin,xmax,ymax`, in pixels. The phantoms are those of `endoscopy_set(count, seed, size)`; files of
    the same names are replaced.

    Raises:
        InputError: for a negative count, or too small a size.
        StorageError: when the folder cannot be written.
    """
    images, boxes, labels = endoscopy_set(count, seed, size)
    with _writing(folder):
        names = _write_pictures(folder, "images", images)
        _write_table(folder / "images.csv", ("image",), ((name,) for name in names))
        rows = (
            (name, ARTEFACTS[label], *(f"{side:g}" for side in corners))
            for name, mine, said in zip(names, boxes, labels, strict=True)
            for corners, label in zip(mine.tolist(), said.tolist(), strict=True)
        )
        _write_table(folder / "boxes.csv", ("image", "label", "xmin", "ymin", "xmax", "ymax"), rows)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"The phantoms cannot be written to {folder}: {reason}. Choose another folder.") from error


def _write_pictures(folder: Path, kind: str, pictures: npt.NDArray[Any]) -> list[str]:
    """Write PNGs that are marked as synthetic; returns their names relative to the folder."""
    notice = PngInfo()
    notice.add_text("Description", NOTICE)
    (folder / kind).mkdir(parents=True, exist_ok=True)
    names = [f"{kind}/phantom_{i:04d}.png" for i in range(len(pictures))]
    for name, picture in zip(names, pictures, strict=True):
        Image.fromarray(picture).save(folder / name, pnginfo=notice)
    return names


def _write_signed(folder: Path, pictures: npt.NDArray[np.int16]) -> list[str]:
    """Write TIFFs that are marked as synthetic; returns their names relative to the folder."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    names = [f"images/phantom_{i:04d}.tif" for i in range(len(pictures))]
    for name, picture in zip(names, pictures, strict=True):
        tifffile.imwrite(folder / name, picture, description=NOTICE, compression="zlib")
    return names


def _write_table(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)

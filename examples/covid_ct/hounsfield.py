"""The slices of this example in Hounsfield units, upright and with a pixel size: ASSUMED, since the files state none.

The JPEGs are grey values from 0 to 255 of an unknown lung window, cropped to the lungs and turned: the patient's front
is on their left. Metal, dose and motion need HU, millimetres, and to know where the back is. So we assume

- one window for all slices, WINDOW: then air in the lungs and soft tissue, the two peaks of the histogram of the
  training and validation slices, are where they are in patients (`peaks`, which prepare.py prints);
- that the longer side of a slice, from ribs to ribs, is WIDTH wide, and that pixels of the JPEG are square.

What the window cut off stays cut off: bones and contrast agent above its top have the HU of its top.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image

WINDOW = (-1080.0, 240.0)
"""HU of the grey values 0 and 255; the same numbers are in artefacts.toml."""
WIDTH = 320.0
"""Of the longer side of a slice, in mm."""
AIR, TISSUE = (10, 110), (150, 245)
"""Grey values between which the peaks of aerated lung and of soft tissue are."""

Array = NDArray[Any]


def in_hu(grey: Array) -> Array:
    """Grey values 0 to 255 as HU, whole numbers in int16."""
    low, high = WINDOW
    return np.rint(low + grey.astype(np.float64) * (high - low) / 255).astype(np.int16)


def spacing(size: tuple[int, int], stored: tuple[int, int]) -> tuple[float, float]:
    """Height and width of an upright pixel in mm.

    Args:
        size: rows and columns of the JPEG, before it was turned; a column goes from the patient's left to the right.
        stored: rows and columns of the prepared slice, before it was turned.
    """
    pixel = WIDTH / max(size)
    return size[1] * pixel / stored[1], size[0] * pixel / stored[0]


def write(source: Path, target: Path, mm: tuple[float, float] | None) -> None:
    """Write a prepared slice, or its mask if there is no pixel size, as upright NIfTI (rows, columns)."""
    with Image.open(source) as opened:
        values = np.rot90(np.asarray(opened.convert("L")), -1)  # clockwise: the left side becomes the top
    target.parent.mkdir(parents=True, exist_ok=True)
    if mm is None:
        Image.fromarray(np.ascontiguousarray(values)).save(target)
        return
    image = nibabel.Nifti1Image(np.ascontiguousarray(in_hu(values)), np.diag([*mm, 1.0, 1.0]))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, target)


def peaks(slices: list[Path]) -> tuple[float, float]:
    """HU of the most frequent value in lungs with air, and in soft tissue: medians over the slices."""
    found = []
    for path in slices:
        with Image.open(path) as opened:
            counts = np.bincount(np.asarray(opened.convert("L")).ravel(), minlength=256)
        smooth = np.convolve(counts, np.ones(9) / 9, "same")
        found.append([low + int(np.argmax(smooth[low:high])) for low, high in (AIR, TISSUE)])
    low, high = WINDOW
    air, tissue = low + np.median(found, axis=0) * (high - low) / 255
    return float(air), float(tissue)

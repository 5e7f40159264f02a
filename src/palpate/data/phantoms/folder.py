"""Phantoms as a user's folder: PNG images and a table of labels."""

from __future__ import annotations

import csv
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from palpate.data.phantoms.fundus import fundus_set
from palpate.errors import StorageError

NOTICE = "palpate digital phantom, synthetic"
"""Text chunk `Description` of every PNG, so that no phantom can pass for a patient's image."""


def write_fundus_folder(folder: Path, count: int, seed: int) -> None:
    """Write `count` fundus phantoms as `images/phantom_0000.png` ... and `labels.csv` with columns `file,grade`.

    The images are those of `fundus_set(count, seed)`; files of the same names are replaced.

    Raises:
        InputError: for a negative count.
        StorageError: when the folder cannot be written.
    """
    images, grades = fundus_set(count, seed)
    notice = PngInfo()
    notice.add_text("Description", NOTICE)
    try:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as table:
            writer = csv.writer(table, lineterminator="\n")
            writer.writerow(("file", "grade"))
            for i, (image, grade) in enumerate(zip(images, grades.tolist(), strict=True)):
                name = f"images/phantom_{i:04d}.png"
                Image.fromarray(image).save(folder / name, pnginfo=notice)
                writer.writerow((name, grade))
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"The phantoms cannot be written to {folder}: {reason}. Choose another folder.") from error

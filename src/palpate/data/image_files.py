"""Which files of a folder are images, and which folders are searched for them."""

from __future__ import annotations

import os
from pathlib import Path

from palpate.data.formats.registry import SUFFIXES
from palpate.data.listing import visible

__all__ = ["PRODUCED", "folders_in", "image_files", "is_searched"]

PRODUCED = (
    *("runs", "results", "outputs", "output", "logs", "lightning_logs", "tb_logs", "tensorboard", "wandb", "mlruns"),
    *("checkpoints", "checkpoint", "ckpt", "ckpts", "weights", "models", "figures", "figs", "plots", "gradcam"),
    *("heatmaps", "predictions", "src", "scripts", "notebooks"),
)
"""Names of folders of code, or that training and its tools write: pictures in them are not a class."""


def is_searched(folder: Path) -> bool:
    """Whether a folder may have images to audit: not a run folder, not an environment, and not hidden."""
    if folder.name.startswith((".", "__")):
        return False
    # A run folder is recognised by its content, because --out may give it any name.
    run = os.path.isfile(folder / "run.json") and os.path.isfile(folder / "plan.toml")
    return not run and not os.path.isfile(folder / "pyvenv.cfg")


def folders_in(folder: Path, *, produced: bool = False) -> list[Path]:
    """The sorted folders in a folder that are searched.

    Those that training writes (`results`, `wandb`) are left out if there are others, unless `produced`.
    """
    found = [path for path in visible(path for path in folder.iterdir() if path.is_dir()) if is_searched(path)]
    return [path for path in found if produced or path.name.lower() not in PRODUCED] or found


def image_files(folder: Path, *, deep: bool) -> list[Path]:
    """Sorted images of a folder, by their ending or as DICOM without one; below it too where `deep`.

    A folder below that holds several DICOM files of one series, and nothing else, is one image: a volume. Run folders
    and environments are not entered.
    """
    found = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    files = [path for path in visible(found) if path.name.lower().endswith(SUFFIXES) or _is_bare_dicom(path)]
    if deep and folder.is_dir():
        for below in folders_in(folder):
            files += [below] if _is_one_series(below) else image_files(below, deep=True)
    return files


def _is_bare_dicom(path: Path) -> bool:
    """Whether a file is DICOM that has no ending, as scanners and archives name them."""
    from palpate.data.formats.dicom.files import is_image_file

    return (not path.suffix or path.suffix[1:].isdigit()) and is_image_file(path)


def _is_one_series(folder: Path) -> bool:
    from palpate.data.formats.dicom.files import is_image_file, one_sentence, open_header

    files = visible(folder.iterdir())
    if len(files) < 2 or not all(path.is_file() and is_image_file(path) for path in files):
        return False
    series = set()
    for path in files:
        with one_sentence(path):
            series.add(str(open_header(path, ("SeriesInstanceUID",)).dataset.get("SeriesInstanceUID") or path.name))
    return len(series) == 1

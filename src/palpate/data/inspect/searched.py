"""Which folders are searched for images: neither run folders of palpate nor environments of Python are."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from palpate.data.inspect.columns import SPLITS
from palpate.data.listing import visible

ANNOTATED = (
    *("images", "imgs", "image", "masks", "mask", "labels", "annotations", "fov", "segmentation", "segmentations"),
    *("imagestr", "imagests", "labelstr", "labelsts", "jpegimages", "imagesets", "groundtruth", "ground_truth"),
)
"""Names of folders with images or masks of an annotated set, which are not a class."""

PRODUCED = (
    *("runs", "results", "outputs", "output", "logs", "lightning_logs", "tb_logs", "tensorboard", "wandb", "mlruns"),
    *("checkpoints", "checkpoint", "ckpt", "ckpts", "weights", "models", "figures", "figs", "plots", "gradcam"),
    *("heatmaps", "predictions", "src", "scripts", "notebooks"),
)
"""Names of folders of code, or that training and its tools write: pictures in them are not a class."""

_MOST_FOLDERS = 64
_DEEP = 3


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


def searched_folders(folder: Path) -> list[Path]:
    """The folders that `palpate init` searches: the folder, those in it, and splits at most three levels down.

    A folder that only contains another one (`chest_xray/chest_xray`) does not count as a level.
    """
    if not folder.is_dir():
        return []
    below = folders_in(folder)
    found = [folder, *below]
    for place in below[:_MOST_FOLDERS]:
        found += _splits(place, _DEEP)
    return list(dict.fromkeys(found))


def _splits(folder: Path, depth: int) -> Iterable[Path]:
    below = folders_in(folder) if depth else []
    named = [path for path in below if path.name.lower() in SPLITS]
    if named:
        return named
    if len(below) == 1:
        return [below[0], *_splits(below[0], depth - 1)]
    return [split for path in below[:_MOST_FOLDERS] for split in _splits(path, depth - 1)] if depth == _DEEP else []

"""In which folders `palpate init` looks for images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from palpate.data.image_files import folders_in
from palpate.data.inspect.columns import SPLITS

ANNOTATED = (
    *("images", "imgs", "image", "masks", "mask", "labels", "annotations", "fov", "segmentation", "segmentations"),
    *("imagestr", "imagests", "labelstr", "labelsts", "jpegimages", "imagesets", "groundtruth", "ground_truth"),
)
"""Names of folders with images or masks of an annotated set, which are not a class."""

NNUNET = ("nnunet_raw", "nnunet_preprocessed", "nnunet_results")
"""Names of the three folders of a workspace of nnU-Net, which are not classes."""

_MOST_FOLDERS = 64
_DEEP = 3


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

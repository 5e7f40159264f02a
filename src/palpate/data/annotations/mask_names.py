"""Which files of a folder are masks of other files there, by their names alone: `a_mask.png` next to `a.png`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from palpate.data.formats.registry import SUFFIXES

__all__ = ["MARK", "mask_owners", "owners_beside", "stem_of"]

_WORDS = (
    r"masks?|segmentations?|segs?|labels?|gt|ground[ _-]?truth|annotations?|manual|1stHO|2ndHO|lesions?|fov|contours?"
)
_AFTER = r"(?:[ _.-]?\d{1,3}|[ _.-]?\(\d{1,3}\))?"
MARK = re.compile(rf"(?P<stem>.+?)(?P<mark>[ _.-]+(?:{_WORDS})){_AFTER}", re.IGNORECASE)
"""A stem that ends like those of masks: the image's own stem, the mark, and perhaps the number of the mask."""
_ENDING = re.compile(rf"({'|'.join(map(re.escape, sorted(SUFFIXES, key=len, reverse=True)))})$", re.IGNORECASE)
_MASK_FOLDER = re.compile(r"masks?|segmentations?|labels?|annotations?|gt|ground[ _-]?truth", re.IGNORECASE)
_IMAGE_FOLDERS = ("images", "image", "imgs", "img", "Images", "Image")
_BEFORE = re.compile(rf"(?P<mark>(?:{_WORDS})[ _.-]+)(?P<stem>.+)", re.IGNORECASE)


def stem_of(name: str) -> str:
    """The last part of a path without the ending of an image: `a` for `x/a.nii.gz`."""
    last = name.rpartition("/")[2]
    match = _ENDING.search(last)
    return last[: match.start()] if match else PurePosixPath(last).stem


def mask_owners(names: Iterable[str]) -> dict[str, str]:
    """The files that are masks of other files of the same folder, each with that file.

    A name alone is not enough for a mask: its image must exist. An image may have several masks
    (`a_mask.png`, `a_mask_1.png`).

    Args:
        names: paths with forward slashes.
    """
    known: dict[tuple[str, str], str] = {}
    everything = sorted(names)
    for name in everything:
        known.setdefault((_folder(name), stem_of(name).lower()), name)
    owners = {}
    for name in everything:
        stem = stem_of(name)
        for pattern in (MARK, _BEFORE):
            match = pattern.fullmatch(stem)
            owner = known.get((_folder(name), match["stem"].strip().lower())) if match else None
            if owner is not None and owner != name:
                owners[name] = owner
                break
    return owners


def owners_beside(names: Iterable[str]) -> dict[str, str]:
    """The files in a folder of masks that have an image of the same name in the folder of images next to it.

    `covid/masks/a.png` belongs to `covid/images/a.png`, or to `covid/a.png`.

    Args:
        names: paths with forward slashes.
    """
    everything = sorted(names)
    known = {(_folder(name), stem_of(name).lower()): name for name in everything}
    owners = {}
    for name in everything:
        above, _, last = _folder(name).rpartition("/")
        if not _MASK_FOLDER.fullmatch(last):
            continue
        beside = (folder for folder in (*(f"{above}/{image}".lstrip("/") for image in _IMAGE_FOLDERS), above))
        stem = stem_of(name).lower()
        stems = (stem, match["stem"].strip()) if (match := MARK.fullmatch(stem)) else (stem,)
        found = (known.get((folder, one)) for folder in beside for one in stems)
        if owner := next(filter(None, found), None):
            owners[name] = owner
    return owners


def _folder(name: str) -> str:
    return name.rpartition("/")[0]

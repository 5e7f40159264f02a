"""Files in the folder of a series that are not part of it: localizers, and copies of a slice under another name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from palpate.data.formats.dicom.files import one_sentence, open_pixels
from palpate.data.formats.dicom.frames import SAME_PLACE, Plane
from palpate.data.formats.dicom.header import Described
from palpate.errors import InputError


def require_no_strays(folder: Path, slices: Sequence[Described]) -> None:
    """Refuse localizers next to slices, by their image type; raises InputError."""
    scouts = [each.path.name for each in slices if _is_localizer(each)]
    if scouts and len(scouts) < len(slices):
        more = f" and {len(scouts) - 1} more are localizers" if len(scouts) > 1 else " is a localizer"
        raise InputError(
            f"{folder}: {scouts[0]}{more} (a scout, by its image type), and the other {len(slices) - len(scouts)} "
            "files are slices. Move it out of the folder."
        )


def require_no_copies(folder: Path, slices: Sequence[Described], planes: Sequence[Plane]) -> None:
    """Refuse duplicate slices, by identifier or by place and pixels; raises InputError."""
    pairs = _same_instance(slices) or _same_pixels(slices, planes)
    if pairs:
        original, copy = sorted((each.path.name for each in pairs[0]), key=lambda name: (len(name), name))
        more = f", and {len(pairs) - 1} more files are copies" if len(pairs) > 1 else ""
        raise InputError(f"{folder}: {copy} is a copy of {original}{more}. Remove the copies from the folder.")


def _is_localizer(each: Described) -> bool:
    written = each.dataset.get("ImageType") or []
    return "LOCALIZER" in ([written] if isinstance(written, str) else list(written))


def _same_instance(slices: Sequence[Described]) -> list[tuple[Described, Described]]:
    firsts: dict[str, Described] = {}
    pairs = []
    for each in slices:
        uid = str(each.dataset.get("SOPInstanceUID") or "")
        first = firsts.setdefault(uid, each)
        if uid and first is not each and _digest(first) == _digest(each):
            pairs.append((first, each))
    return pairs


def _same_pixels(slices: Sequence[Described], planes: Sequence[Plane]) -> list[tuple[Described, Described]]:
    along = np.array([plane.position @ planes[0].normal for plane in planes])
    order = np.argsort(along, kind="stable")
    near = [(one, two) for one, two in pairwise(order) if along[two] - along[one] < SAME_PLACE]
    return [(slices[one], slices[two]) for one, two in near if _digest(slices[one]) == _digest(slices[two])]


def _digest(each: Described) -> bytes:
    """Hash of the pixels as they are stored."""
    with one_sentence(each.path):
        return hashlib.sha256(open_pixels(each.path, ["PixelData"]).PixelData).digest()

"""Files that lie beside an image and are no image of their own: masks, named after their image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_MASK_ENDING = re.compile(
    r"^(?P<image>.+?)[ _\-.]+(?:mask|masks|seg|segmentation|segmented|gt|groundtruth|label|labels|annotation|"
    r"superpixels)(?:[ _\-]?\d+)?$",
    re.IGNORECASE,
)


def image_of_mask(stem: str) -> str | None:
    """The stem of the image that a mask's name is made from, or None: `a` for `a_mask`, `a_mask_1`, `a-seg`, `a_GT`."""
    match = _MASK_ENDING.match(stem)
    return match["image"] if match else None


def mask_files(files: Sequence[Path]) -> list[Path]:
    """Those of some files that are masks of others of them: named after a file of the same folder, plus `_mask` etc."""
    stems = {(path.parent, stem_of(path).lower()) for path in files}
    return [
        path
        for path in files
        if (image := image_of_mask(stem_of(path))) is not None and (path.parent, image.lower()) in stems
    ]


def stem_of(path: Path) -> str:
    """The name without its endings; `.nii.gz` counts as one."""
    name = path.name
    for ending in (".nii.gz", path.suffix):
        if ending and name.lower().endswith(ending.lower()):
            return name[: -len(ending)]
    return name

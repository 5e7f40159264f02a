"""Places in an image followed through its preprocessing: where they are in the network's input."""

from __future__ import annotations

import math
from collections.abc import Sequence

from palpate.errors import InputError
from palpate.preprocess.chain import Chain
from palpate.preprocess.geometry import CentreCrop, Pad, Reorder, Resample, Resize
from palpate.preprocess.simple import Preprocess
from palpate.preprocess.statistics import PerImage
from palpate.preprocess.step import Preprocessing
from palpate.preprocess.values import Clip, Invert, Normalise, Rescale, ToRGB, Window

_VALUES = (Rescale, Window, Clip, Invert, ToRGB, Normalise, PerImage)
"""Steps that leave every pixel where it is."""
Pairs = tuple[tuple[float, float], ...]


def followed(preprocess: Preprocessing, places: Sequence[tuple[float, float]], width: int, height: int) -> Pairs:
    """Places x, y in pixels of an image, as pixels of the network's input.

    Pixels are areas: the image goes from 0 to its width, and resizing multiplies by the factor.

    Raises:
        InputError: a step moves pixels in a way that cannot be followed.
    """
    steps = [Resize(preprocess.size)] if isinstance(preprocess, Preprocess) and preprocess.size is not None else []
    if isinstance(preprocess, Chain):
        steps = list(preprocess.steps)  # type: ignore[arg-type]
    elif not isinstance(preprocess, Preprocess):
        raise InputError("a prompt cannot be followed through model.preprocess.monai. Write the steps in the plan.")
    found = tuple(places)
    for step in steps:
        found, width, height = _through(step, found, width, height)
    return found


def _through(step: object, places: Pairs, width: int, height: int) -> tuple[Pairs, int, int]:
    if isinstance(step, _VALUES):
        return places, width, height
    across, down = _size(step, width, height)
    if isinstance(step, (Resize, Resample)):
        return tuple((x * across / width, y * down / height) for x, y in places), across, down
    if isinstance(step, Pad):
        right, lower = (across - width) // 2, (down - height) // 2
        return tuple((x + right, y + lower) for x, y in places), across, down
    left, upper = width // 2 - across // 2, height // 2 - down // 2
    # What the crop cuts off is outside of the network's input.
    kept = ((min(max(x - left, 0.0), float(across)), min(max(y - upper, 0.0), float(down))) for x, y in places)
    return tuple(kept), across, down


def _size(step: object, width: int, height: int) -> tuple[int, int]:
    """Width and height after a step that moves pixels."""
    if isinstance(step, Resize):
        return step.size[1], step.size[0]
    if isinstance(step, Resample) and step.of is not None:
        sides = zip((height, width), step.of, step.spacing, strict=True)
        down, across = (max(1, math.floor(side * now / then + 0.5)) for side, now, then in sides)
        return across, down
    if isinstance(step, Pad):
        return max(width, step.size[1]), max(height, step.size[0])
    if isinstance(step, CentreCrop):
        return min(width, step.size[1]), min(height, step.size[0])
    words = "reorder" if isinstance(step, Reorder) else getattr(step, "describe", lambda: "a step")()
    raise InputError(
        f"a prompt cannot be followed through the step '{words}' of model.preprocess. Use resize, resample, pad or "
        "centre_crop."
    )

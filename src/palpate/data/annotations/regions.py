"""Where in an image the body is, and where text was burnt in: masks for threats inside the body or outside text.

Both are found by simple thresholds that are given here, not by a model. They are good enough to limit a perturbation,
but they are not ground truth: look at them before you base a claim on them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.generic]

_AIR = -500.0
"""HU between air and tissue."""
_FOREGROUND = 0.1
"""A value above this share of the way from the darkest to the brightest values is visible."""
_CONTRAST, _BEHIND = 0.3, 0.55
"""Least rise of a stroke above its background, and highest level of the background, as shares of the range."""
_WHITE = 0.8
"""Least level of letters in images of one channel: devices write at the top of the range."""
_PURE = 0.25
"""By how much green or blue exceeds red in drawings on a picture of tissue, as a share of the range."""
_LETTER = 12
"""The height of a letter is at most this share of the shorter side; longer things are anatomy."""


def body(values: Values, *, unit: str = "", inverted: bool = False) -> Mask:
    """The patient, or the field of view of a camera: the largest connected part that is not dark, without holes.

    Values in HU count as body above -500; all others above a tenth of the way from the first to the 99th percentile.
    Thin things (the table of a scanner, letters in a corner) are removed by an opening of 1/100 of the shorter side.
    Holes are filled in every plane of a volume, so lungs at the end of the volume are filled too.

    Args:
        values: (C, *spatial), 2D or 3D; of several channels the brightest counts.
        unit: `HU` for CT.
        inverted: low values are shown bright (MONOCHROME1).

    Returns:
        (*spatial) bool; empty if the image has one value only.
    """
    grey = _grey(values, inverted)
    low, high = np.percentile(grey, (1, 99))
    if not high > low:
        low, high = float(grey.min()), float(grey.max())
    seen = grey > (_AIR if unit.casefold() == "hu" else low + _FOREGROUND * (high - low))
    if not high > low:
        return np.zeros_like(seen)
    width = max(1, min(grey.shape) // 100)
    opened = ndimage.binary_opening(np.pad(seen, width, mode="edge"), iterations=width)
    opened = opened[tuple(slice(width, -width) for _ in grey.shape)]
    largest = _largest(opened if opened.any() else seen)
    # The skin that the opening removed is added again; separate parts are not.
    return _filled(ndimage.binary_dilation(largest, iterations=width, mask=seen))


def burnt_in_text(values: Values, *, margin: int | None = None) -> Mask:
    """Letters, scales and drawn insets that a device burnt into the pixels.

    It finds thin bright strokes, white ones in colour images, that rise by 30% of the range above a background darker
    than 55% of it, in parts at most 1/12 of the shorter side high, and in images of one channel only above 80% of the
    range. In colour images it also finds pixels that are greener or bluer than red by 25% of the range, which tissue is
    not. The result is grown by a margin.

    It misses dark letters, letters of low contrast, large ones, and long lines. It marks small bright things on a
    darker background as text: reflections in endoscopy, wires, calcifications. So it keeps a perturbation off most
    text, at the cost of a little area; it does not prove that unmarked pixels have no text.

    Args:
        values: (C, *spatial); volumes are read plane by plane along their first axis.
        margin: pixels to grow by; 1/100 of the shorter side, at least 2, by default.

    Returns:
        (*spatial) bool.
    """
    if values.ndim == 4:
        return np.stack([burnt_in_text(values[:, place], margin=margin) for place in range(values.shape[1])])
    side = min(values.shape[1:])
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return np.zeros(values.shape[1:], dtype=bool)
    shares = (values.astype(np.float32) - low) / (high - low)
    found = _strokes(shares.min(0), side, _WHITE if len(values) == 1 else 0.0)
    if len(values) == 3:
        red, green, blue = shares
        found |= ndimage.binary_opening(np.maximum(green, blue) > red + _PURE)
    grown = max(2, side // 100) if margin is None else margin
    return ndimage.binary_dilation(found, iterations=grown) if grown else found


def _strokes(grey: npt.NDArray[np.float32], side: int, least: float) -> Mask:
    """Parts of thin bright strokes that are not higher than a letter."""
    stroke = max(3, side // 40)
    behind = ndimage.grey_opening(grey, size=(stroke, stroke))
    bright = (grey - behind > _CONTRAST) & (behind < _BEHIND) & (grey > least)
    parts, count = ndimage.label(bright, structure=np.ones((3, 3)))
    keep = np.zeros(count + 1, dtype=bool)
    for number, place in enumerate(ndimage.find_objects(parts), start=1):
        keep[number] = place[0].stop - place[0].start <= max(4, side // _LETTER)
    found: Mask = keep[parts]
    return found


def _grey(values: Values, inverted: bool) -> npt.NDArray[np.float32]:
    grey = values.max(0).astype(np.float32)
    found: npt.NDArray[np.float32] = -grey if inverted else grey
    return found


def _largest(mask: Mask) -> Mask:
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    found: Mask = parts == sizes.argmax()
    return found


def _filled(mask: Mask) -> Mask:
    """Holes of a picture, or of every plane of a volume."""
    if mask.ndim == 2:
        flat: Mask = ndimage.binary_fill_holes(mask)
        return flat
    filled = mask.copy()
    for axis in range(mask.ndim):
        planes, kept = np.moveaxis(mask, axis, 0), np.moveaxis(filled, axis, 0)
        for place, plane in enumerate(planes):
            kept[place] |= ndimage.binary_fill_holes(plane)
    return filled

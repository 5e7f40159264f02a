"""How stored values become grey. NumPy only: viewers show images in the same window."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.generic]

EIGHT_BIT = 255.0
"""With a wider range than this (Hounsfield units, 16 bit) a picture would be flat and grey."""
_PERCENTILES = (1.0, 99.0)


def window(image: Values, bounds: tuple[float, float], *, inverted: bool = False) -> tuple[float, float]:
    """Stored values that are shown black and white: the bounds, or the middle 98% if the bounds are wider than 8 bit.

    Args:
        image: the image as stored (C, *spatial); the altered one is shown in the same window.
        bounds: lowest and highest stored value.
        inverted: high values are dark when shown (MONOCHROME1): the first of the two is the higher one.
    """
    shades = bounds
    if bounds[1] - bounds[0] > EIGHT_BIT:
        low, high = np.percentile(image.astype(np.float64), _PERCENTILES)
        shades = (float(f"{low:.4g}"), float(f"{high:.4g}")) if high > low else bounds
    return (shades[1], shades[0]) if inverted else shades


def shades(image: Values, bounds: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Stored values (C, H, W) as 8 bit (H, W, 3 or 1): rounded, or scaled from `bounds` if these are not of 8 bit.

    Three channels are colours; otherwise the first channel is shown.
    """
    low, high = bounds
    values: npt.NDArray[np.float64] = image.astype(np.float64)
    scaled = values if (low, high) == (0.0, EIGHT_BIT) else (values - low) / (high - low) * 255
    pixels = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return (pixels if len(pixels) == 3 else pixels[:1]).transpose(1, 2, 0)

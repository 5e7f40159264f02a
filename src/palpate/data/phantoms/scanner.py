"""The CT scanner: couch, blur of the reconstruction, its coloured noise, and the range of 12 bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from palpate.data.phantoms.canvas import Array, Points

LOWEST, HIGHEST = -1024, 3071
"""Range of Hounsfield units that 12 bits store."""


def couch(values: Array, x: Array, y: Array, spacing: float, under: float) -> None:
    """Draw the couch in place, as two curved shells below y = `under` mm."""
    for drop, density in ((0.0, -250), (22.0, -420)):
        line = np.abs(y - (under + drop) + np.square(x) / 1400) - 1.6
        share = np.clip(0.5 - line / spacing, 0, 1) * (np.abs(x) < 190) * (values < -900)
        values += share * (density - values)


def scan(values: Array, spacing: Points, noise: float, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """What the scanner stores for true Hounsfield units.

    The blur is Gaussian, about 2 mm in the plane. Noise is white noise minus its own slow part, which gives the fine
    grain of filtered backprojection; it is stronger in the middle of the body, where fewer photons arrive.

    Args:
        values: (*spatial), 2D or 3D, the last two axes in the plane.
        spacing: (D,) size of a pixel in mm.
        noise: Deviation in Hounsfield units in the middle.
        rng: Source of the noise.

    Returns:
        (*spatial), int16, from -1024 to 3071.
    """
    blur = np.where(np.arange(values.ndim) >= values.ndim - 2, 2.0 / spacing, 0.35)
    signal = gaussian_filter(values, blur, truncate=3)
    white = rng.standard_normal(values.shape, np.float32)
    plane = (0.0,) * (values.ndim - 2)
    grain = gaussian_filter(white, (*plane, 0.5, 0.5)) - 0.7 * gaussian_filter(white, (*plane, 1.4, 1.4))
    grain /= grain.std()
    height, width = values.shape[-2:]
    v, u = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    strength = noise * (0.45 + 0.55 * np.exp(-(u**2 + v**2) / 0.5))
    return np.asarray(np.rint(np.clip(signal + strength * grain, LOWEST, HIGHEST)), np.int16)

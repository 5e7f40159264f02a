"""The fundus camera: illumination, field stop, blur, photon and read noise, colour softness, gamma, 8 bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from palpate.data.phantoms.canvas import Array, Canvas

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_HAZE = np.array([0.050, 0.042, 0.050], np.float32)


def field(grid: Canvas, notch: float | None) -> Array:
    """The field stop, (size, size), 0..1: the unit disc, with the camera's orientation notch at angle `notch`."""
    edge = np.asarray(np.clip((1 - grid.distance(0, 0)) * grid.scale + 0.5, 0, 1), np.float32)
    if notch is None:
        return edge
    tab = np.clip((0.045 - grid.distance(np.cos(notch), np.sin(notch))) * grid.scale + 0.5, 0, 1)
    return np.asarray(np.maximum(edge, tab), np.float32)


def illumination(grid: Canvas, rng: np.random.Generator) -> Array:
    """Uneven light, (size, size): off-centre vignetting, a tilt and slow unevenness; near 1 in the middle."""
    centre = rng.normal(0, 0.12, 2)
    fall = rng.uniform(0.22, 0.48) * np.square(grid.distance(*centre))
    angle, tilt = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.16)
    slope = tilt * (grid.x * np.cos(angle) + grid.y * np.sin(angle))
    return np.asarray(np.clip(1 - fall + slope + 0.03 * grid.smooth_noise(rng, 3), 0.15, 1.3), np.float32)


def expose(scene: Array, grid: Canvas, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A photograph of a linear reflectance.

    The signal is scene x light, blurred; noise is Gaussian of variance signal / wells + read^2 (shot and read
    noise); colour is softened as by 4:2:0 chroma subsampling; then a gamma of 1/2.2.

    Args:
        scene: Linear reflectance, (size, size, 3).
        grid: Its canvas.
        rng: Source of the light, the focus and the noise.

    Returns:
        (size, size, 3), uint8, near 0 outside the field of view.
    """
    stop = field(grid, float(rng.uniform(-0.9, -0.6)) if rng.random() < 0.6 else None)
    exposure = rng.uniform(0.80, 1.05)
    light = illumination(grid, rng) * exposure
    rim = rng.uniform(0, 1) * np.exp(-(1 - np.hypot(grid.x, grid.y)).clip(0) / 0.07)
    side = rng.uniform(0, 2 * np.pi)
    rim *= 0.5 + 0.5 * (grid.x * np.cos(side) + grid.y * np.sin(side))
    signal = (scene * light[..., None] + rim.clip(0)[..., None] * _HAZE) * stop[..., None]
    return develop(signal, stop, rng)


def develop(signal: Array, stop: Array, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """What a colour camera stores of linear light: blur, shot and read noise, soft colour, gamma.

    Args:
        signal: Light that arrives, (size, size, 3); 1 is the brightest that can be stored.
        stop: The field of view, (size, size), 0..1; there is less noise where it is dark.
        rng: Source of the focus and the noise.

    Returns:
        (size, size, 3), uint8.
    """
    focus = rng.uniform(0.45, 0.75) * len(signal) / 128
    signal = gaussian_filter(signal, (focus, focus, 0), truncate=3).clip(0, 1)
    wells, read = rng.uniform(500, 2000), rng.uniform(0.001, 0.003)
    noise = rng.standard_normal(signal.shape, np.float32) * np.sqrt(signal / np.float32(wells) + np.float32(read**2))
    encoded = np.clip(signal + noise * (0.2 + 0.8 * stop[..., None]), 0, 1) ** np.float32(1 / 2.2) * 255
    luma = (encoded * _LUMA).sum(-1)
    chroma = gaussian_filter(encoded - luma[..., None], (0.7, 0.7, 0), truncate=3)
    return np.asarray(np.rint(np.clip(luma[..., None] + chroma, 0, 255)), np.uint8)

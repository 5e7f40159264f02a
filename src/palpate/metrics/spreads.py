"""Spreads over images with bootstrap intervals, and the weighted sums behind the figures of stability."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from palpate.errors import InputError
from palpate.metrics.intervals import Estimate, Resampling
from palpate.metrics.panel import Bools, Floats

NO_IMAGE = "No image counts here."
FEW_IMAGES = "A spread over images needs at least two images."


def spread(values: Floats, among: Bools, resampling: Resampling) -> Estimate:
    """Standard deviation over images, with n - 1, and its percentile bootstrap interval.

    The interval is biased low in small samples, since a resample repeats images.

    Args:
        values: (N,) one figure per image; those that are not finite do not count.
        among: (N,) images that count.
        resampling: of the N images.
    """
    counts = among & np.isfinite(values)
    kept = np.asarray(values, np.float64)[counts]
    estimate = resampling.estimate(lambda weights: deviation(weights[:, counts], kept), FEW_IMAGES)
    return replace(estimate, total=int(counts.sum()))


def check(resampling: Resampling, *arrays: npt.ArrayLike) -> None:
    """Each array holds one number per image.

    Raises:
        InputError: an array has another length.
    """
    if any(np.shape(array) != resampling.group.shape for array in arrays):
        raise InputError(f"Each array must hold one number for each of the {resampling.group.size} images.")


def quotient(top: Floats, bottom: Floats) -> Floats:
    """`top / bottom`; NaN where the bottom is not above 0."""
    out = np.full(np.shape(bottom), np.nan)
    np.divide(top, bottom, out=out, where=bottom > 0)
    return out


def mean(weights: Floats, values: Floats) -> Floats:
    """Weights (B, n), values (n,) -> weighted means (B,); NaN where no weight is left."""
    return quotient(weights @ values, weights.sum(axis=1))


def deviation(weights: Floats, values: Floats) -> Floats:
    """Weights (B, n), values (n,) -> standard deviations (B,) with sum of weights - 1; NaN below two images."""
    if not values.size:
        return np.full(len(weights), np.nan)
    # Differences from the first value: equal values then have a spread of exactly 0.
    moved, total = values - values[0], weights.sum(axis=1)
    centre = np.nan_to_num(mean(weights, moved))
    squares = (weights * (moved - centre[:, None]) ** 2).sum(axis=1)
    return np.sqrt(quotient(squares, total - 1))

"""What "stable" means for an attack, in numbers: the first two meanings, over images and over restarts.

The definitions are palpate's own (`docs/explanation/stability.md`). Scores are better when higher. The drop of an
image is its clean score minus its score under attack. N images share one `Resampling`; NaN marks what was not
measured, and such an image does not count. What cannot be known is an `undefined` estimate with its reason.
The fourth meaning, along the run, is in `stability_run`. Reports do not have the other meanings, which are in
`benchmarks/stability_measures.py` and `benchmarks/stability_modalities.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from palpate.errors import InputError
from palpate.metrics.intervals import Estimate, Resampling, Share, undefined
from palpate.metrics.panel import Bools, Floats
from palpate.metrics.spreads import NO_IMAGE, check, mean, spread

ONE_SEED = "A spread over seeds needs at least two seeds."
NO_DRAWS = "The attack draws no random numbers: it has no spread over seeds."


def by_group(groups: npt.ArrayLike, seed: int = 0) -> Resampling:
    """The resamples of images that belong to patients; `groups` (N,) holds their names or numbers."""
    return Resampling(np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64), seed)


@dataclass(frozen=True)
class AcrossImages:
    """First meaning: how unequal the results of the images are at one budget."""

    drop: Estimate
    """Mean drop of the score."""
    spread: Estimate
    """Standard deviation of the drop over images, with n - 1."""
    success: Estimate
    """Share of images beaten."""


def across_images(
    clean_score: Floats, score: Floats, success: Bools, eligible: Bools, resampling: Resampling
) -> AcrossImages:
    """How an attack's outcome spreads over the eligible images at one budget.

    drop_i = clean_i - score_i; mean, and sqrt(sum_i (drop_i - mean)^2 / (n - 1)).

    Args:
        clean_score: (N,) score of the image as stored.
        score: (N,) score under attack.
        success: (N,) the attack reached its goal.
        eligible: (N,) images that count.
        resampling: of the N images.

    Raises:
        InputError: the arrays differ in length.
    """
    drops = np.asarray(clean_score, np.float64) - np.asarray(score, np.float64)
    check(resampling, drops, success, eligible)
    return AcrossImages(
        drop=resampling.mean(drops, eligible, NO_IMAGE),
        spread=spread(drops, eligible, resampling),
        success=resampling.proportion(Share(success, eligible), NO_IMAGE),
    )


@dataclass(frozen=True)
class AcrossRestarts:
    """Second meaning: the effect of the attack's random numbers."""

    spread: Estimate
    """Standard deviation of the drop over seeds within an image, pooled over images."""
    differing: Estimate
    """Share of images that some seeds beat and others do not."""
    change: Estimate
    """Spread of the final change over seeds, in budgets; mean over images."""


def across_restarts(
    drops: Floats,
    success: Bools,
    eligible: Bools,
    resampling: Resampling,
    change: Floats | None = None,
    *,
    draws: bool = True,
) -> AcrossRestarts:
    """How an attack's outcome spreads over seeds on the same images.

    spread = sqrt(mean_i var_s(drop_si)), with S - 1 in the variance, over images measured with every seed.

    Args:
        drops: (S, N) drop of the score with each seed.
        success: (S, N) the attack reached its goal.
        eligible: (N,) images that count.
        resampling: of the N images.
        change: (N,) spread of the final change of each image over seeds, in budgets; NaN where it is not known.
        draws: whether the attack draws random numbers. If not, every figure is undefined: a zero would look like a
            good result.

    Raises:
        InputError: the arrays differ in shape.
    """
    values, won = np.asarray(drops, np.float64), np.asarray(success, bool)
    check(resampling, eligible)
    if values.shape != won.shape or values.shape[1:] != eligible.shape:
        raise InputError("Drops and success must both be given for each seed (rows) and image (columns).")
    if not draws or len(values) < 2:
        return AcrossRestarts(*(undefined(ONE_SEED if draws else NO_DRAWS) for _ in range(3)))
    variances = np.var(values, axis=0, ddof=1)
    counts = eligible & np.isfinite(variances)
    total = int(counts.sum())

    def pooled(weights: Floats) -> Floats:
        return np.sqrt(mean(weights[:, counts], variances[counts]))

    changes = np.full(eligible.size, np.nan) if change is None else np.asarray(change, np.float64)
    check(resampling, changes)
    mixed: Bools = np.asarray(won.any(axis=0) & ~won.all(axis=0), dtype=bool)
    return AcrossRestarts(
        spread=replace(resampling.estimate(pooled, NO_IMAGE), total=total),
        differing=resampling.proportion(Share(mixed, eligible), NO_IMAGE),
        change=resampling.mean(changes, eligible, "No change was kept of two seeds."),
    )

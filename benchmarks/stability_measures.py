"""Measures of stability that the study alone uses: of changes, of smallest budgets, after the clinic, over models.

They go with `palpate.metrics.stability` and follow `docs/explanation/stability.md`. Scores are better when higher. N
images share one `Resampling`; NaN marks what was not measured. What cannot be known is an `undefined` estimate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.stability_spreads import kept, quantile
from palpate.errors import InputError
from palpate.metrics.intervals import Estimate, Resampling, Share
from palpate.metrics.pairs import Pairing
from palpate.metrics.pairs import paired as tested
from palpate.metrics.panel import Bools, Floats
from palpate.metrics.spreads import FEW_IMAGES, NO_IMAGE, check, deviation
from palpate.metrics.survival import shares


def relative_drop(clean_score: Floats, score: Floats) -> Floats:
    """`(clean - score) / clean` of each image, 1 where everything is lost; NaN where the clean score is not above 0."""
    clean, attacked = np.asarray(clean_score, np.float64), np.asarray(score, np.float64)
    out = np.full(clean.shape, np.nan)
    np.divide(clean - attacked, clean, out=out, where=clean > 0)
    return out


def change_spread(changes: Floats, eps: float) -> Floats:
    """How far the final changes of several seeds differ at each pixel, in budgets, one number per image.

    mean over pixels of sd_s(d_s) / eps, with S - 1 in the variance. Two patterns of independent signs at the faces of
    an L-inf ball give 0.71 on average, many give nearly 1.

    Args:
        changes: (S, N, ...) final changes d in values.
        eps: radius of the ball in values.

    Returns:
        (N,); NaN with one seed.

    Raises:
        InputError: eps is not positive, or there are no pixels.
    """
    values = np.asarray(changes, np.float64)
    if not eps > 0 or values.ndim < 3 or 0 in values.shape[2:]:
        raise InputError("The spread of changes needs an array (seeds, images, pixels) and eps above 0.")
    flat = values.reshape(*values.shape[:2], -1)
    if len(flat) < 2:
        return np.full(flat.shape[1], np.nan)
    return np.asarray(flat.std(axis=0, ddof=1).mean(axis=1) / eps, np.float64)


@dataclass(frozen=True)
class EpsQuartiles:
    """First meaning over all budgets: the smallest one that beats each image, censored at the largest."""

    lower: Estimate
    """First quartile in values."""
    median: Estimate
    """Median in values; undefined where fewer than half of the images fall."""
    upper: Estimate
    """Third quartile in values."""
    unbeaten: Estimate
    """Share of images that no budget beats."""


def eps_quartiles(smallest: Floats, resampling: Resampling) -> EpsQuartiles:
    """Quartiles over images of the smallest budget that beats them.

    The quartile q is the smallest e with at least q n images at or below it: a tried budget, never one between. Among
    the images not beaten it is undefined; the upper end of an interval there is infinite: beyond the
    largest budget.

    Args:
        smallest: (N,) from `robustness.smallest_eps`: infinite where no budget won, NaN where the image does not count.
        resampling: of the N images.

    Raises:
        InputError: the arrays differ in length.
    """
    values = np.asarray(smallest, np.float64)
    check(resampling, values)
    among, beyond = ~np.isnan(values), np.equal(values, np.inf)
    lower, median, upper = (quantile(values, among, share, resampling) for share in (0.25, 0.5, 0.75))
    return EpsQuartiles(lower, median, upper, resampling.proportion(Share(beyond, among), NO_IMAGE))


@dataclass(frozen=True)
class AfterTheClinic:
    """Fifth meaning: what one post-processing step leaves of an attack."""

    survived: Estimate
    """Of the images beaten before post-processing, those beaten after it."""
    survived_net: Estimate
    """The same without the images that post-processing alone beats: the merit of the attack."""
    alone: Estimate
    """Share of images that post-processing beats without an attack."""
    kept: Estimate
    """Share of the drop that is kept, net of the effect of post-processing on the clean image."""


def after_the_clinic(
    success: Bools,
    eligible: Bools,
    handled_margin: Floats,
    clean_handled_margin: Floats,
    resampling: Resampling,
    *,
    drop: Floats | None = None,
    handled_drop: Floats | None = None,
) -> AfterTheClinic:
    """What is left of an attack after one post-processing step.

    kept = sum_i handled_drop_i / sum_i drop_i, where drop_i = clean_i - score_i before, and handled_drop_i = the clean
    image's score after post-processing minus the adversarial image's score after it. It may be above 1.

    Args:
        success: (N,) the goal was reached before post-processing.
        eligible: (N,) images that count.
        handled_margin: (N,) margin of the adversarial image after it; 0 or less: beaten; NaN: not measured.
        clean_handled_margin: (N,) that of the clean image.
        resampling: of the N images.
        drop: (N,) drop before post-processing; without it `kept` is undefined.
        handled_drop: (N,) drop after it, both images handled.

    Raises:
        InputError: the arrays differ in length.
    """
    check(resampling, success, eligible, handled_margin, clean_handled_margin)
    one = shares(success, eligible, handled_margin, clean_handled_margin)
    own = one.survived.within(one.alone.among & ~one.alone.hits)
    none = "No image was beaten before post-processing."
    return AfterTheClinic(
        survived=resampling.proportion(one.survived, none),
        survived_net=resampling.proportion(own, "No image was beaten by the attack but not by post-processing alone."),
        alone=resampling.proportion(one.alone, "Post-processing was not measured on clean images."),
        kept=kept(drop, handled_drop, eligible, resampling),
    )


@dataclass(frozen=True)
class AcrossModels:
    """Sixth meaning: what an attack that knows one network does to another that it never saw."""

    both: int
    """Images that both networks have right and on which both were measured."""
    first: Estimate
    """Share of these that are beaten on the network attacked."""
    second: Estimate
    """Share of these that are beaten on the other network."""
    carried: Estimate
    """Of those beaten on the network attacked, the share beaten on the other."""
    kept: Estimate
    """Drop on the other network over the drop on the one attacked, over the same images."""


def across_models(
    success: Bools,
    eligible: Bools,
    transfer_margin: Floats,
    transfer_clean_margin: Floats,
    resampling: Resampling,
    *,
    drop: Floats | None = None,
    transfer_drop: Floats | None = None,
) -> AcrossModels:
    """How an attack transfers, over images that both networks have right: margins of both clean images above 0.

    kept = sum_i transfer_drop_i / sum_i drop_i.

    Args:
        success: (N,) the network attacked was beaten.
        eligible: (N,) it had the image right before.
        transfer_margin: (N,) the other network's margin on the adversarial image; 0 or less: beaten.
        transfer_clean_margin: (N,) its margin on the clean image.
        resampling: of the N images.
        drop: (N,) drop on the network attacked; without it `kept` is undefined.
        transfer_drop: (N,) drop on the other network.

    Raises:
        InputError: the arrays differ in length.
    """
    check(resampling, success, eligible, transfer_margin, transfer_clean_margin)
    right = eligible & np.greater(transfer_clean_margin, 0) & ~np.isnan(transfer_margin)
    beaten, none = np.less_equal(transfer_margin, 0), "No image is right on both networks."
    return AcrossModels(
        both=int(right.sum()),
        first=resampling.proportion(Share(success, right), none),
        second=resampling.proportion(Share(beaten, right), none),
        carried=resampling.proportion(Share(beaten, right & success), "No such image was beaten on the first network."),
        kept=kept(drop, transfer_drop, right, resampling),
    )


@dataclass(frozen=True)
class Paired:
    """Two attacks on the same images: the first minus the second."""

    mean: Estimate
    """Difference of the mean drops."""
    spread: Estimate
    """Difference of the standard deviations of the drop over images."""
    success: Pairing
    """The test of the successes, with the images of a group together."""


def paired(
    first: tuple[Floats, Bools], second: tuple[Floats, Bools], eligible: Bools, resampling: Resampling
) -> Paired:
    """Two attacks compared on the images where both were measured; each draw of images serves both.

    Args:
        first: (N,) drops and (N,) successes of one attack.
        second: those of the other.
        eligible: (N,) images that count for both.
        resampling: of the N images.

    Raises:
        InputError: the arrays differ in length.
    """
    (one, ones), (two, twos) = first, second
    check(resampling, one, ones, two, twos, eligible)
    among = eligible & np.isfinite(one) & np.isfinite(two)
    a, b = np.asarray(one, np.float64)[among], np.asarray(two, np.float64)[among]

    def gap(weights: Floats) -> Floats:
        return deviation(weights[:, among], a) - deviation(weights[:, among], b)

    return Paired(
        mean=resampling.mean(np.where(among, one, 0.0) - np.where(among, two, 0.0), among, NO_IMAGE),
        spread=replace(resampling.estimate(gap, FEW_IMAGES), total=int(among.sum())),
        success=tested(ones[eligible], twos[eligible], resampling.group[eligible]),
    )

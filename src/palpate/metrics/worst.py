"""The worst case of every figure: what all attacks together can do to each image within a budget.

For each image the worst value counts, over its adversarial images that are no larger than the budget. It does not
matter which attack found one, for which goal, or at which budget. The image as stored counts too: a change of nothing
is within every budget. Such a figure is never better than that of one attack that kept to its budget, and never
improves as the budget grows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from palpate.metrics.clinical import is_disease
from palpate.metrics.detection import Matches
from palpate.metrics.grading import quadratic_kappa
from palpate.metrics.panel import Bools, Floats, Images, Ints, Outcome
from palpate.metrics.robustness import beaten_within, budgets_of


def within(outcome: Outcome, eps: float) -> Bools:
    """[budget, image] Adversarial images no larger than `eps`."""
    return outcome.recorded & beaten_within(outcome.distance, eps)


def lowest(clean: Floats, values: Sequence[Floats], fits: Sequence[Bools]) -> Floats:
    """The lowest value of each image, clean or adversarial; a value that is undefined (NaN) does not count.

    Args:
        clean: (N, ...) values of the images as stored.
        values: per attack, [budget, image, ...].
        fits: per attack, [budget, image], which adversarial images are within the budget.
    """
    least = clean
    for value, fit in zip(values, fits, strict=True):
        mask = fit.reshape(fit.shape + (1,) * (value.ndim - 2))
        least = np.fmin(least, np.fmin.reduce(np.where(mask, value, np.nan), axis=0, initial=np.nan))
    return least


def highest(clean: Floats, values: Sequence[Floats], fits: Sequence[Bools]) -> Floats:
    """The highest value of each image, clean or adversarial; see `lowest`."""
    return -lowest(-clean, [-value for value in values], fits)


def disease_scores(images: Images, outcomes: Sequence[Outcome], eps: float, disease: Sequence[int]) -> Floats:
    """(N,) The lowest disease score of each disease image, the highest of each healthy one."""
    scores = [outcome.disease_score for outcome in outcomes]
    fits = [within(outcome, eps) for outcome in outcomes]
    low, high = (extreme(images.disease_score, scores, fits) for extreme in (lowest, highest))
    return np.where(is_disease(images.label, disease), low, high)


def furthest_grades(images: Images, outcomes: Sequence[Outcome], eps: float) -> Ints:
    """(N,) The decided grade that is furthest from the true one; the lower of two that are equally far."""
    worst = images.clean_prediction.copy()
    for outcome in outcomes:
        for decided, fits in zip(outcome.prediction, within(outcome, eps), strict=True):
            far, farthest = np.abs(decided - images.label), np.abs(worst - images.label)
            take = fits & ((far > farthest) | ((far == farthest) & (decided < worst)))
            worst[take] = decided[take]
    return worst


def worst_grades(images: Images, outcomes: Sequence[Outcome], eps: float, among: Bools, classes: int) -> Ints:
    """(N,) The decided grades with the lowest quadratic kappa: of each image the furthest, or those of one attack.

    Kappa compares the grades with their margins, so that the furthest grade of each image need not give the lowest
    kappa. An attack alone counts where all its images are within the budget.
    """
    smaller = [one for one in budgets_of(outcomes) if one <= eps]
    candidates = [furthest_grades(images, outcomes, one) for one in reversed(smaller)]
    for outcome in outcomes:
        fits = within(outcome, eps)
        candidates += [decided for decided, fit in zip(outcome.prediction, fits, strict=True) if fit[among].all()]
    every = np.ones((1, images.count))
    values = [float(quadratic_kappa(images.label, one, among, classes)(every)[0]) for one in candidates]
    return candidates[int(np.nanargmin(values))] if not np.isnan(values).all() else candidates[0]


def choose(keys: Floats, fits: Bools) -> Ints:
    """(N,) For each image the state with the lowest key among those within the budget; the first of equals.

    Args:
        keys: [state, image], the clean images first.
        fits: [state, image].
    """
    return np.asarray(np.where(fits, keys, np.inf).argmin(axis=0))


def merged(states: Sequence[Matches], chosen: Ints, among: Bools) -> Matches:
    """The detections of one state per image.

    Args:
        states: the images as stored, then under each attack at each budget; with the same overlaps.
        chosen: (N,) which state of each image counts.
        among: (N,) images that count.
    """
    kept = [(chosen[one.image] == place) & among[one.image] for place, one in enumerate(states)]
    confidence = np.concatenate([one.confidence[mask] for one, mask in zip(states, kept, strict=True)])
    order = np.argsort(-confidence, kind="stable")
    return Matches(
        image=np.concatenate([one.image[mask] for one, mask in zip(states, kept, strict=True)])[order],
        label=np.concatenate([one.label[mask] for one, mask in zip(states, kept, strict=True)])[order],
        confidence=confidence[order],
        hit=np.concatenate([one.hit[:, mask] for one, mask in zip(states, kept, strict=True)], axis=1)[:, order],
        annotated=np.where(among[:, None], states[0].annotated, 0),
        among=among,
        overlaps=states[0].overlaps,
    )

"""A model under attack: robust accuracy, success rate, worst case and the smallest budget that beats an image.

Two denominators, never mixed:
- *success rate* counts the images that the attack can still win (`eligible`): clean errors are not successes;
- *robust accuracy* counts every image with something to lose (`attackable`): correct before the attack, and not beaten
  by it. An image without an annotated box, for example, would count as robust at every budget.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from palpate.metrics.intervals import Share
from palpate.metrics.panel import Bools, Floats, Images, Outcome

SLACK = 1e-3
"""Relative excess over a budget that counts as rounding of stored values in float32, not as leaving the ball."""


def clean_accuracy(images: Images) -> Share:
    """Images decided correctly before any attack, over all images."""
    return Share(images.correct, np.ones(images.count, dtype=bool))


def clean_attackable(images: Images) -> Share:
    """Clean accuracy over the images with something to lose: those that robust accuracy counts."""
    return Share(images.correct, images.attackable)


def robust_accuracy(images: Images, outcome: Outcome, budget: int) -> Share:
    """Images correct before an untargeted attack and not beaten by it, over the attackable ones that have a record.

    Args:
        images: the audited images.
        outcome: an untargeted attack; for other goals being beaten is not the same as being wrong.
        budget: index into `outcome.eps`.
    """
    return Share(images.correct & ~outcome.success[budget], outcome.recorded[budget] & images.attackable)


def success_rate(outcome: Outcome, budget: int) -> Share:
    """Eligible images on which the attack reached its goal, over the eligible ones."""
    return Share(outcome.success[budget], outcome.recorded[budget] & outcome.eligible)


def smallest_eps(outcome: Outcome) -> Floats:
    """The smallest budget that beat each image, (N,) in stored values.

    Infinite where no tried budget beat it, NaN where the image was not eligible or has no record.
    """
    eps = np.where(outcome.success, outcome.eps[:, None], np.inf).min(axis=0, initial=np.inf)
    return np.where(outcome.eligible & outcome.recorded.any(axis=0), eps, np.nan)


def median_eps(smallest: Floats) -> float:
    """The smallest tried budget at which at least half of the eligible images were beaten.

    Infinite if fewer than half were beaten, NaN if none was eligible. There is no interpolation between budgets.
    """
    known = np.sort(smallest[~np.isnan(smallest)])
    return float(known[(known.size - 1) // 2]) if known.size else float("nan")


def within_budget(outcome: Outcome) -> Bools:
    """[budget, image] Whether the change kept to its budget; an attack without projection may not."""
    return np.less_equal(outcome.distance, outcome.eps[:, None] * (1 + SLACK))


def reach(outcomes: Sequence[Outcome], hits: Sequence[Bools], images: int) -> Floats:
    """The size of the smallest adversarial change of each image, over all attacks and budgets; (N,) stored values.

    An adversarial image of size d proves that the model fails at every budget of d or more. It does not matter which
    attack found it, or at which budget. Infinite where there is none.

    Args:
        outcomes: the attacks that count.
        hits: per attack, [budget, image], which of its images count as adversarial.
        images: N.
    """
    nearest = np.full(images, np.inf)
    for outcome, hit in zip(outcomes, hits, strict=True):
        found = np.where(hit & outcome.recorded, outcome.distance, np.inf)
        nearest = np.minimum(nearest, found.min(axis=0, initial=np.inf))
    return nearest


def beaten_within(distances: Floats, eps: float) -> Bools:
    """Images whose nearest adversarial image is within `eps`."""
    return np.less_equal(distances, eps * (1 + SLACK))


def worst_case(images: Images, outcomes: Sequence[Outcome], eps: float) -> Share:
    """Robust accuracy against all untargeted attacks at once: none has an adversarial image within `eps`.

    Over the attackable images that some attack has finished; in an unfinished run, an attack that is missing for an
    image can only make the figure too high. It is never above the robust accuracy of an attack that kept to its budget
    and finished the same images, and it never grows with `eps`.
    """
    found = reach(outcomes, [outcome.success for outcome in outcomes], images.count)
    return Share(images.correct & ~beaten_within(found, eps), seen(outcomes, images.count) & images.attackable)


def worst_success(images: Images, outcomes: Sequence[Outcome], eps: float) -> Share:
    """Success rate of all attacks of one goal together: some attack has an adversarial image within `eps`.

    Over the eligible images that some attack has finished.
    """
    found = reach(outcomes, [outcome.success for outcome in outcomes], images.count)
    eligible = np.zeros(images.count, dtype=bool)
    for outcome in outcomes:
        eligible |= outcome.eligible & outcome.covered
    return Share(beaten_within(found, eps), eligible)


def seen(outcomes: Sequence[Outcome], images: int) -> Bools:
    """(N,) Images that some attack has finished; none without attacks."""
    finished = np.zeros(images, dtype=bool)
    for outcome in outcomes:
        finished |= outcome.covered
    return finished


def budgets_of(outcomes: Sequence[Outcome]) -> list[float]:
    """All budgets of some attacks, ascending."""
    return sorted({float(eps) for outcome in outcomes for eps in outcome.eps})

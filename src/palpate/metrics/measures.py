"""Figures of masks and findings from records: means and medians per structure, errors and success per finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palpate.errors import InputError
from palpate.metrics.grading import area_under_roc
from palpate.metrics.intervals import Share
from palpate.metrics.panel import Bools, Floats
from palpate.metrics.statistics import Statistic
from palpate.storage.lists import Lists

UNKNOWN = -1
"""Truth of a finding that is not annotated."""


def median(values: Floats, among: Bools) -> Statistic:
    """Median of a measure over the images of `among` where it is defined; the lower one of two middle values.

    For measures with a long tail, such as a Hausdorff distance. A statistic over weights: the smallest value at which
    the weights up to it make up half of all.

    Args:
        values: (N,) one figure per image; NaN or infinite where it is undefined.
        among: (N,) images that count.
    """
    counts = np.flatnonzero(among & np.isfinite(values))
    order = counts[np.argsort(values[counts], kind="stable")]
    ordered = values[order]

    def statistic(weights: Floats) -> Floats:
        if not order.size:
            return np.full(len(weights), np.nan)
        reached = np.cumsum(weights[:, order], axis=1)
        middle = (reached >= reached[:, -1:] / 2).argmax(axis=1)
        return np.where(reached[:, -1] > 0, ordered[middle], np.nan)

    return statistic


def undefined_count(values: Floats, among: Bools) -> int:
    """Images of `among` in which a measure is undefined: a structure is missing, nothing was drawn."""
    return int((among & ~np.isfinite(values)).sum())


def lost(before: Floats, after: Floats, among: Bools, floor: float) -> Share:
    """Success per structure: at or below the floor after the attack, over the images where it was above it before.

    Args:
        before: (N,) score of the structure in each image as stored.
        after: (N,) its score in the adversarial image; an undefined one does not count.
        among: (N,) images that have a record.
        floor: the score above which the structure is acceptable.
    """
    return Share(np.less_equal(after, floor), among & np.greater(before, floor) & ~np.isnan(after))


@dataclass(frozen=True, eq=False)
class FindingRead:
    """One finding of a multi-label model over all images, before or after an attack.

    Attributes:
        truth: (N,) 1 present, 0 absent, -1 unknown.
        probability: (N,) the model's probability; NaN where there is no record.
        threshold: the finding counts as present above this probability.
    """

    truth: Floats
    probability: Floats
    threshold: float

    @property
    def _read(self) -> Bools:
        read: Bools = np.greater(self.probability, self.threshold)
        return read

    @property
    def _known(self) -> Bools:
        known: Bools = np.not_equal(self.truth, UNKNOWN) & ~np.isnan(self.probability)
        return known

    @property
    def right(self) -> Bools:
        """(N,) Images where the finding is known and read correctly."""
        right: Bools = self._known & np.equal(self._read, np.equal(self.truth, 1))
        return right

    @property
    def sensitivity(self) -> Share:
        """Images with the finding where the model reports it, over those with the finding."""
        return Share(self._read, self._known & np.equal(self.truth, 1))

    @property
    def specificity(self) -> Share:
        """Images without the finding where the model does not report it, over those without."""
        return Share(~self._read, self._known & np.equal(self.truth, 0))

    @property
    def area_under_roc(self) -> Statistic:
        """Chance that an image with the finding gets a higher probability than one without."""
        return area_under_roc(np.equal(self.truth, 1), self.probability, self._known)

    def turned(self, before: FindingRead) -> Share:
        """Success per finding: read wrongly now, over the images that were read correctly before and have a record."""
        return Share(~self.right, before.right & self._known)


def table(lists: Lists, width: int) -> Floats:
    """Flat lists of one number per finding as a table (N, width); NaN where an image has no record.

    Raises:
        InputError: a list has another length: the records are damaged or of another task.
    """
    if wrong := [one for one in lists.widths if one not in (0, width)]:
        raise InputError(f"A record holds {wrong[0]} findings instead of {width}. The records are damaged.")
    return lists.table(width)


def spread(thresholds: Sequence[float], findings: int) -> tuple[float, ...]:
    """One operating point per finding; a single one is used for all, and the default is 0.5."""
    given = tuple(thresholds) or (0.5,)
    return given * findings if len(given) == 1 else given

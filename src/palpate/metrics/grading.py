"""Figures of a grader or a detector: quadratic kappa, sensitivity, specificity, area under the ROC curve.

Each is a statistic over weights, so that the bootstrap evaluates all its resamples in a few array operations.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from palpate.metrics.clinical import is_disease
from palpate.metrics.intervals import Share
from palpate.metrics.panel import Bools, Floats, Ints
from palpate.metrics.statistics import Counts, Projected, Statistic


def quadratic_kappa(label: Ints, prediction: Ints, among: Bools, classes: int) -> Statistic:
    """Cohen's kappa with quadratic weights, of the grades decided against the true grades.

    kappa = 1 - sum w O / sum w E with w_ij = (i - j)^2, O the table of true by decided grades and E the table that
    only its margins would give. 1 is full agreement, 0 is chance. NaN where only one grade occurs in both.
    J. Cohen, Psychol. Bull. 70 (1968) 213. Equals `cohen_kappa_score(weights="quadratic")`.

    Args:
        label: (N,) true grades, 0 to classes - 1.
        prediction: (N,) decided grades.
        among: (N,) images that count.
        classes: number of grades.
    """
    cell = np.where(among, label * classes + prediction, -1)
    grades = np.arange(classes)
    penalty = (grades[:, None] - grades[None, :]).astype(np.float64) ** 2

    def statistic(counts: Floats) -> Floats:
        table = counts.reshape(-1, classes, classes)
        true, decided = table.sum(axis=2), table.sum(axis=1)
        observed = counts @ penalty.ravel()
        expected = (true @ penalty * decided).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            kappa = 1 - observed * counts.sum(axis=1) / expected
        return np.where(expected > 0, kappa, np.nan)

    return Counts(cell, classes * classes, statistic)


def area_under_roc(positive: Bools, score: Floats, among: Bools) -> Statistic:
    """Chance that a disease image scores higher than a healthy one; ties count half.

    The Mann-Whitney form of the area under the ROC curve; equals `roc_auc_score` with sample weights. NaN if one of
    the two kinds is missing, or a score is NaN.

    Args:
        positive: (N,) the image shows disease.
        score: (N,) probability of disease.
        among: (N,) images that count.
    """
    order = np.flatnonzero(among)[np.argsort(score[among], kind="stable")]
    ordered = score[order]
    # Runs of equal scores: an ill image wins against healthy images of earlier runs and ties with those of its own run.
    runs = np.flatnonzero(np.diff(ordered, prepend=np.nan) != 0)
    defined = not np.isnan(ordered).any()

    def statistic(weights: Floats) -> Floats:
        # Images are rows, resamples are columns: the sums over runs then add whole rows.
        sorted_weights = weights.T[order]
        ill = sorted_weights * positive[order, None]
        healthy = sorted_weights - ill
        if 0 < runs.size < order.size:
            ill, healthy = np.add.reduceat(ill, runs), np.add.reduceat(healthy, runs)
        wins = (ill * (np.cumsum(healthy, axis=0) - healthy / 2)).sum(axis=0)
        pairs = ill.sum(axis=0) * healthy.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where((pairs > 0) & defined, wins / pairs, np.nan)

    def parts() -> tuple[Floats, Floats]:
        """For each disease image the share of the healthy ones that it wins against, and the other way round.

        The projection of U statistics: W. Hoeffding, Ann. Math. Stat. 19 (1948) 293; for this area
        E. R. DeLong and others, Biometrics 44 (1988) 837.
        """
        starts = np.zeros(order.size, dtype=np.int64)
        starts[runs] = 1
        run = np.cumsum(starts) - 1
        ill, healthy = (np.bincount(run, kind, runs.size) for kind in (positive[order], ~positive[order]))
        below, above = np.cumsum(healthy) - healthy / 2, ill.sum() - np.cumsum(ill) + ill / 2
        tops, bottoms = np.zeros((score.size, 2)), np.zeros((score.size, 2))
        bottoms[order, 0], bottoms[order, 1] = positive[order], ~positive[order]
        with np.errstate(invalid="ignore", divide="ignore"):
            tops[order, 0] = positive[order] * (below / healthy.sum())[run]
            tops[order, 1] = ~positive[order] * (above / ill.sum())[run]
        return tops, bottoms

    return Projected(statistic, parts)


def sensitivity(label: Ints, prediction: Ints, among: Bools, disease: Sequence[int]) -> Share:
    """Disease images decided as disease, over the disease images of `among`."""
    return Share(is_disease(prediction, disease), among & is_disease(label, disease))


def specificity(label: Ints, prediction: Ints, among: Bools, disease: Sequence[int]) -> Share:
    """Healthy images decided as healthy, over the healthy images of `among`."""
    return Share(~is_disease(prediction, disease), among & ~is_disease(label, disease))

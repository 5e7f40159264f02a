from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, confusion_matrix, roc_auc_score

from palpate.metrics.grading import area_under_roc, quadratic_kappa, sensitivity, specificity
from palpate.metrics.intervals import Resampling, tail

GRADES = 5


def everyone(count):
    return np.ones(count, dtype=bool)


@pytest.mark.parametrize("seed", range(5))
def test_kappa_equals_scikit_learn_weighted_and_not(seed):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, GRADES, 80)
    prediction = np.clip(label + rng.integers(-2, 3, 80), 0, GRADES - 1)
    weights = rng.integers(0, 4, (3, 80)).astype(float)
    got = quadratic_kappa(label, prediction, everyone(80), GRADES)(weights)
    for value, weight in zip(got, weights, strict=True):
        assert value == pytest.approx(
            cohen_kappa_score(label, prediction, weights="quadratic", sample_weight=weight, labels=range(GRADES))
        )


def test_kappa_reads_only_the_images_that_count():
    label, prediction = np.array([0, 1, 2, 1]), np.array([0, 1, 1, -1])
    among = np.array([True, True, True, False])
    got = quadratic_kappa(label, prediction, among, 3)(np.ones((1, 4)))
    assert got[0] == pytest.approx(cohen_kappa_score(label[:3], prediction[:3], weights="quadratic"))


def test_kappa_of_a_single_grade_is_nan():
    grade = np.array([1, 1])
    assert np.isnan(quadratic_kappa(grade, grade, everyone(2), 3)(np.ones((1, 2)))).all()


@pytest.mark.parametrize("seed", range(5))
def test_area_equals_scikit_learn_with_ties_and_weights(seed):
    rng = np.random.default_rng(seed)
    positive = rng.random(60) < 0.4
    score = np.round(rng.random(60) + 0.3 * positive, 1)
    among = rng.random(60) < 0.9
    weights = rng.integers(0, 3, (3, 60)).astype(float)
    got = area_under_roc(positive, score, among)(weights)
    for value, weight in zip(got, weights, strict=True):
        assert value == pytest.approx(roc_auc_score(positive[among], score[among], sample_weight=weight[among]))


def test_area_is_nan_without_both_kinds_or_with_a_nan_score():
    positive, score = np.array([True, True]), np.array([0.1, 0.2])
    assert np.isnan(area_under_roc(positive, score, everyone(2))(np.ones((1, 2)))).all()
    mixed = np.array([True, False])
    assert np.isnan(area_under_roc(mixed, np.array([np.nan, 0.2]), everyone(2))(np.ones((1, 2)))).all()


def test_sensitivity_and_specificity_against_the_confusion_matrix():
    rng = np.random.default_rng(7)
    label, prediction = rng.integers(0, GRADES, 100), rng.integers(0, GRADES, 100)
    healthy, false_alarm, miss, found = confusion_matrix(label >= 2, prediction >= 2).ravel()
    assert sensitivity(label, prediction, everyone(100), (2, 3, 4)).value == pytest.approx(found / (found + miss))
    assert specificity(label, prediction, everyone(100), (2, 3, 4)).value == pytest.approx(
        healthy / (healthy + false_alarm)
    )


def test_the_bootstrap_interval_of_kappa_matches_one_resample_at_a_time():
    rng = np.random.default_rng(8)
    label = rng.integers(0, GRADES, 40)
    prediction = np.clip(label + rng.integers(-1, 2, 40), 0, GRADES - 1)
    resampling = Resampling(np.repeat(np.arange(20), 2), seed=5, replicates=200)
    statistic = quadratic_kappa(label, prediction, everyone(40), GRADES)
    draws = np.random.default_rng(5).multinomial(20, np.full(20, 1 / 20), size=200)
    slow = []
    for draw in draws:
        rows = np.repeat(np.arange(40), draw[np.repeat(np.arange(20), 2)])
        slow.append(cohen_kappa_score(label[rows], prediction[rows], weights="quadratic", labels=range(GRADES)))
    assert resampling.interval(statistic) == pytest.approx(tuple(np.quantile(slow, [tail(20), 1 - tail(20)])))

"""Paired differences: values by hand, intervals that hold the truth, and patients that are kept together."""

import numpy as np
import pytest
from scipy.stats import binomtest

from palpate.metrics.differences import SIGNS, STUDENT, TANGO, TANGO_GROUPS, difference, paired_worth, tango
from palpate.metrics.grading import area_under_roc
from palpate.metrics.intervals import Mean, Origin, Resampling, Share, percentiles


def origin(of, group):
    return Origin(of, Resampling(np.asarray(group)))


def shares(one, two, group=None):
    group = np.arange(len(one)) if group is None else group
    among = np.ones(len(one), dtype=bool)
    return [origin(Share(np.asarray(hits, dtype=bool), among), group) for hits in (one, two)]


def test_tango_is_the_set_of_differences_that_its_score_does_not_reject():
    gained, lost, total = 9.0, 3.0, 40.0
    low, high = tango(gained, lost, total)

    def statistic(change):
        # The likelihood over q (share lost) with share gained q + change, maximised on a grid.
        q = np.linspace(max(0.0, -change) + 1e-9, (1 - change) / 2 - 1e-9, 200_001)
        loglike = gained * np.log(q + change) + lost * np.log(q) + (total - gained - lost) * np.log(1 - 2 * q - change)
        best = q[np.argmax(loglike)]
        variance = total * (2 * best + change - change**2)
        return (gained - lost - total * change) / np.sqrt(variance)

    assert statistic(low) == pytest.approx(1.96, abs=2e-3) and statistic(high) == pytest.approx(-1.96, abs=2e-3)


def test_where_no_image_changed_the_interval_has_the_width_of_its_closed_form():
    z2 = 1.959963984540054**2
    assert tango(0, 0, 200) == pytest.approx((-z2 / (200 + z2), z2 / (200 + z2)))


def test_the_interval_of_shares_holds_the_true_difference_in_19_of_20_samples():
    rng, held = np.random.default_rng(0), 0
    for _ in range(1000):
        kinds = rng.choice(3, size=60, p=[0.1, 0.05, 0.85])  # gained, lost, unchanged: the truth is +0.05
        low, high = tango(float((kinds == 0).sum()), float((kinds == 1).sum()), 60.0)
        held += low <= 0.05 <= high
    assert 930 <= held <= 975


def test_a_share_gives_its_value_both_ways_and_mcnemar():
    one, two = [1, 1, 1, 0, 0, 0, 0, 0, 1, 0], [1, 1, 0, 1, 1, 1, 1, 1, 1, 0]
    found = difference(*shares(one, two))
    assert (found.first.value, found.second.value, found.change.value) == pytest.approx((0.4, 0.8, 0.4))
    assert (found.gained, found.lost) == (5, 1)
    assert found.p == pytest.approx(binomtest(5, 6, 0.5).pvalue) and found.test == SIGNS
    assert found.change.method == TANGO and found.change.low < 0.4 < found.change.high


def test_images_of_one_patient_that_change_together_count_as_one():
    one, two = [0] * 20, [1] * 10 + [0] * 10
    alone = difference(*shares(one, two))
    together = difference(*shares(one, two, [0] * 10 + list(range(1, 11))))
    assert together.change.method == TANGO_GROUPS and together.p == 1.0
    assert together.change.low < 0 < alone.change.low


def test_the_worth_of_images_lies_between_groups_and_images():
    apart, group = np.array([1, 1, 0, 0, -1, -1, 0, 0]), np.arange(8) // 2
    assert 4 <= paired_worth(apart, group) < 8
    assert paired_worth(apart, np.arange(8)) == 8


def test_a_mean_is_over_the_images_that_both_have_a_value_for():
    among = np.ones(6, dtype=bool)
    one = Mean(np.array([0.5, 0.6, 0.7, 0.8, np.nan, 0.1]), among)
    two = Mean(np.array([0.7, 0.7, 0.8, 0.8, 0.9, np.nan]), among)
    found = difference(origin(one, np.arange(6)), origin(two, np.arange(6)))
    assert found.change.value == pytest.approx(0.1) and found.left_out == 2
    assert found.second.value - found.first.value == pytest.approx(found.change.value)
    assert found.change.low < 0.1 < found.change.high


def test_shares_over_other_images_are_those_of_the_reports_and_have_no_winners():
    hits = np.array([1, 0, 1, 1, 0, 0, 1, 0], dtype=bool)
    one = Share(hits, np.array([1, 1, 1, 1, 1, 1, 0, 0], dtype=bool))
    two = Share(~hits, np.array([0, 0, 1, 1, 1, 1, 1, 1], dtype=bool))
    found = difference(origin(one, np.arange(8)), origin(two, np.arange(8)))
    assert (found.first.value, found.second.value) == (one.value, two.value)
    assert found.gained is None and found.test == STUDENT and found.change.low < 0 < found.change.high


def test_a_figure_of_all_images_is_drawn_once_for_both_models():
    rng = np.random.default_rng(3)
    ill, among = rng.random(80) < 0.5, np.ones(80, dtype=bool)
    score = ill + rng.normal(0, 1, 80)
    resampling = Resampling(np.arange(80) // 2)
    made = [resampling.estimate(area_under_roc(ill, one, among), "") for one in (score, score + 0.6 * ill)]
    found = difference(*(one.origin for one in made))
    assert found.change.value == pytest.approx(made[1].value - made[0].value)
    assert made[0].low - made[1].high < found.change.low < found.change.value < found.change.high
    # Paired: narrower than the difference of two independent figures.
    assert found.change.high - found.change.low < 0.75 * (made[0].high - made[0].low + made[1].high - made[1].low)
    areas = [area_under_roc(ill, one, among) for one in (score, score + 0.6 * ill)]
    drawn = resampling.resampled(lambda weights: areas[1](weights) - areas[0](weights))
    assert (found.change.low, found.change.high) == pytest.approx(percentiles(drawn, 40))
    again = difference(origin(made[0].origin.of, resampling.group), origin(made[1].origin.of, resampling.group))
    assert (again.change.low, again.change.high) == pytest.approx((found.change.low, found.change.high))


def test_the_same_model_differs_by_nothing():
    found = difference(*shares([1, 0, 1, 1], [1, 0, 1, 1]))
    assert found.change.value == 0 and found.p == 1.0 and found.change.low < 0 < found.change.high


def test_what_no_image_has_is_undefined_and_says_why():
    none = np.zeros(3, dtype=bool)
    found = difference(*(origin(Share(none, none), np.arange(3)) for _ in range(2)), note="Nobody counts.")
    assert np.isnan(found.change.value) and np.isnan(found.p) and found.change.note == "Nobody counts."

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palpate.errors import InputError
from palpate.metrics.intervals import Resampling
from palpate.metrics.measures import FindingRead, lost, median, spread, table, undefined_count
from palpate.storage.lists import Lists

NAN = float("nan")
VALUES = np.array([4.0, NAN, 1.0, 9.0, np.inf, 2.0])
ALL = np.ones(6, dtype=bool)


def once(statistic, size: int) -> float:
    return float(statistic(np.ones((1, size)))[0])


def test_a_mean_leaves_out_what_is_undefined_and_says_how_many_count():
    made = Resampling(np.arange(6)).mean(VALUES, ALL, "nothing")
    assert made.value == pytest.approx((4 + 1 + 9 + 2) / 4) and made.total == 4 and made.count is None
    assert made.low < made.value < made.high and made.method == "bootstrap over groups"
    only = Resampling(np.arange(6)).mean(VALUES, np.arange(6) == 2, "nothing")
    assert only.value == 1.0 and np.isnan(only.low) and "same value" in (only.note or "")
    none = Resampling(np.arange(6)).mean(VALUES, np.arange(6) == 1, "nothing")
    assert np.isnan(none.value) and none.note == "nothing"


def test_the_interval_of_a_mean_is_the_one_of_resampled_groups():
    group = np.array([0, 0, 1, 1, 2, 3])
    values = np.array([1.0, 2.0, 8.0, 9.0, 4.0, NAN])
    resampling = Resampling(group, seed=3)
    made = resampling.mean(values, ALL, "")
    kept = np.where(np.isnan(values), 0, values)
    with np.errstate(invalid="ignore"):
        slow = resampling.interval(lambda weights: weights @ kept / (weights @ ~np.isnan(values)))
    assert (made.low, made.high) == pytest.approx(slow)


def test_undefined_figures_are_counted():
    assert undefined_count(VALUES, ALL) == 2 and undefined_count(VALUES, np.arange(6) != 1) == 1


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=15), st.data())
def test_the_median_is_the_lower_middle_value_of_the_weighted_images(values, data):
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(values), max_size=len(values)))
    spelled = sorted(value for value, weight in zip(values, weights, strict=True) for _ in range(weight))
    found = float(median(np.array(values), np.ones(len(values), dtype=bool))(np.array([weights], dtype=float))[0])
    assert found == spelled[(len(spelled) - 1) // 2] if spelled else np.isnan(found)


def test_the_median_without_an_image_is_undefined():
    assert np.isnan(once(median(np.array([NAN, 2.0]), np.array([True, False])), 2))


def test_a_structure_is_lost_where_it_was_above_the_floor_and_is_not_any_more():
    before = np.array([0.9, 0.9, 0.5, NAN, 0.9, 0.8])
    after = np.array([0.5, 0.51, 0.1, 0.0, NAN, 0.2])
    share = lost(before, after, np.array([True] * 5 + [False]), 0.5)
    # At the floor is lost; what was at the floor before, was undefined or has no record does not count.
    assert (share.count, share.total) == (1, 2)


def finding(probability, truth=(1, 1, 0, 0, -1), threshold=0.4) -> FindingRead:
    return FindingRead(np.array(truth, dtype=float), np.array(probability, dtype=float), threshold)


def test_sensitivity_and_specificity_leave_out_unknown_findings():
    before = finding([0.9, 0.3, 0.2, 0.5, 0.9])
    assert (before.sensitivity.count, before.sensitivity.total) == (1, 2)
    assert (before.specificity.count, before.specificity.total) == (1, 2)
    assert before.right.tolist() == [True, False, True, False, False]
    # At the threshold a finding is not read.
    assert finding([0.4, 0.41, 0.4, 0.41, 0.0]).right.tolist() == [False, True, True, False, False]


def test_the_area_under_the_curve_is_over_known_findings_with_a_record():
    assert once(finding([0.9, 0.3, 0.2, 0.5, 0.0]).area_under_roc, 5) == pytest.approx(3 / 4)
    assert once(finding([0.9, NAN, 0.2, 0.5, 0.0]).area_under_roc, 5) == 1.0


def test_a_finding_has_turned_where_it_was_read_rightly_before():
    before, after = finding([0.9, 0.3, 0.2, 0.1, 0.9]), finding([0.1, 0.1, 0.9, NAN, 0.1])
    share = after.turned(before)
    assert (share.count, share.total) == (2, 2)


def test_lists_of_findings_become_a_table_with_gaps():
    lists = Lists.of([[1.0, 0.0], []])
    assert np.array_equal(table(lists, 2), [[1.0, 0.0], [NAN, NAN]], equal_nan=True)
    with pytest.raises(InputError, match="2 findings instead of 3"):
        table(lists, 3)


def test_one_threshold_is_that_of_all_findings():
    assert spread([0.3], 3) == (0.3, 0.3, 0.3) and spread([], 2) == (0.5, 0.5) and spread([0.1, 0.2], 2) == (0.1, 0.2)

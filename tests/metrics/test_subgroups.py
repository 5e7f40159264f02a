from __future__ import annotations

import numpy as np
import pytest

from palpate.metrics.intervals import NONE, Estimate, difference, undefined, wilson
from palpate.metrics.subgroups import subgroups
from tests.metrics.handmade import panel, record


def estimate(count: int, total: int) -> Estimate:
    return Estimate(count / total, *wilson(count, total), "Wilson", count, total)


def test_images_are_split_by_name_and_the_unnamed_come_last():
    sites = ["B", "", "A", "B"]
    made = panel(record(row, site=site, scanner="x") for row, site in enumerate(sites))
    found = subgroups(made.images.site)
    assert [one.name for one in found] == ["A", "B", ""]
    assert found[1].mask.tolist() == [True, False, False, True]
    assert np.sum([one.mask for one in found], axis=0).tolist() == [1, 1, 1, 1]
    assert all(one.small for one in found)


def test_one_site_or_none_makes_no_groups():
    made = panel(record(row, site="A") for row in range(3))
    assert subgroups(made.images.site) == () and subgroups(made.images.scanner) == ()
    assert subgroups(panel([]).images.site) == () and subgroups(panel([record(0, site="A")]).images.site) == ()


def test_ten_images_are_enough():
    made = panel(record(row, site="A" if row < 10 else "B") for row in range(19))
    assert [one.small for one in subgroups(made.images.site)] == [False, True]


def test_newcombe_s_own_example():
    # R. G. Newcombe 1998, table II, method 10: 56/70 against 48/80.
    found = difference(estimate(56, 70), estimate(48, 80), "")
    assert (found.value, found.low, found.high) == (pytest.approx(0.2), pytest.approx(0.0524, abs=5e-5),
                                                    pytest.approx(0.3339, abs=5e-5))  # fmt: skip
    # Ends that other methods lose: 10/10 against 0/20.
    found = difference(estimate(10, 10), estimate(0, 20), "")
    assert (found.low, found.high) == (pytest.approx(0.6791, abs=5e-5), 1.0)


def test_a_difference_from_nothing_is_undefined():
    found = difference(estimate(1, 2), undefined("empty"), "No image.")
    assert np.isnan([found.value, found.low, found.high]).all() and (found.method, found.note) == (NONE, "No image.")

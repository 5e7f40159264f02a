from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from palpate.metrics import pairs
from palpate.metrics.pairs import holm, paired, sign_flip


def every_flip(sums):
    signs = np.array(list(product((-1.0, 1.0), repeat=len(sums))))
    return float((np.abs(signs @ np.asarray(sums)) >= abs(sum(sums)) - 1e-9).mean())


def test_pairs_are_counted_and_single_images_have_mcnemars_exact_p():
    first = np.array([True] * 12 + [False] * 8)
    second = np.array([True] * 3 + [False] * 9 + [True] + [False] * 7)
    pair = paired(first, second, np.arange(20))
    assert (pair.both, pair.only_first, pair.only_second, pair.neither) == (3, 9, 1, 7)
    assert pair.p_value == pytest.approx(2 * (1 + 10) / 2**10)
    assert pair.p_value == pytest.approx(binomtest(9, 10).pvalue)


def test_equal_attacks_have_a_p_of_one():
    same = np.array([True, False])
    assert paired(same, same, np.arange(2)).p_value == 1.0
    assert paired(same[:0], same[:0], np.arange(0)).p_value == 1.0


@given(st.integers(0, 12), st.integers(0, 12))
@settings(max_examples=30, deadline=None)
def test_single_images_are_mcnemars_test_by_either_way(ahead, behind):
    gap = np.array([1.0] * ahead + [-1.0] * behind + [0.0] * 5)
    expected = binomtest(ahead, ahead + behind).pvalue if ahead + behind else 1.0
    assert sign_flip(gap, np.arange(gap.size)) == pytest.approx(expected)
    if ahead + behind:
        assert pairs._whole(gap[gap != 0].astype(int)) == pytest.approx(expected)


@given(st.lists(st.integers(-6, 6), min_size=1, max_size=9))
@settings(max_examples=50, deadline=None)
def test_whole_numbers_are_as_all_flips(sums):
    moved = [one for one in sums if one]
    expected = every_flip(moved) if moved else 1.0
    assert sign_flip(np.array(sums, float), np.arange(len(sums))) == pytest.approx(expected)


def test_patients_keep_together():
    # Ten images of one patient are one observation: no evidence.
    gap = np.ones(10)
    assert sign_flip(gap, np.zeros(10, dtype=np.int64)) == 1.0
    assert sign_flip(gap, np.arange(10)) < 0.01
    # Sums 3 and 1: of the four flips those of 4 and -4 are as far out.
    assert sign_flip(np.array([1.0, 2.0, 1.0]), np.array([0, 0, 1])) == 0.5


def test_shares_take_all_flips_or_many_random_ones():
    sums = np.array([0.5, -0.25, 1.0, 0.75])
    assert sign_flip(sums, np.arange(4)) == every_flip(sums)
    many = np.random.default_rng(0).normal(size=30)
    one = sign_flip(many, np.arange(30))
    assert one == sign_flip(many, np.arange(30)) and one == pytest.approx(
        2 * (1 - norm.cdf(abs(many.sum()) / np.sqrt((many**2).sum()))), abs=0.02
    )


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []

"""The statistics of certificates: against scipy, against the definitions, and in simulations of their confidence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest, norm

from palpate.certificates.bounds import (
    above,
    certified_radius,
    fewest_draws,
    largest_radius,
    leads,
    lower_bound,
    rejected,
    share_at,
)
from palpate.metrics.pairs import holm


@pytest.mark.parametrize("hits", [0, 1, 37, 99, 100])
@pytest.mark.parametrize("alpha", [0.001, 0.05])
def test_the_lower_bound_is_that_of_clopper_and_pearson(hits, alpha):
    interval = binomtest(hits, 100, alternative="greater").proportion_ci(1 - alpha, "exact")
    assert lower_bound(hits, 100, alpha) == pytest.approx(interval.low, abs=1e-12)
    if hits:
        assert binom.sf(hits - 1, 100, lower_bound(hits, 100, alpha)) == pytest.approx(alpha)


@pytest.mark.parametrize("share", [0.5, 0.6, 0.9, 0.99, 0.999])
def test_the_bound_is_below_the_truth_as_often_as_it_says(share):
    """The exact coverage, summed over all counts: at least 1 - alpha, whatever the truth is."""
    draws, alpha = 60, 0.05
    chance = binom.pmf(np.arange(draws + 1), draws, share)
    holds = np.array([lower_bound(hits, draws, alpha) <= share for hits in range(draws + 1)])
    assert chance[holds].sum() >= 1 - alpha
    # A simulation says the same, within three standard errors.
    found = np.random.default_rng(0).binomial(draws, share, 4000)
    assert holds[found].mean() >= 1 - alpha - 3 * (alpha * (1 - alpha) / 4000) ** 0.5


def test_a_share_of_a_half_or_less_certifies_nothing():
    assert certified_radius(0.5, 3.0) == certified_radius(0.2, 3.0) == 0
    assert certified_radius(norm.cdf(1.5), 3.0) == pytest.approx(4.5)
    assert share_at(4.5, 3.0) == pytest.approx(norm.cdf(1.5)) and share_at(0, 3.0) == 0.5


@pytest.mark.parametrize(("alpha", "tests"), [(0.001, 1), (0.05, 1), (0.001, 4096)])
def test_the_fewest_draws_are_the_first_that_can_certify(alpha, tests):
    fewest = fewest_draws(0.5, alpha, tests)
    assert largest_radius(1.0, fewest, alpha, tests) > 0 == largest_radius(1.0, fewest - 1, alpha, tests)


def test_the_radius_that_so_many_samples_can_reach():
    assert largest_radius(2.0, 1000, 0.001) == pytest.approx(2 * norm.ppf(0.001 ** (1 / 1000)))


def test_p_values_are_those_of_scipy():
    hits = np.array([[0, 50, 75, 99, 100]])
    for share in (0.5, 0.75):
        wanted = [binomtest(int(one), 100, share, alternative="greater").pvalue for one in hits[0]]
        assert above(hits, 100, share)[0] == pytest.approx(wanted)
    first, second = np.array([60, 10, 5, 7, 0]), np.array([40, 10, 0, 3, 0])
    wanted = [binomtest(int(a), int(a + b), 0.5).pvalue if a + b else 1.0 for a, b in zip(first, second, strict=True)]
    assert leads(first, second) == pytest.approx(wanted)


def test_rejections_are_those_of_holm():
    rng = np.random.default_rng(1)
    for _ in range(50):
        p = rng.uniform(0, 0.1, (3, 5)) ** 2
        assert rejected(p, 0.05).ravel().tolist() == [one <= 0.05 for one in holm(p.ravel().tolist())]
    assert rejected(np.array([0.01, 0.02]), 0.02).all() and not rejected(np.array([0.011, 0.0001]), 0.01)[0]


def test_even_one_false_certificate_among_many_pixels_is_rare():
    """600 images of 200 pixels whose true share is exactly tau: none of them may be certified."""
    draws, alpha, tau = 50, 0.05, 0.75
    found = np.random.default_rng(2).binomial(draws, tau, (600, 200))
    wrong = np.mean([rejected(above(one, draws, tau), alpha).any() for one in found])
    assert 0 < wrong <= alpha + 3 * (alpha * (1 - alpha) / 600) ** 0.5
    alone = np.mean([(above(one, draws, tau) <= alpha).any() for one in found])
    assert alone > 0.9  # without the correction almost every image would have one

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import coverage
from palpate.metrics.intervals import Resampling, Share


def test_the_hits_of_a_design_have_its_rate_and_correlation():
    rng = np.random.default_rng(0)
    hits = coverage.Design(50, "10", 0.3, 0.3).hits(rng, 400)
    assert hits.shape == (400, 50) and hits.mean() / 10 == pytest.approx(0.3, abs=0.01)
    # Variance of a patient's hits: m p (1 - p) (1 + (m - 1) r).
    assert hits.var() == pytest.approx(10 * 0.3 * 0.7 * (1 + 9 * 0.3), rel=0.05)
    assert coverage.Design(7, "1 to 20", 0.3, 0.0).sizes.tolist() == [1, 2, 5, 10, 20, 1, 2]


def test_the_chosen_method_is_that_of_reports():
    design = coverage.Design(12, "1 to 20", 0.2, 0.3)
    hits = design.hits(np.random.default_rng(1), 5)
    low, high = coverage.by_formula(hits, design.sizes)[coverage.CHOSEN]
    group = np.repeat(np.arange(12), design.sizes)
    for sample, row in enumerate(hits):
        beaten = np.concatenate([np.arange(size) < hit for size, hit in zip(design.sizes, row, strict=True)])
        made = Resampling(group).proportion(Share(beaten, np.ones(group.size, dtype=bool)))
        assert (made.low, made.high) == pytest.approx((low[sample], high[sample]))


def test_a_page_is_made_of_every_table(monkeypatch):
    for name, value in {
        "PATIENTS": (6, 10), "IMAGES": ("1", "2", "1 to 20"), "RATES": (0.5,), "CORRELATIONS": (0.0, 0.3),
        "SAMPLES": 40, "RESAMPLED": 20, "TESTS": 10,
    }.items():  # fmt: skip
        monkeypatch.setattr(coverage, name, value)
    rng = np.random.default_rng(0)
    tests = {one: coverage.wrong(one, rng) for one in (coverage.Design(10, "2", 0.5, 0.3),)}
    text = coverage.page(coverage.shares(rng), tests, coverage.means(rng))
    assert "{" not in text and text.count("| --- |") >= 5 and "percentile bootstrap (before)" in text

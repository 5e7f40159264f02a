"""The smallest changes that beat the images, and which budgets of such a curve full attacks confirm."""

from __future__ import annotations

import numpy as np

from palpate.metrics.minimum import confirmations, is_minimum, median_change, smallest_change, withstood
from palpate.metrics.panel import Outcome
from palpate.report.compute.reading import RunReading
from palpate.report.model.schema import Confirmed, SmallestChange


def measure_smallest(reading: RunReading, outcome: Outcome) -> SmallestChange | None:
    """The figures of one attack; None if its budgets were attacked one by one."""
    if not is_minimum(outcome):
        return None
    changes = smallest_change(outcome)
    eligible, largest = ~np.isnan(changes), float(outcome.eps.max())
    return SmallestChange(
        median=median_change(changes),
        withstood=reading.mean(withstood(changes, largest), eligible, "No image could be attacked."),
        fallen=int(np.isfinite(changes).sum()),
        eligible=int(eligible.sum()),
        points=[
            Confirmed(
                eps=one.eps, standing=one.standing, checked=one.checked, fell=one.fell, by=list(one.by),
                confirmed=one.confirmed,
            )
            for one in confirmations(outcome, reading.panel.of(outcome.goal))
        ],
    )  # fmt: skip

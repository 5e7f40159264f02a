"""What the audits before and after have shown already, as measurements beside those of `checks`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from palpate.hardening.proof.checks import Measurement
from palpate.metrics.panel import Bools
from palpate.report.compute.compare.measured import Measured, comparable
from palpate.report.compute.hardening.given import FAR, NO_GRADIENTS, WHITE_BOX
from palpate.report.compute.hardening.outcomes import Beaten, Beating
from palpate.report.compute.hardening.verdict import TIMES

RECORDED = frozenset((WHITE_BOX, NO_GRADIENTS, FAR))
"""Names of these measurements."""


def recorded(before: Path, after: Path, rows: Sequence[int], eps: float) -> list[Measurement]:
    """The images that each model withstands under the white box, without gradients, and at four times the budget.

    They are read from the records of both audits: the first two on the images of the other measurements, which they
    are compared with, the last one on all images. What no attack of the audits measured is left out.

    Args:
        before: run folder of the model before training.
        after: run folder of the trained model, by the same plan.
        rows: positions of the images in the audited table.
        eps: the budget of the training in stored values.
    """
    runs = comparable([before, after]).runs
    among = np.isin(runs[0].reading.panel.images.row, rows)
    kinds: list[tuple[str, float, Callable[[Beating], Beaten], Bools]] = [
        (WHITE_BOX, eps, Beating.white_box, among),
        (NO_GRADIENTS, eps, Beating.without_gradients, among),
        (FAR, TIMES * eps, Beating.everything, np.ones_like(among)),
    ]
    found = []
    for name, radius, attacks, mask in kinds:
        first, second = (_withstood(run, radius, attacks, mask) for run in runs)
        if second:
            found.append(Measurement(name, first or None, second))
    return found


def _withstood(run: Measured, wanted: float, attacks: Callable[[Beating], Beaten], among: Bools) -> tuple[bool, ...]:
    """Of each image with something to lose; empty if no attack had the budget."""
    eps = next((known for known in run.shared.eps if abs(known - wanted) <= 1e-6 * wanted), None)
    if eps is None:
        return ()
    beating = Beating(run, eps)
    beaten = attacks(beating)
    share = beating.left(beaten).within(among)
    return tuple(share.hits[share.among].tolist()) if beaten.known else ()

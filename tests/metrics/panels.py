"""One attack as an `Outcome`, from its successes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from palpate.metrics.panel import Images, Outcome
from tests.metrics.handmade import panel, record


def outcome(attack: str, success: np.ndarray, *, eps=(8.0,), backwards: int = 20, **flags: np.ndarray) -> Outcome:
    """`success` and flags are [budget, image]; every change is as large as its budget, and every image eligible."""
    made = panel(
        record(row, attack=attack, eps=one, linf=one, success=bool(success[budget, row]), eligible=True,
               forwards=backwards + 1, backwards=backwards)
        for budget, one in enumerate(eps)
        for row in range(success.shape[1])
    )  # fmt: skip
    return replace(made.outcomes[0], **flags)


def images(count: int) -> Images:
    """Images with nothing but their rows."""
    return panel(record(row) for row in range(count)).images

"""What each stage of an attack of several stages did: images that came to it, images that it beat, passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palpate.metrics.panel import Bools, Floats, Ints, Outcome


@dataclass(frozen=True)
class StageRow:
    """One stage at one budget.

    Attributes:
        stage: its name.
        came: eligible images that it attacked.
        won: images that it was the first to beat at this budget.
        passes: forward plus backward passes over all images.
        share: its part of the passes of all stages at this budget; NaN if there was none.
    """

    stage: str
    came: int
    won: int
    passes: int
    share: float


def stage_rows(outcome: Outcome, names: Sequence[str], budget: int) -> tuple[StageRow, ...]:
    """What each stage did at one budget; nothing for an attack without stages.

    Images that a smaller budget beat are not attacked again, so they came to no stage.

    Args:
        outcome: the attack's records.
        names: its stages, in their order.
        budget: position in `outcome.eps`.
    """
    passes = outcome.stage_passes[budget]
    if passes.shape[1] != len(names):
        return ()
    total, here = passes.sum(), outcome.success[budget] & attacked(outcome, budget)
    return tuple(
        StageRow(
            name,
            int((outcome.eligible & (passes[:, place] > 0)).sum()),
            int((here & (outcome.stage[budget] == name)).sum()),
            int(passes[:, place].sum()),
            float(passes[:, place].sum() / total) if total else float("nan"),
        )
        for place, name in enumerate(names)
    )


def attacked(outcome: Outcome, budget: int) -> Bools:
    """(N,) Eligible images on which some stage ran at this budget."""
    return np.asarray(outcome.eligible & (outcome.stage_passes[budget].sum(axis=1) > 0), dtype=bool)


def least_passes(outcome: Outcome, eps: float, images: Ints) -> Floats:
    """(S,) Passes that each stage spent at one budget from `eps` up on every one of some images; at least one image."""
    whole = outcome.stage_passes[outcome.eps >= eps][:, images]
    return np.asarray(whole.max(axis=0).min(axis=0), dtype=np.float64)


def carried(outcome: Outcome, budget: int) -> int:
    """Beaten images on which no stage ran at this budget, because another budget decided them."""
    return int((outcome.success[budget] & ~attacked(outcome, budget)).sum())

"""How close adversarial images are to the clean ones: signal-to-noise ratio, structural similarity, largest change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from palpate.metrics.panel import Floats, Outcome


@dataclass(frozen=True)
class Closeness:
    """Figures over adversarial images that differ from the clean ones. NaN where no image counts."""

    images: int
    """Adversarial images that count; an image counts once per attack."""
    psnr: float
    """Median peak signal-to-noise ratio in dB."""
    lowest_psnr: float
    """The lowest PSNR of one image."""
    ssim: float
    """Median structural similarity."""
    linf: float
    """Largest change of one value."""


def closeness(outcomes: Sequence[Outcome], eps: float) -> Closeness:
    """How close the adversarial images of some attacks are to the clean ones at one budget.

    Args:
        outcomes: the attacks.
        eps: the budget in values; attacks without it do not count.
    """
    kept = [
        np.stack([values[budget] for values in (outcome.psnr, outcome.ssim, outcome.linf)])[
            :, outcome.recorded[budget] & np.greater(outcome.linf[budget], 0)
        ]
        for outcome in outcomes
        for budget in np.flatnonzero(outcome.eps == eps)
    ]
    psnr, ssim, linf = np.concatenate([np.zeros((3, 0)), *kept], axis=1)
    return Closeness(
        images=psnr.size,
        psnr=_of_finite(np.median, psnr),
        lowest_psnr=_of_finite(np.min, psnr),
        ssim=_of_finite(np.median, ssim),
        linf=_of_finite(np.max, linf),
    )


def _of_finite(figure: Callable[[Floats], Any], values: Floats) -> float:
    values = values[np.isfinite(values)]
    return float(figure(values)) if values.size else float("nan")

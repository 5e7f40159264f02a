"""Random parameters: scrambled Sobol points of the unit cube, per image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from palpate.artefacts.artefact import Artefact
from palpate.artefacts.parameter import free
from palpate.artefacts.search.questions import Candidates


def random_points(artefact: Artefact, plan: Sequence[tuple[float, int]], seeds: Sequence[int]) -> Candidates:
    """Random parameters of all images, those of one image together.

    Args:
        artefact: says how many parameters are free.
        plan: severities, and how many draws at each; each severity has its own scrambling.
        seeds: one per image.
    """
    axes = free(artefact.parameters)
    severity = torch.tensor([one for one, count in plan for _ in range(count)], dtype=torch.float64)
    units = [_sobol(axes, count, seed + part) for seed in seeds for part, (_, count) in enumerate(plan)]
    rows = torch.arange(len(seeds)).repeat_interleave(len(severity))
    empty = torch.empty(0, axes, dtype=torch.float64)
    return Candidates(rows, torch.cat([empty, *units]), severity.repeat(len(seeds)))


def _sobol(axes: int, count: int, seed: int) -> Tensor:
    """Scrambled Sobol points (count, axes); the global random state is not touched."""
    if not axes:
        return torch.empty(count, 0, dtype=torch.float64)
    engine = SobolEngine(axes, scramble=True, seed=seed)  # type: ignore[no-untyped-call]
    return engine.draw(count, dtype=torch.float64)

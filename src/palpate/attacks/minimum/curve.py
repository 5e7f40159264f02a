"""A whole curve from one run: the smallest beating radius of each image says whether each budget beats it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from palpate.attacks.budgets import Budget, at, merge
from palpate.contracts import Attack, AttackResult, Limits, Task
from palpate.errors import InputError
from palpate.storage.records import ATTACKED, MINIMUM, NOT_ATTACKED
from palpate.streams import Streams
from palpate.victim import Victim

_ROUNDING = 1e-6
"""Relative excess of a radius over a budget that is rounding."""


def minimum_curve(
    attack: Attack,
    victim: Victim,
    task: Task,
    images: Tensor,
    targets: Any,
    eps: Sequence[float],
    streams: Streams,
    limits: Limits | None = None,
) -> list[Budget]:
    """One run at the largest radius of `eps`, read at every radius.

    At the largest radius the evidence is `attacked`. At a smaller one it is `minimum`: beaten if the smallest beating
    radius of the image is at most that radius. That an image is not beaten there is what one search found, and not
    the failure of an attack at that radius. All passes are counted at the largest radius.

    Raises:
        InputError: the attack does not search the smallest change.
    """
    radii = sorted(set(eps))
    found = at(attack, radii[-1])(victim, task, images, targets, generator=streams, limits=limits)
    if found.radius is None:
        raise InputError(
            f'order: "minimum" needs an attack that searches the smallest change, and {type(attack).__name__} does '
            'not. Use "rising", or such an attack: palpate list attacks names them.'
        )
    none = _unbeaten(found, images)
    budgets = [_read(found, none, radius) for radius in radii[:-1]]
    evidence = tuple(ATTACKED if e else NOT_ATTACKED for e in found.eligible.tolist())
    return [*budgets, Budget(radii[-1], found, evidence)]


def _read(found: AttackResult, none: AttackResult, eps: float) -> Budget:
    """The result at a smaller radius; the clean image where the smallest change needs more."""
    assert found.radius is not None
    rows = (found.success & (found.radius <= eps * (1 + _ROUNDING))).nonzero().flatten()
    evidence = tuple(MINIMUM if e else NOT_ATTACKED for e in found.eligible.tolist())
    unspent = torch.zeros_like(found.forwards)
    return Budget(eps, replace(merge(none, found, rows, rows), forwards=unspent, backwards=unspent.clone()), evidence)


def _unbeaten(found: AttackResult, images: Tensor) -> AttackResult:
    """The same attack as if it had found nothing."""
    assert found.radius is not None
    return replace(
        found,
        images=images,
        margin=found.clean_margin,
        success=torch.zeros_like(found.success),
        prediction=found.clean_prediction,
        outputs=found.clean_outputs,
        first_success=torch.full_like(found.first_success, -1),
        distance=torch.zeros_like(found.distance),
        radius=torch.full_like(found.radius, torch.inf),
    )

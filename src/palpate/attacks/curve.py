"""An attack at several budgets: a sample that a small budget beat is not attacked again at a larger one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from palpate.attacks.ascent import Ascent
from palpate.attacks.bisection import bisected
from palpate.attacks.budgets import Budget, after, at, costing, may_attack, merge, tried_first, unspent
from palpate.attacks.minimum.curve import minimum_curve
from palpate.attacks.universal.attack import Universal
from palpate.contracts import Attack, AttackResult, Limits, Task
from palpate.errors import InputError
from palpate.storage.records import ATTACKED, CARRIED, NOT_ATTACKED, SPENT, TRANSFERRED
from palpate.streams import Streams
from palpate.tensors import take
from palpate.victim import Victim

Order = Literal["rising", "bisect", "each", "minimum"]


def curve(
    attack: Attack,
    victim: Victim,
    task: Task,
    images: Tensor,
    targets: Any,
    eps: Sequence[float],
    *,
    order: Order | None = None,
    generator: torch.Generator | Streams | None = None,
    limits: Limits | None = None,
    pilot: Sequence[int] | None = None,
) -> list[Budget]:
    """Run `attack` at every radius of `eps`.

    A ball contains every smaller one, so an adversarial image found at a small radius counts for all larger ones.

    `rising` goes from the smallest radius to the largest. A sample that is not beaten is first tried with its last
    perturbation scaled to the new ball (one forward pass), and then attacked from the start: a robust verdict always
    comes from the full attack at exactly that radius.

    `bisect` lets each sample search for its own smallest beating radius, which is several times cheaper. Each sample is
    attacked at the radius that beats it and at the next smaller one, or at the largest if none does. At radii below one
    that it withstood it counts as not beaten because the attack failed in a larger ball (`held`). For a perfect attack
    that is certain; a real one may fail in the larger ball and would have succeeded in the smaller one. The first
    images say where the search of the others begins, which changes its costs and not what it looks for.

    `each` attacks every eligible sample at every radius, trying the scaled perturbation of the smaller radius first. It
    is for figures that still fall after an image is beaten, such as Dice, and for attacks that run to their end.

    `minimum` runs once, at the largest radius, and is for attacks that search the smallest change of each image: the
    radius that it needs says at which radii it is beaten. That it is not beaten at a smaller radius is then what one
    search found (`minimum`), and not the failure of an attack at that radius.

    By default `usual_order` chooses.

    A learned change (`universal`) is applied at every radius, whatever the order.

    Args:
        attack: the attack; its own radius is replaced.
        victim: the model.
        task: what its outputs mean.
        images: (B, C, *spatial) in stored values.
        targets: what the task expects.
        eps: radii in stored values.
        order: see above.
        generator: random numbers, or a stream for each image.
        limits: what the threat needs to know about each image.
        pilot: for `bisect`: how many other images fell first at each radius, and behind them how many at none. Empty:
            nothing is known. By default the first 8 of 16 or more images are the pilot.

    Returns:
        One outcome per radius, from the smallest to the largest.

    Raises:
        InputError: an unknown order, or `minimum` with an attack that does not search the smallest change; see the
            attack.
    """
    order = order or usual_order(attack, eps)
    if order not in get_args(Order):
        raise InputError(f"order: '{order}' is not one of {', '.join(get_args(Order))}.")
    streams = Streams.of(generator, len(images))
    if isinstance(attack, Universal) and attack.changes is not None:
        return _one_by_one(attack, victim, task, images, targets, eps, limits)
    if order == "bisect":
        with victim:
            return bisected(attack, victim, task, images, targets, sorted(set(eps)), streams, limits, pilot)
    if order == "minimum":
        return minimum_curve(attack, victim, task, images, targets, eps, streams, limits)
    budgets: list[Budget] = []
    for radius in sorted(set(eps)):
        if not budgets:
            result = at(attack, radius)(victim, task, images, targets, generator=streams, limits=limits)
            tried = may_attack(limits, result.eligible).tolist()
            limits = after(limits, result.forwards)
            evidence = [
                (ATTACKED if may else SPENT) if e else NOT_ATTACKED
                for e, may in zip(result.eligible.tolist(), tried, strict=True)
            ]
        else:
            carry = order == "rising"
            result, evidence = _next(budgets[-1], radius, attack, victim, task, images, targets, streams, carry, limits)
            limits = after(limits, result.forwards)
        budgets.append(Budget(radius, result, tuple(evidence)))
    return budgets


def usual_order(attack: Attack, eps: Sequence[float]) -> Order:
    """The order for a task where a beaten image cannot get worse: `bisect` from three radii on, and `rising` otherwise.

    An attack of a single step is always tried at every radius: its full step may go too far in a large ball, so that
    its failure there says little about smaller ones.
    """
    single = isinstance(attack, Universal) or (isinstance(attack, Ascent) and attack.steps == 1)
    return "rising" if single or len(set(eps)) < 3 else "bisect"


def _one_by_one(
    attack: Universal,
    victim: Victim,
    task: Task,
    images: Tensor,
    targets: Any,
    eps: Sequence[float],
    limits: Limits | None,
) -> list[Budget]:
    """Every image at every radius, whatever the order: the figure of a learned change is that of this change alone."""
    budgets = []
    for radius in sorted(set(eps)):
        result = at(attack, radius)(victim, task, images, targets, limits=limits)
        evidence = tuple(ATTACKED if e else NOT_ATTACKED for e in result.eligible.tolist())
        budgets.append(Budget(radius, result, evidence))
    return budgets


def _next(
    last: Budget,
    radius: float,
    attack: Attack,
    victim: Victim,
    task: Task,
    images: Tensor,
    targets: Any,
    streams: Streams,
    carry: bool,
    limits: Limits | None,
) -> tuple[AttackResult, list[str]]:
    before = last.result
    merged = unspent(before)
    evidence = [CARRIED if e else NOT_ATTACKED for e in before.eligible.tolist()]
    wanted = before.eligible & ~(before.success & carry)
    rows = (wanted & may_attack(limits, wanted)).nonzero().flatten()
    for row in (wanted & ~before.success & ~may_attack(limits, wanted)).nonzero().flatten().tolist():
        evidence[row] = SPENT
    if not len(rows):
        return merged, evidence
    clean = images[rows]
    start = (clean + (before.images[rows] - clean) * (radius / last.eps)).clamp(*victim.bounds)
    found = at(attack, radius)(
        victim,
        task,
        clean,
        task.take(targets, rows),
        generator=streams.take(rows),
        start=start,
        limits=take(limits, rows),
    )
    tried = tried_first(found)
    for position, row in enumerate(rows.tolist()):
        evidence[row] = TRANSFERRED if tried[position] else ATTACKED
    # What was found in the smaller ball is in this one too, and is kept if it is worse for the model.
    places = (found.margin <= before.margin[rows]).nonzero().flatten()
    merged = merge(merged, found, rows[places], places)
    return costing(merged, rows, found), evidence

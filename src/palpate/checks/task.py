"""The contracts of a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from palpate.checks.violation import require
from palpate.contracts import Task
from palpate.tensors import Tree, leaves, mapped, take

Reached = Callable[[Tree, Any], Tensor]


def margin_agrees(task: Task, outputs: Tree, targets: Any, reached: Reached) -> None:
    """The margin is 0 or less exactly where an independent definition says that the goal is reached (ties aside)."""
    margin = task.margin(outputs, targets)
    clear = margin.abs() > 1e-6
    require(torch.equal((margin <= 0)[clear], reached(outputs, targets)[clear]), "margin agrees", "its sign is another")
    scaled = task.scaled_margin(outputs, targets)
    require(torch.equal((scaled <= 0)[clear], (margin <= 0)[clear]), "margin agrees", "the scaled margin's sign")


def is_per_sample(task: Task, outputs: Tree, targets: Any, reached: Reached) -> None:
    """Loss, margin and disagreement of a sample do not depend on the others."""
    count = len(leaves(outputs)[0])
    rows = torch.arange(count).flip(0)
    some, wanted = take(outputs, rows), task.take(targets, rows)
    for name, whole, part in (
        ("loss", task.loss(outputs, targets), task.loss(some, wanted)),
        ("margin", task.margin(outputs, targets), task.margin(some, wanted)),
        ("scaled margin", task.scaled_margin(outputs, targets), task.scaled_margin(some, wanted)),
    ):
        require(whole.shape == (count,), "is per sample", f"{name} has shape {list(whole.shape)}")
        require(torch.allclose(whole[rows], part), "is per sample", f"{name} depends on the batch")


def loss_climbs_to_the_goal(task: Task, outputs: Tree, targets: Any, reached: Reached) -> None:
    """A small step of the outputs up the loss does not raise the margin, and its gradient is finite."""
    place = mapped(lambda tensor: tensor.double().requires_grad_(), outputs)
    slopes = torch.autograd.grad(task.loss(place, targets).sum(), leaves(place), allow_unused=True)
    slopes = tuple(torch.zeros_like(p) if s is None else s for s, p in zip(slopes, leaves(place), strict=True))
    require(all(torch.isfinite(s).all() for s in slopes), "loss climbs to the goal", "its gradient is not finite")
    largest = torch.stack([s.flatten(1).abs().amax(1) for s in slopes]).amax(0)
    steps = iter(s / largest.clamp(min=1e-12).reshape(-1, *[1] * (s.ndim - 1)) for s in slopes)
    moved = mapped(lambda tensor: tensor.detach() + 1e-4 * next(steps), place)
    with torch.no_grad():
        rise = (task.margin(moved, targets) - task.margin(mapped(Tensor.detach, place), targets))[largest > 1e-6]
    require((rise <= 1e-9).all(), "loss climbs to the goal", f"the margin rises by {rise.tolist()}")


def agreement_is_zero_with_itself(task: Task, outputs: Tree, targets: Any, reached: Reached) -> None:
    """The distribution's disagreement is 0 with itself and never negative."""
    same = task.disagreement(outputs, outputs, "distribution")
    turned = mapped(lambda tensor: tensor.flip(0), outputs)
    other = task.disagreement(outputs, turned, "distribution")
    require(torch.allclose(same, torch.zeros_like(same), atol=1e-5), "agreement", "not zero with itself")
    require((other >= -1e-5).all(), "agreement", "negative")


TASK_CONTRACTS: dict[str, Callable[[Task, Tree, Any, Reached], None]] = {
    check.__name__: check
    for check in (margin_agrees, is_per_sample, loss_climbs_to_the_goal, agreement_is_zero_with_itself)
}


def check_task(task: Task, outputs: Tree, targets: Any, reached: Reached) -> None:
    """Check a task on made-up outputs (B, ...) and targets.

    Args:
        task: the task, with its goal.
        outputs: raw model outputs: a tensor or a named tuple of tensors.
        targets: what the task expects.
        reached: an independent definition of the goal: (outputs, targets) -> (B,) bool.

    Raises:
        ContractError: a contract is not kept; the text names it.
    """
    for contract in TASK_CONTRACTS.values():
        contract(task, outputs, targets, reached)

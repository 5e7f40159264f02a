"""The contracts of a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from palpate.checks.renamed import require_new_names
from palpate.checks.violation import require
from palpate.contracts import Task
from palpate.tensors import Tree, leaves, mapped, take

Reached = Callable[[Any, Any], Tensor]


def margin_agrees(task: Task, outputs: Tree, targets: Any, reached: Reached) -> None:
    """The margin is 0 or less exactly if an independent definition says that the goal is reached, except for ties."""
    margin = task.margin(outputs, targets)
    clear = margin.abs() > 1e-6
    require(torch.equal((margin <= 0)[clear], reached(outputs, targets)[clear]), "margin agrees", "its sign differs")
    scaled = task.scaled_margin(outputs, targets)
    require(torch.equal((scaled <= 0)[clear], (margin <= 0)[clear]), "margin agrees", "the scaled sign differs")


def is_per_sample(task: Task, outputs: Tree, targets: Any, reached: Reached) -> None:
    """The results of a task for a sample do not depend on the other samples."""
    count = len(leaves(outputs)[0])
    rows = torch.arange(count).flip(0)[: max(1, count - 1)]
    some, wanted = take(outputs, rows), task.take(targets, rows)
    for name in ("loss", "margin", "scaled_margin", "soft_score", "score", "right"):
        whole, part = getattr(task, name)(outputs, targets), getattr(task, name)(some, wanted)
        require(whole.shape == (count,), "is per sample", f"{name} has shape {list(whole.shape)}")
        require(_same(whole[rows], part), "is per sample", f"{name} depends on the batch")
    require(torch.equal(task.eligible(targets)[rows], task.eligible(wanted)), "is per sample", "eligible")
    for how in ("label", "distribution"):
        whole, part = task.consistency_loss(outputs, outputs, how), task.consistency_loss(some, some, how)
        require(_same(whole[rows], part), "is per sample", f"disagreement ({how}) depends on the batch")


def loss_climbs_to_the_goal(task: Task, outputs: Tree, targets: Any, reached: Reached) -> None:
    """A small step of the outputs along the loss gradient does not raise the margin, and the gradient is finite."""
    place = mapped(lambda tensor: tensor.double().requires_grad_(), outputs)
    tensors = leaves(place)
    gradients = torch.autograd.grad(task.loss(place, targets).sum(), tensors, allow_unused=True)
    known = [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, gradients, strict=True)]
    for gradient in known:
        require(torch.isfinite(gradient).all(), "loss climbs to the goal", "its gradient is not finite")
    size = torch.stack([gradient.flatten(1).abs().amax(1) for gradient in known]).amax(0)
    step = iter(1e-4 * g / size.clamp(min=1e-12).reshape(-1, *[1] * (g.ndim - 1)) for g in known)
    moved = mapped(lambda tensor: (tensor + next(step)).detach(), place)
    rise = task.margin(moved, targets) - task.margin(mapped(Tensor.detach, place), targets)
    rise = rise[size > 1e-6]
    require((rise <= 1e-9).all(), "loss climbs to the goal", f"the margin rises by {rise.tolist()}")


def gradients_are_finite(task: Task, outputs: Tree, targets: Any, reached: Reached) -> None:
    """Margin and soft score are finite, and so are their gradients."""
    for name in ("margin", "soft_score"):
        place = mapped(lambda tensor: tensor.detach().clone().requires_grad_(), outputs)
        value = getattr(task, name)(place, targets)
        require(torch.isfinite(value).all(), "gradients are finite", f"{name} is not")
        if value.requires_grad:
            for gradient in torch.autograd.grad(value.sum(), leaves(place), allow_unused=True):
                require(gradient is None or gradient.isfinite().all(), "gradients are finite", f"{name}'s is not")


def agreement_is_zero_with_itself(task: Task, outputs: Tree, targets: Any, reached: Reached) -> None:
    """The distribution's disagreement is 0 with itself and never negative."""
    same = task.consistency_loss(outputs, outputs, "distribution")
    other = task.consistency_loss(outputs, mapped(lambda tensor: tensor.flip(0), outputs), "distribution")
    require(torch.allclose(same, torch.zeros_like(same), atol=1e-5), "agreement", "not zero with itself")
    require((other >= -1e-5).all(), "agreement", "negative")


def pieces_make_up_the_decision(task: Task, outputs: Tree, targets: Any, reached: Reached) -> None:
    """Pieces are (B, P), unbroken from 0 to 1, and if all that count are as the attack wants them, it won."""
    pieces = task.pieces(outputs, targets)
    shapes = {tuple(part.shape) for part in pieces}
    require(len(shapes) == 1 and len(pieces.loss.shape) == 2, "pieces", f"their shapes are {shapes}")
    counted = pieces.weight > 0
    require((pieces.weight >= 0).all(), "pieces", "a weight is negative")
    for name in ("loss", "margin", "unbroken"):
        require(getattr(pieces, name)[counted].isfinite().all(), "pieces", f"a {name} is not finite")
    standing = pieces.unbroken[counted]
    require(((standing >= -1e-6) & (standing <= 1 + 1e-6)).all(), "pieces", "`unbroken` is below 0 or above 1")
    there = ((pieces.margin <= 0) | ~counted).all(1) & counted.any(1) & task.eligible(targets)
    require(
        (task.margin(outputs, targets)[there] <= 1e-6).all(), "pieces", "all are as wanted, and the goal is not reached"
    )


def own_decision_is_right(task: Task, outputs: Tree, targets: Any, reached: Reached) -> None:
    """Scored against its own decision a model is right, with a score of 1 or, if nothing is decided, none."""
    own = task.own(outputs, targets)
    score = task.score(outputs, own)
    require(((score - 1).abs() < 1e-6)[~score.isnan()].all(), "own decision is right", f"it scores {score.tolist()}")
    require(task.right(outputs, own).all(), "own decision is right", "it is wrong")


def _same(one: Tensor, other: Tensor) -> bool:
    if one.dtype == torch.bool:
        return torch.equal(one, other)
    return torch.allclose(one, other, equal_nan=True, rtol=1e-5, atol=1e-6)


TASK_CONTRACTS: dict[str, Callable[[Task, Tree, Any, Reached], None]] = {
    check.__name__: check
    for check in (
        margin_agrees,
        is_per_sample,
        loss_climbs_to_the_goal,
        gradients_are_finite,
        agreement_is_zero_with_itself,
        pieces_make_up_the_decision,
        own_decision_is_right,
    )
}


def check_task(task: Task, outputs: Tree, targets: Any, reached: Reached) -> None:
    """Check a task on made-up outputs and targets.

    Args:
        task: the task, with its goal.
        outputs: raw model outputs: a tensor (B, ...), or a named tuple of such.
        targets: what the task expects.
        reached: an independent definition of the goal: (outputs, targets) -> (B,) bool.

    Raises:
        ContractError: a contract is broken; the text names it.
    """
    require_new_names(task)
    for contract in TASK_CONTRACTS.values():
        contract(task, outputs, targets, reached)

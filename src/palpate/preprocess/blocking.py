"""Find what keeps the gradient from reaching the image, and name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from palpate.errors import PalpateError
from palpate.preprocess.monai_parts import MEND
from palpate.preprocess.step import Part


@dataclass(frozen=True)
class Blocked:
    """A step that no gradient gets through.

    Attributes:
        step: its name.
        why: what was seen.
    """

    step: str
    why: str


def blocked(preprocess: Callable[[Tensor], Tensor] | None, example: Tensor) -> tuple[Blocked, ...]:
    """The steps of a preprocessing that block gradients, in order: each one is run with a graph of its own.

    A step blocks where its result has no gradient, or one of exactly zero in every image of the example. With
    straight-through, they are named all the same. A callable of the user's own counts as one step.

    Args:
        preprocess: a preprocessing of palpate's, or any callable; None has no steps.
        example: (B, C, *spatial) values, best of several images.

    Raises:
        InputError: a step fails on the example.
    """
    found = []
    for name, step in _parts(preprocess):
        why, example = _tried(step, example)
        if why:
            found.append(Blocked(name, why))
    return tuple(found)


def findings(
    preprocess: Callable[[Tensor], Tensor] | None, example: Tensor
) -> tuple[tuple[Literal["failure", "warning"], str], ...]:
    """What blocked gradients mean for an audit, a sentence each: a warning with straight-through, else a failure."""
    through = bool(getattr(preprocess, "straight_through", False))
    found = blocked(preprocess, example)
    if through:
        text = "blocks gradients ({}); straight-through is used: attacks may be weaker than they could be."
        return tuple(("warning", f"{one.step} {text.format(one.why)}") for one in found)
    return tuple(("failure", _sentence(preprocess, one)) for one in found)


def where_blocked(preprocess: Callable[[Tensor], Tensor] | None, images: Tensor) -> str | None:
    """The first preprocessing step that blocks gradients, in a phrase with its mend; None where all of them pass."""
    if getattr(preprocess, "straight_through", False):
        return None
    found = blocked(preprocess, images)
    return _sentence(preprocess, found[0]) if found else None


def _sentence(preprocess: object, one: Blocked) -> str:
    mend = MEND if hasattr(preprocess, "straight_through") else "Replace that step."
    return f"the preprocessing step {one.step} blocks gradients: {one.why}. {mend}"


def _parts(preprocess: Callable[[Tensor], Tensor] | None) -> tuple[Part, ...]:
    if preprocess is None:
        return ()
    own: tuple[Part, ...] | None = getattr(preprocess, "parts", None)
    return own or ((getattr(preprocess, "__name__", type(preprocess).__name__), preprocess),)


def _tried(step: Callable[[Tensor], Tensor], images: Tensor) -> tuple[str, Tensor]:
    """Why a step blocks, empty where it does not; and its result without a graph."""
    place = images.detach().clone().requires_grad_()
    try:
        with torch.enable_grad():
            result = step(place)
    except (RuntimeError, PalpateError) as error:
        with torch.no_grad():
            result = step(images.detach())  # fails again where the graph is not the reason
        return _failed(error), result
    why = gradient_missing(result, place)
    result = result.detach()
    return why, result if result.is_floating_point() else result.to(images.dtype)


def gradient_missing(result: Tensor, place: Tensor) -> str:
    """Why no gradient runs from `result` back to `place`; empty where one does."""
    if not result.requires_grad:
        return "its result has no gradient"
    # Weights that differ: the plain sum of standardised values is constant.
    weights = torch.rand(result.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    try:
        (gradient,) = torch.autograd.grad(result, place, weights.to(result), allow_unused=True)
    except RuntimeError as error:
        return _failed(error)
    if gradient is None:
        return "its result does not depend on its input for autograd"
    if not bool(gradient.any()):
        return "its gradient is exactly zero"
    return ""


def _failed(error: Exception) -> str:
    line = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
    writes = "inplace" in line or "in-place" in line or "writes into its input" in line
    return "it writes into its input" if writes else f"its backward pass fails ({line})"

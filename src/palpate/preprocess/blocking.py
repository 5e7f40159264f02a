"""Find what keeps the gradient from reaching the image, and name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from palpate.errors import PalpateError
from palpate.preprocess.chain import Chain
from palpate.preprocess.monai_parts import FIX
from palpate.preprocess.simple import Preprocess
from palpate.preprocess.step import Part

_OFF = 0.1
"""How far a difference may be from the gradient, as a share of its absolute sum: rounding and kinks are below."""
_SIZES = (0.01, 0.002)
"""Of a change, in deviations of the image."""


@dataclass(frozen=True)
class Blocked:
    """A step that blocks the gradient.

    Attributes:
        step: its name.
        why: what was observed.
    """

    step: str
    why: str


def blocked(preprocess: Callable[[Tensor], Tensor] | None, example: Tensor) -> tuple[Blocked, ...]:
    """The steps of a preprocessing that block gradients, in order: each one is run with a separate graph.

    A step blocks if its result has no gradient, or one of exactly zero in every image of the example. With
    straight-through, they are named too. A callable of the user counts as one step.

    Args:
        preprocess: a preprocessing of palpate, or any callable; None has no steps.
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


def partly_blocked(preprocess: Callable[[Tensor], Tensor] | None, example: Tensor) -> tuple[Blocked, ...]:
    """The user's own steps whose gradient leaves out part of how their result changes, in order.

    Brightness and contrast are changed by hundredths of the image's deviation, upwards and downwards. If the
    difference of the results is not what the gradient predicts, something is hidden from it: a mean that was taken
    out of the graph, a threshold that values cross. Steps of a `Chain` are not tested; their gradients are known.

    Args:
        preprocess: as for `blocked`.
        example: as for `blocked`.
    """
    if isinstance(preprocess, (Chain, Preprocess)):
        return ()
    found = []
    for name, step in _parts(preprocess):
        why, after = _tried(step, example)
        if not why and _leaves_out(step, example):
            found.append(Blocked(name, "its gradient leaves out part of how its result changes"))
        example = after
    return tuple(found)


def findings(
    preprocess: Callable[[Tensor], Tensor] | None, example: Tensor
) -> tuple[tuple[Literal["failure", "warning"], str], ...]:
    """What blocked gradients mean for an audit, one sentence each: a warning with straight-through, else a failure."""
    weaker = "attacks may be weaker than they could be"
    found, partly = blocked(preprocess, example), partly_blocked(preprocess, example)
    hidden = [f"{one.step}: {one.why} (a statistic held constant, or a threshold); {weaker}." for one in partly]
    if not getattr(preprocess, "straight_through", False):
        sentences = [_sentence(preprocess, one) for one in found]
        return (*(("failure", text) for text in sentences), *(("warning", text) for text in hidden))
    through = [f"{one.step} blocks gradients ({one.why}); straight-through is used: {weaker}." for one in found]
    return tuple(("warning", text) for text in (*through, *hidden))


def where_blocked(preprocess: Callable[[Tensor], Tensor] | None, images: Tensor) -> str | None:
    """The first preprocessing step that blocks gradients, in a phrase with its fix; None if none does."""
    if getattr(preprocess, "straight_through", False):
        return None
    found = blocked(preprocess, images)
    return _sentence(preprocess, found[0]) if found else None


def _sentence(preprocess: object, one: Blocked) -> str:
    fix = FIX if hasattr(preprocess, "straight_through") else "Replace that step."
    return f"the preprocessing step {one.step} blocks gradients: {one.why}. {fix}"


def _parts(preprocess: Callable[[Tensor], Tensor] | None) -> tuple[Part, ...]:
    if preprocess is None:
        return ()
    own: tuple[Part, ...] | None = getattr(preprocess, "parts", None)
    return own or ((getattr(preprocess, "__name__", type(preprocess).__name__), preprocess),)


def _tried(step: Callable[[Tensor], Tensor], images: Tensor) -> tuple[str, Tensor]:
    """Why a step blocks, empty if it does not; and its result without a graph."""
    place = images.detach().clone().requires_grad_()
    try:
        with torch.enable_grad():
            result = step(place)
    except (RuntimeError, PalpateError) as error:
        with torch.no_grad():
            result = step(images.detach())  # fails again if the graph is not the reason
        return _failed(error), result
    why = gradient_missing(result, place)
    result = result.detach()
    return why, result if result.is_floating_point() else result.to(images.dtype)


def gradient_missing(result: Tensor, place: Tensor) -> str:
    """Why no gradient flows from `result` back to `place`; empty if one does."""
    if not result.requires_grad:
        return "its result has no gradient"
    # The weights differ, because the plain sum of standardised values is constant.
    weights = torch.rand(result.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    try:
        # A slope as an argument would make torch import SymPy, which takes a second.
        (gradient,) = torch.autograd.grad((result * weights.to(result)).sum(), place, allow_unused=True)
    except RuntimeError as error:
        return _failed(error)
    if gradient is None:
        return "its result does not depend on its input for autograd"
    if not bool(gradient.any()):
        return "its gradient is exactly zero"
    return ""


def _leaves_out(step: Callable[[Tensor], Tensor], images: Tensor) -> bool:
    place = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        result = step(place)
    weights = torch.rand(result.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(result)
    (gradient,) = torch.autograd.grad((result * weights).sum(), place)
    inside = (images != 0).to(images.dtype)  # background of exactly zero may have its own meaning
    centred = (images - images.mean()) * inside
    directions = (inside, centred / centred.abs().mean().clamp(min=1e-12))
    # Values that cross a kink differ at one size; what is hidden from the gradient differs at every size.
    return any(
        all(_is_off(step, images, weights, gradient, size * images.std() * direction) for size in _SIZES)
        for direction in directions
    )


def _is_off(step: Callable[[Tensor], Tensor], images: Tensor, weights: Tensor, gradient: Tensor, by: Tensor) -> bool:
    with torch.no_grad():
        up, down = step(images + by), step(images - by)
    if up.shape != weights.shape or down.shape != weights.shape:
        return True
    seen = float(((up.double() - down.double()) * weights).sum())
    predicted = 2 * (gradient * by).double()
    return abs(seen - float(predicted.sum())) > _OFF * float(predicted.abs().sum())


def _failed(error: Exception) -> str:
    line = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
    writes = "inplace" in line or "in-place" in line or "writes into its input" in line
    return "it writes into its input" if writes else f"its backward pass fails ({line})"

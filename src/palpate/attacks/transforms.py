"""Transforms between an image and the model: none, or one post-processing step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from palpate._moved import renamed
from palpate.errors import InputError
from palpate.postprocessing import PostProcessing, parse
from palpate.tensors import Tree
from palpate.units import Scale
from palpate.victim import Victim
from palpate.victim.losing import training_losses


@dataclass(frozen=True)
class Weighted:
    """A post-processing step that has another weight than the unchanged image.

    Attributes:
        handling: the step, or its name.
        weight: how much it counts; the unchanged image counts 1.

    Raises:
        InputError: a weight that is not above zero and finite.
    """

    handling: PostProcessing | str
    weight: float

    def __post_init__(self) -> None:
        if not 0 < self.weight < float("inf"):
            raise InputError(f"weight: {self.weight:g} must be above zero and finite.")


Transform = PostProcessing | str | Weighted
"""A post-processing step, or its name where it needs only the model's bounds."""


@dataclass(frozen=True, eq=False)
class TransformedModel:
    """The victim f after one post-processing step h, seen as the model f(h(x)) of the same images x.

    Attributes:
        victim: f; it counts the passes.
        handling: h; None leaves images unchanged.
        weight: how much it counts; the unchanged image counts 1.
    """

    victim: Victim
    handling: PostProcessing | None = None
    weight: float = 1.0

    def search(self, images: Tensor) -> Tree:
        """Outputs for the search, differentiable through the step (straight-through where it rounds)."""
        return self.victim.search(images if self.handling is None else self.handling.soft(images))

    def score(self, images: Tensor) -> Tree:
        """What `search` computes, without gradient."""
        return self.victim.score(images if self.handling is None else self.handling(images))

    def forward_no_grad(self, images: Tensor) -> Tree:
        """Outputs without gradient, in the cheapest arithmetic."""
        return self.victim.forward_no_grad(images if self.handling is None else self.handling(images))

    def training_losses(self, images: Tensor, targets: Tree) -> Tensor:
        """The losses (B,) that a detector was trained with, differentiable as `search` is."""
        shown = images if self.handling is None else self.handling.soft(images)
        return training_losses(self.victim, shown, targets)


def transformed_models(victim: Victim, transforms: Sequence[Transform] = ()) -> tuple[TransformedModel, ...]:
    """The plain model first, then one per transform.

    A step that is given by name is made for the victim's bounds, and for the window of its preprocessing if it has one.

    Raises:
        InputError: an unknown name, or a step that was made for values in other bounds.
    """
    scale = Scale(victim.bounds, window=getattr(victim.preprocess, "window", None))
    return TransformedModel(victim), *(_transformed(victim, one, scale) for one in transforms)


def _transformed(victim: Victim, transform: Transform, scale: Scale) -> TransformedModel:
    handling, weight = (transform.handling, transform.weight) if isinstance(transform, Weighted) else (transform, 1.0)
    handling = parse(handling, scale) if isinstance(handling, str) else handling
    low, high = handling.scale.bounds
    if (low, high) != victim.bounds:
        raise InputError(
            f"robust_to: {handling.name} was made for values from {low:g} to {high:g}, and the model takes "
            f"{victim.bounds[0]:g} to {victim.bounds[1]:g}. Make it with the bounds of the model."
        )
    return TransformedModel(victim, handling, weight)


def mean(parts: Sequence[Tensor], weights: Sequence[float] = ()) -> Tensor:
    """The (weighted) mean over the transforms; a single part is returned unchanged, to the bit."""
    if len(parts) == 1:
        return parts[0]
    if len(set(weights)) > 1:
        parts = [part * (weight * len(weights) / sum(weights)) for part, weight in zip(parts, weights, strict=True)]
    return torch.stack(tuple(parts)).mean(0)


def merit(margins: Sequence[Tensor]) -> Tensor | None:
    """The value by which winning images are compared; None if there is only one transform."""
    return mean(margins) if len(margins) > 1 else None


def name_of(transform: Transform) -> str:
    """The name of a transform."""
    handling = transform.handling if isinstance(transform, Weighted) else transform
    return handling if isinstance(handling, str) else handling.name


__getattr__ = renamed(__name__)

"""The interface of a goal of an attack on masks, and what its kinds have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.tasks.masks.reading import Annotation, Score, inside, overlap


@dataclass(frozen=True)
class Scoring:
    """How a mask is scored against its annotation.

    Attributes:
        score: Dice or IoU.
        structure: the structure that is scored; None: the mean over all annotated ones.
        floor: the score below which a mask is unacceptable.
    """

    score: Score = "dice"
    structure: int | None = None
    floor: float = 0.5

    def part(self, stack: Tensor) -> Tensor:
        """What is scored of a stack."""
        return stack if self.structure is None else stack[:, self.structure : self.structure + 1]

    def present(self, truth: Annotation) -> Tensor:
        """Whether anything that is scored is annotated (B,) bool."""
        return self.part(truth.stack).flatten(1).any(1)

    def __call__(self, presence: Tensor, truth: Annotation) -> Tensor:
        """The mean score (B,) over the structures that are annotated; the lowest of all where none is."""
        masks = self.part(truth.stack)
        scores = overlap(self.part(presence), masks, self.score)
        counts = masks.flatten(2).any(2).to(scores)
        mean = (scores * counts).sum(1) / counts.sum(1).clamp(min=1)
        return torch.where(self.present(truth), mean, scores.amin(1))


class MaskGoal(Protocol):
    """What an attack wants the masks to be; a value."""

    @property
    def targeted(self) -> bool:
        """Whether the attack moves toward wanted masks, and not away from the true ones."""

    def describe(self) -> str:
        """The goal in a phrase."""

    def check(self, truth: Annotation) -> None:
        """Raise InputError if the goal is not possible with such annotations."""

    def wanted(self, truth: Annotation) -> Tensor:
        """The labels that the attack wants, in the form of `truth.labels`; the true ones if it wants none."""

    def remains(self, presence: Tensor, truth: Annotation, scoring: Scoring) -> Tensor:
        """How much is left of what the attack wants to lower (B,)."""

    def limit(self, scoring: Scoring) -> float:
        """`remains` at which the goal is reached."""

    def applies(self, truth: Annotation, scoring: Scoring) -> Tensor:
        """Whether the goal makes sense for these annotations (B,) bool."""


def share(presence: Tensor, region: Tensor) -> Tensor:
    """Share of a region (B, 1, *spatial) that is present (B,); 0 for an empty region."""
    held = inside(presence, region)
    return (held / region.flatten(2).sum(2).clamp(min=1).to(held)).squeeze(1)


def spacing_along(truth: Annotation, axis: int) -> Tensor:
    """Size of a pixel along an axis (B, 1); 1 if it is unknown."""
    if truth.spacing is None:
        return torch.ones(len(truth.labels), 1, dtype=torch.float64, device=truth.labels.device)
    return truth.spacing[:, axis : axis + 1].to(truth.labels.device, torch.float64)


def check_structure(structure: int, truth: Annotation) -> None:
    """Raise InputError if the task has no such structure."""
    if not 0 <= structure < truth.structures:
        raise InputError(f"goal: structure {structure} is not one of the task's 0 to {truth.structures - 1}.")


def check_axes(field: str, count: int, truth: Annotation) -> None:
    """Raise InputError if a field does not have one number per spatial axis."""
    if count != len(truth.spatial):
        raise InputError(f"{field}: it has {count} numbers, and the images have {len(truth.spatial)} spatial axes.")


def check_share(field: str, share: float, *, low_included: bool = False) -> None:
    """Raise InputError if a share is outside its range."""
    good = 0 <= share < 1 if low_included else 0 < share <= 1
    if not good:
        bounds = "at least 0 and below 1" if low_included else "above 0 and at most 1"
        raise InputError(f"goal.{field}: {share:g} must be a share, {bounds}.")

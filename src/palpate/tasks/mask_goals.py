"""Where an attack on masks wants them: worse, without a structure, with another one, larger, smaller, elsewhere.

Every goal says how much of what the attack wants to lower `remains` (B,), the same formula for a decision (bool) and
for probabilities (float), and the `limit` at which it is reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.tasks.mask_reading import Annotation, Score, inside, overlap


@dataclass(frozen=True)
class Scoring:
    """How a mask is scored against its annotation.

    Attributes:
        score: Dice or IoU.
        structure: the structure that is scored; the mean over all annotated ones where None.
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
    """Where an attack wants the masks; a value."""

    @property
    def targeted(self) -> bool:
        """Whether the attack climbs toward wanted masks, rather than away from the true ones."""

    def words(self) -> str:
        """The goal in a phrase."""

    def check(self, truth: Annotation) -> None:
        """Raise InputError where the goal cannot be asked of such annotations."""

    def wanted(self, truth: Annotation) -> Tensor:
        """The labels that the attack wants, in the form of `truth.labels`; the true ones where it wants none."""

    def remains(self, presence: Tensor, truth: Annotation, scoring: Scoring) -> Tensor:
        """How much is left of what the attack wants to lower (B,)."""

    def limit(self, scoring: Scoring) -> float:
        """`remains` at which the goal is reached."""

    def applies(self, truth: Annotation, scoring: Scoring) -> Tensor:
        """Whether the goal makes sense for these annotations (B,) bool."""


@dataclass(frozen=True)
class Degrade:
    """A score at or below its floor, however it comes about."""

    @property
    def targeted(self) -> bool:
        """False."""
        return False

    def words(self) -> str:
        """`untargeted`."""
        return "untargeted"

    def check(self, truth: Annotation) -> None:
        """Nothing is asked."""

    def wanted(self, truth: Annotation) -> Tensor:
        """The true labels, to leave."""
        return truth.labels

    def remains(self, presence: Tensor, truth: Annotation, scoring: Scoring) -> Tensor:
        """The score."""
        return scoring(presence, truth)

    def limit(self, scoring: Scoring) -> float:
        """The floor."""
        return scoring.floor

    def applies(self, truth: Annotation, scoring: Scoring) -> Tensor:
        """Where something that is scored is annotated."""
        return scoring.present(truth)


@dataclass(frozen=True)
class Erase:
    """A structure gone: of its annotated pixels, at most the share `left` is still found.

    Attributes:
        structure: its index from 0.
        left: share of the annotated pixels that may remain.
        into: index of the structure that takes its place (the organ around a lesion); background where None.
        name: what a report calls the structure.

    Raises:
        InputError: a share outside [0, 1).
    """

    structure: int
    left: float = 0.05
    into: int | None = None
    name: str = ""

    def __post_init__(self) -> None:
        _check_share("left", self.left, low_included=True)
        if self.into == self.structure:
            raise InputError(f"goal.into: structure {self.structure} cannot take its own place; name another one.")

    @property
    def targeted(self) -> bool:
        """True."""
        return True

    def words(self) -> str:
        """`erase <structure>`."""
        return f"erase {self.name or f'structure {self.structure}'}"

    def check(self, truth: Annotation) -> None:
        """Raise InputError where the task has no such structure."""
        check_structure(self.structure, truth)
        if self.into is not None:
            check_structure(self.into, truth)

    def wanted(self, truth: Annotation) -> Tensor:
        """The true labels without the structure."""
        return truth.rubbed_out(self.structure, truth.stack[:, self.structure], self.into)

    def remains(self, presence: Tensor, truth: Annotation, scoring: Scoring) -> Tensor:
        """Share of the annotated pixels that is found."""
        part = slice(self.structure, self.structure + 1)
        return _share(presence[:, part], truth.stack[:, part])

    def limit(self, scoring: Scoring) -> float:
        """`left`."""
        return self.left

    def applies(self, truth: Annotation, scoring: Scoring) -> Tensor:
        """Where the structure is annotated."""
        return truth.stack[:, self.structure].flatten(1).any(1)


@dataclass(frozen=True)
class Insert:
    """A structure where there is none: of a ball, at least the share `filled` is found as that structure.

    Attributes:
        structure: its index from 0.
        centre: the ball's centre as fractions of each spatial axis, in the order of the axes.
        radius: in mm, or in pixels where the masks have no spacing.
        filled: share of the ball that must be found.
        name: what a report calls the structure.

    Raises:
        InputError: a centre outside the image, no radius, or a share outside (0, 1].
    """

    structure: int
    centre: tuple[float, ...]
    radius: float
    filled: float = 0.5
    name: str = ""

    def __post_init__(self) -> None:
        _check_share("filled", self.filled)
        if not all(0 <= place <= 1 for place in self.centre):
            raise InputError(f"goal.centre: {self.centre} must be fractions of each axis, from 0 to 1.")
        if not 0 < self.radius < float("inf"):
            raise InputError(f"goal.radius: {self.radius:g} must be above 0.")

    @property
    def targeted(self) -> bool:
        """True."""
        return True

    def words(self) -> str:
        """`insert <structure>`."""
        return f"insert {self.name or f'structure {self.structure}'}"

    def check(self, truth: Annotation) -> None:
        """Raise InputError where the task has no such structure, or the image other axes."""
        check_structure(self.structure, truth)
        check_axes("goal.centre", len(self.centre), truth)

    def wanted(self, truth: Annotation) -> Tensor:
        """The true labels with the ball."""
        return truth.painted(self.structure, self.ball(truth))

    def ball(self, truth: Annotation) -> Tensor:
        """Pixels whose centre lies in the ball (B, *spatial) bool."""
        squared = torch.zeros((), dtype=torch.float64, device=truth.labels.device)
        for axis, (place, size) in enumerate(zip(self.centre, truth.spatial, strict=True)):
            off = torch.arange(size, dtype=torch.float64, device=truth.labels.device) + 0.5 - place * size
            along = (off * _spacing(truth, axis)).square()
            squared = squared + along.reshape(len(along), *[-1 if a == axis else 1 for a in range(len(self.centre))])
        return squared <= self.radius**2

    def remains(self, presence: Tensor, truth: Annotation, scoring: Scoring) -> Tensor:
        """Share of the ball that is not found."""
        part = slice(self.structure, self.structure + 1)
        return 1 - _share(presence[:, part], self.ball(truth).unsqueeze(1))

    def limit(self, scoring: Scoring) -> float:
        """1 - `filled`."""
        return 1 - self.filled

    def applies(self, truth: Annotation, scoring: Scoring) -> Tensor:
        """Where the ball lies inside the image, free of the structure and of ignored pixels."""
        ball = self.ball(truth)
        counted = truth.counted[:, 0 if truth.exclusive else self.structure]
        free = ~(ball & (truth.stack[:, self.structure] | ~counted)).flatten(1).any(1)
        within = ball.flatten(1).any(1)
        for axis, (place, size) in enumerate(zip(self.centre, truth.spatial, strict=True)):
            length = size * _spacing(truth, axis)[:, 0]
            within = within & (place * length >= self.radius) & ((1 - place) * length >= self.radius)
        return free & within


def _share(presence: Tensor, region: Tensor) -> Tensor:
    """Share of a region (B, 1, *spatial) that is present (B,); 0 for an empty region."""
    held = inside(presence, region)
    return (held / region.flatten(2).sum(2).clamp(min=1).to(held)).squeeze(1)


def _spacing(truth: Annotation, axis: int) -> Tensor:
    """Size of a pixel along an axis (B, 1); 1 where it is unknown."""
    if truth.spacing is None:
        return torch.ones(len(truth.labels), 1, dtype=torch.float64, device=truth.labels.device)
    return truth.spacing[:, axis : axis + 1].to(truth.labels.device, torch.float64)


def check_structure(structure: int, truth: Annotation) -> None:
    """Raise InputError where the task has no such structure."""
    if not 0 <= structure < truth.structures:
        raise InputError(f"goal: structure {structure} is not one of the task's 0 to {truth.structures - 1}.")


def check_axes(field: str, count: int, truth: Annotation) -> None:
    """Raise InputError where a field has not one number per spatial axis."""
    if count != len(truth.spatial):
        raise InputError(f"{field}: it has {count} numbers, and the images have {len(truth.spatial)} spatial axes.")


def _check_share(field: str, share: float, *, low_included: bool = False) -> None:
    good = 0 <= share < 1 if low_included else 0 < share <= 1
    if not good:
        bounds = "at least 0 and below 1" if low_included else "above 0 and at most 1"
        raise InputError(f"goal.{field}: {share:g} is a share, {bounds}.")

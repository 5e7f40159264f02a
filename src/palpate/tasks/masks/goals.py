"""What an attack wants masks to be: worse, without a structure, with another one, larger, smaller, elsewhere.

Every goal computes what `remains` (B,) of what the attack lowers, by the same formula for a decision (bool) and for
probabilities (float), and has the `limit` at which it is reached.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from palpate._moved import renamed
from palpate.errors import InputError
from palpate.tasks.masks.goal import MaskGoal, Scoring, check_axes, check_share, check_structure, share, spacing_along
from palpate.tasks.masks.goals_alike import Swap, Toward, Wanted
from palpate.tasks.masks.reading import Annotation, amount
from palpate.tasks.masks.remembered import remembered
from palpate.tasks.masks.shift import resized

__all__ = ["Degrade", "Erase", "Insert", "MaskGoal", "Shift", "Swap", "Toward", "Wanted"]


@dataclass(frozen=True)
class Degrade:
    """A score at or below its floor, for any reason."""

    @property
    def targeted(self) -> bool:
        """False."""
        return False

    def describe(self) -> str:
        """`untargeted`."""
        return "untargeted"

    def check(self, truth: Annotation) -> None:
        """It needs nothing."""

    def wanted(self, truth: Annotation) -> Tensor:
        """The true labels, which the attack moves away from."""
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
    """A structure removed: of its annotated pixels, at most the share `left` is still found.

    Attributes:
        structure: its index from 0.
        left: share of the annotated pixels that may remain.
        into: index of the structure that takes its place (the organ around a lesion); None: background.
        name: what a report calls the structure.

    Raises:
        InputError: a share outside [0, 1).
    """

    structure: int
    left: float = 0.05
    into: int | None = None
    name: str = ""

    def __post_init__(self) -> None:
        check_share("left", self.left, low_included=True)
        if self.into == self.structure:
            raise InputError(f"goal.into: structure {self.structure} cannot take its own place; name another one.")

    @property
    def targeted(self) -> bool:
        """True."""
        return True

    def describe(self) -> str:
        """`erase <structure>`."""
        return f"erase {self.name or f'structure {self.structure}'}"

    def check(self, truth: Annotation) -> None:
        """Raise InputError if the task has no such structure."""
        check_structure(self.structure, truth)
        if self.into is not None:
            check_structure(self.into, truth)

    def wanted(self, truth: Annotation) -> Tensor:
        """The true labels without the structure."""
        return truth.rubbed_out(self.structure, truth.stack[:, self.structure], self.into)

    def remains(self, presence: Tensor, truth: Annotation, scoring: Scoring) -> Tensor:
        """Share of the annotated pixels that is found."""
        part = slice(self.structure, self.structure + 1)
        return share(presence[:, part], truth.stack[:, part])

    def limit(self, scoring: Scoring) -> float:
        """`left`."""
        return self.left

    def applies(self, truth: Annotation, scoring: Scoring) -> Tensor:
        """Where the structure is annotated."""
        return truth.stack[:, self.structure].flatten(1).any(1)


@dataclass(frozen=True)
class Insert:
    """A structure at a place without it: of a ball, at least the share `filled` is found as that structure.

    Attributes:
        structure: its index from 0.
        centre: the ball's centre as fractions of each spatial axis, in the order of the axes.
        radius: in mm, or in pixels if the masks have no spacing.
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
        check_share("filled", self.filled)
        if not all(0 <= place <= 1 for place in self.centre):
            raise InputError(f"goal.centre: {self.centre} must be fractions of each axis, from 0 to 1.")
        if not 0 < self.radius < float("inf"):
            raise InputError(f"goal.radius: {self.radius:g} must be above 0.")

    @property
    def targeted(self) -> bool:
        """True."""
        return True

    def describe(self) -> str:
        """`insert <structure>`."""
        return f"insert {self.name or f'structure {self.structure}'}"

    def check(self, truth: Annotation) -> None:
        """Raise InputError if the task has no such structure, or the image has other axes."""
        check_structure(self.structure, truth)
        check_axes("goal.centre", len(self.centre), truth)

    def wanted(self, truth: Annotation) -> Tensor:
        """The true labels with the ball."""
        return truth.painted(self.structure, self.ball(truth))

    def ball(self, truth: Annotation) -> Tensor:
        """Pixels whose centre is in the ball (B, *spatial) bool."""
        squared = torch.zeros((), dtype=torch.float64, device=truth.labels.device)
        for axis, (place, size) in enumerate(zip(self.centre, truth.spatial, strict=True)):
            off = torch.arange(size, dtype=torch.float64, device=truth.labels.device) + 0.5 - place * size
            along = (off * spacing_along(truth, axis)).square()
            squared = squared + along.reshape(len(along), *[-1 if a == axis else 1 for a in range(len(self.centre))])
        return squared <= self.radius**2

    def remains(self, presence: Tensor, truth: Annotation, scoring: Scoring) -> Tensor:
        """Share of the ball that is not found."""
        part = slice(self.structure, self.structure + 1)
        return 1 - share(presence[:, part], self.ball(truth).unsqueeze(1))

    def limit(self, scoring: Scoring) -> float:
        """1 - `filled`."""
        return 1 - self.filled

    def applies(self, truth: Annotation, scoring: Scoring) -> Tensor:
        """Whether the ball is inside the image, without the structure and without ignored pixels."""
        ball = self.ball(truth)
        counted = truth.counted[:, 0 if truth.exclusive else self.structure]
        free = ~(ball & (truth.stack[:, self.structure] | ~counted)).flatten(1).any(1)
        within = ball.flatten(1).any(1)
        for axis, (place, size) in enumerate(zip(self.centre, truth.spatial, strict=True)):
            length = size * spacing_along(truth, axis)[:, 0]
            within = within & (place * length >= self.radius) & ((1 - place) * length >= self.radius)
        return free & within


@dataclass(frozen=True)
class Shift:
    """A structure larger or smaller by so many ml than it really is.

    The wanted mask adds the nearest voxels outside the structure, or removes those nearest to its surface, by
    Euclidean distance in mm, until the volume fits; equally near ones in row-major order.

    Attributes:
        structure: its index from 0.
        ml: change of volume; above 0 larger, below 0 smaller.
        name: what a report calls the structure.

    Raises:
        InputError: no change.
    """

    structure: int
    ml: float
    name: str = ""

    def __post_init__(self) -> None:
        if not 0 < abs(self.ml) < float("inf"):
            raise InputError(f"goal.ml: {self.ml:g} must be a volume above or below 0.")

    @property
    def targeted(self) -> bool:
        """True."""
        return True

    def describe(self) -> str:
        """`shift <structure> by <ml> ml`."""
        return f"shift {self.name or f'structure {self.structure}'} by {self.ml:+g} ml"

    def check(self, truth: Annotation) -> None:
        """Raise InputError if there is no such structure, no volume, or no spacing."""
        check_structure(self.structure, truth)
        if len(truth.spatial) != 3:
            raise InputError(f"goal: '{self.describe()}' needs volumes, and these images are {len(truth.spatial)}D.")
        if truth.spacing is None:
            raise InputError(
                f"goal: '{self.describe()}' needs the size of a voxel, and the masks have no spacing. Give masks with "
                "spacing in mm (NIfTI has it), or choose another goal."
            )

    def wanted(self, truth: Annotation) -> Tensor:
        """The true labels with the structure grown or shrunk."""
        return remembered(truth.labels, (self, truth.exclusive), lambda: self._resized(truth))

    def _resized(self, truth: Annotation) -> Tensor:
        mask = truth.stack[:, self.structure]
        free = truth.counted[:, 0 if truth.exclusive else self.structure]
        moved = resized(mask, free, truth.spacing, self._voxels(truth), grow=self.ml > 0)
        if self.ml > 0:
            return truth.painted(self.structure, moved)
        return truth.rubbed_out(self.structure, moved)

    def remains(self, presence: Tensor, truth: Annotation, scoring: Scoring) -> Tensor:
        """Share of the wanted change that is still missing; above 1 if the volume moved the other way."""
        found = amount(presence[:, self.structure : self.structure + 1]).squeeze(1)
        true = truth.stack[:, self.structure].flatten(1).sum(1).to(found)
        needed = self._voxels(truth).to(found)
        change = found - true if self.ml > 0 else true - found
        return (needed - change) / needed

    def limit(self, scoring: Scoring) -> float:
        """0."""
        return 0.0

    def applies(self, truth: Annotation, scoring: Scoring) -> Tensor:
        """Whether the structure is annotated, and the image has room or the structure enough volume."""
        true = truth.stack[:, self.structure].flatten(1).sum(1)
        counted = truth.counted[:, 0 if truth.exclusive else self.structure].flatten(1).sum(1)
        room = counted - true if self.ml > 0 else true
        return (true > 0) & (room >= self._voxels(truth))

    def _voxels(self, truth: Annotation) -> Tensor:
        """Smallest number of voxels that make up the change (B,)."""
        voxel = torch.ones(len(truth.labels), dtype=torch.float64, device=truth.labels.device)
        for axis in range(len(truth.spatial)):
            voxel = voxel * spacing_along(truth, axis)[:, 0]
        # Rounding must not add a voxel to a change of exactly so many voxels.
        return (abs(self.ml) * 1000 / voxel * (1 - 1e-6)).ceil().clamp(min=1).long()


__getattr__ = renamed(__name__)

"""Goals reached when the masks are like wanted ones: translated, swapped, or any masks that the caller gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.tasks.masks.goal import Scoring, check_axes, check_share, check_structure
from palpate.tasks.masks.reading import Annotation, overlap


class _Alike(ABC):
    """Reached when the masks that the goal changes are like the wanted ones: mean Dice of at least `reached`."""

    reached: float

    @property
    def targeted(self) -> bool:
        """True."""
        return True

    @abstractmethod
    def wanted(self, truth: Annotation) -> Tensor:
        """The labels that the attack wants."""

    def remains(self, presence: Tensor, truth: Annotation, scoring: Scoring) -> Tensor:
        """1 - mean Dice with the wanted masks, over the structures that they change."""
        wanted = truth.stacked(self.wanted(truth))
        changed = (wanted != truth.stack).flatten(2).any(2)
        alike = overlap(presence, wanted)
        return 1 - (alike * changed).sum(1) / changed.sum(1).clamp(min=1).to(alike)

    def limit(self, scoring: Scoring) -> float:
        """1 - `reached`."""
        return 1 - self.reached

    def applies(self, truth: Annotation, scoring: Scoring) -> Tensor:
        """Whether the wanted masks differ from the true ones."""
        return (truth.stacked(self.wanted(truth)) != truth.stack).flatten(1).any(1)


@dataclass(frozen=True)
class Toward(_Alike):
    """The true masks translated by so many pixels; what leaves the image is lost.

    Attributes:
        step: pixels along each spatial axis, in the order of the axes.
        reached: mean Dice with the translated masks.

    Raises:
        InputError: no step, or a Dice outside (0, 1].
    """

    step: tuple[int, ...]
    reached: float = 0.75

    def __post_init__(self) -> None:
        check_share("reached", self.reached)
        if not any(self.step):
            raise InputError(f"goal.step: {self.step} moves nothing; give pixels along each axis.")

    def describe(self) -> str:
        """`move by <pixels>`."""
        return f"move by {' '.join(map(str, self.step))} px"

    def check(self, truth: Annotation) -> None:
        """Raise InputError if the images have other axes."""
        check_axes("goal.step", len(self.step), truth)

    def wanted(self, truth: Annotation) -> Tensor:
        """The true labels, translated; ignored pixels stay ignored."""
        ignored = truth.labels == truth.ignore
        labels = truth.labels.masked_fill(ignored, 0)
        for axis, step in enumerate(self.step, start=labels.ndim - len(self.step)):
            size = labels.shape[axis]
            kept = labels.narrow(axis, max(0, min(-step, size)), max(0, size - abs(step)))
            labels = torch.zeros_like(labels)
            labels.narrow(axis, max(0, min(step, size)), kept.shape[axis]).copy_(kept)
        return labels.masked_fill(ignored, truth.ignore)


@dataclass(frozen=True)
class Swap(_Alike):
    """Two structures exchanged, such as left and right.

    Attributes:
        first: index of one, from 0.
        second: index of the other.
        reached: mean Dice with the swapped masks, over those of the two that are annotated.
        names: what a report calls them.

    Raises:
        InputError: twice the same structure, or a Dice outside (0, 1].
    """

    first: int
    second: int
    reached: float = 0.75
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_share("reached", self.reached)
        if self.first == self.second:
            raise InputError(f"goal: structure {self.first} cannot be swapped with itself; name another one.")

    def describe(self) -> str:
        """`swap <one> and <other>`."""
        names = self.names or (f"structure {self.first}", f"structure {self.second}")
        return f"swap {' and '.join(names)}"

    def check(self, truth: Annotation) -> None:
        """Raise InputError if the task has no such structures."""
        check_structure(self.first, truth)
        check_structure(self.second, truth)

    def wanted(self, truth: Annotation) -> Tensor:
        """The true labels with the two exchanged."""
        labels = truth.labels.clone()
        if truth.exclusive:
            for one, other in ((self.first, self.second), (self.second, self.first)):
                labels = torch.where(truth.stack[:, one], other + 1, labels)
            return labels
        labels[:, [self.first, self.second]] = truth.labels[:, [self.second, self.first]]
        # Where one of them is ignored it stays ignored, and the value of the other is unknown.
        return torch.where(truth.counted & (labels != truth.ignore), labels, truth.labels)


@dataclass(frozen=True)
class Wanted(_Alike):
    """Any masks that the caller wants, given with the targets as `AimedMasks` (Ozbulak et al., MICCAI 2019).

    Attributes:
        reached: mean Dice with the wanted masks, over the structures in which they differ from the true ones.

    Raises:
        InputError: a Dice outside (0, 1].
    """

    reached: float = 0.75

    def __post_init__(self) -> None:
        check_share("reached", self.reached)

    def describe(self) -> str:
        """`wanted masks`."""
        return "wanted masks"

    def check(self, truth: Annotation) -> None:
        """Raise InputError if the targets have no wanted masks."""
        _handed(truth)

    def wanted(self, truth: Annotation) -> Tensor:
        """The masks that were given."""
        return _handed(truth)


def _handed(truth: Annotation) -> Tensor:
    if truth.wanted is None:
        raise InputError(
            "goal: 'wanted masks' needs targets that contain them. Pass palpate.tasks.masks.reading.AimedMasks(labels, "
            "wanted, spacing)."
        )
    return truth.wanted

"""Where an attack on a classifier wants the decision to go: away from the truth, or into a set of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from palpate._moved import renamed
from palpate.errors import InputError


class ClassGoal(Protocol):
    """Splits the classes, per sample, into where the decision stays and where the attack wants it."""

    @property
    def targeted(self) -> bool:
        """Whether the attack moves toward its classes, and not away from the true one."""

    def wanted(self, labels: Tensor, classes: int) -> Tensor:
        """Which decisions fulfil the goal (B, K) bool."""

    def choices(self, classes: int) -> int:
        """How many decisions fulfil the goal, for a label for which it applies."""

    def describe(self) -> str:
        """The goal in a phrase."""


@dataclass(frozen=True)
class Untargeted:
    """Any decision except the true one."""

    targeted: bool = False

    def wanted(self, labels: Tensor, classes: int) -> Tensor:
        """Every class except the label."""
        # `one_hot` would look at the labels first, for which each step of an attack would wait.
        return labels[..., None] != torch.arange(classes, device=labels.device)

    def choices(self, classes: int) -> int:
        """All but the true one."""
        return classes - 1

    def describe(self) -> str:
        """`untargeted`."""
        return "untargeted"


@dataclass(frozen=True)
class Towards:
    """A decision inside a set of classes; for labels that are already inside the set, the goal does not apply.

    The clinical goals are sets: "hide disease" is the healthy classes, "invent disease" the diseased ones.

    Attributes:
        classes: the set, as class indices.
        name: what the report calls it.

    Raises:
        InputError: the set is empty.
    """

    classes: tuple[int, ...]
    name: str = ""

    def __post_init__(self) -> None:
        if not self.classes:
            raise InputError("goal: it names no class. Name at least one.")

    @property
    def targeted(self) -> bool:
        """True."""
        return True

    def wanted(self, labels: Tensor, classes: int) -> Tensor:
        """The set, for every sample.

        Raises:
            InputError: the set names a class that the task does not have.
        """
        if max(self.classes) >= classes or min(self.classes) < 0:
            raise InputError(f"goal: class {max(self.classes)} is not one of the task's 0 to {classes - 1}.")
        row = torch.zeros(classes, dtype=torch.bool, device=labels.device)
        for number in self.classes:  # a list of them would be copied to the device, at each step of an attack
            row[number] = True
        return row.expand(len(labels), classes)

    def choices(self, classes: int) -> int:
        """The size of the set."""
        return len(set(self.classes))

    def describe(self) -> str:
        """Its name, or the classes."""
        return self.name or "towards " + ", ".join(map(str, self.classes))


def hide_disease(disease: tuple[int, ...], classes: int) -> Towards:
    """Make diseased images read as healthy: the missed finding.

    Raises:
        InputError: every class, or none, is a disease.
    """
    return Towards(_others(disease, classes), "hide disease")


def invent_disease(disease: tuple[int, ...], classes: int) -> Towards:
    """Make healthy images read as diseased: the false alarm.

    Raises:
        InputError: every class, or none, is a disease.
    """
    _others(disease, classes)
    return Towards(tuple(sorted(disease)), "invent disease")


def _others(disease: tuple[int, ...], classes: int) -> tuple[int, ...]:
    healthy = tuple(index for index in range(classes) if index not in disease)
    if not disease or not healthy:
        raise InputError(
            "task.disease: a clinical goal needs healthy and diseased classes; name those that count as disease, "
            "but not all of them."
        )
    return healthy


__getattr__ = renamed(__name__)

"""Where an attack on several findings wants the reading: one wrong, all wrong, some missed, some invented.

A goal selects findings by their known labels, and says whether one of them is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from palpate._moved import renamed
from palpate.errors import InputError

UNKNOWN = -1
"""Label of a finding that nobody annotated."""


class FindingGoal(Protocol):
    """Selects the findings that must be read wrongly; a value."""

    @property
    def targeted(self) -> bool:
        """Whether the attack moves toward the changed reading, and not away from the true one."""

    @property
    def one_is_enough(self) -> bool:
        """Whether one changed finding reaches the goal; otherwise all that it is about must change."""

    def describe(self) -> str:
        """The goal in a phrase."""

    def about(self, labels: Tensor) -> Tensor:
        """Which findings must be read wrongly (B, K) bool; never an unknown one."""


class _Known:
    """Every finding that somebody annotated."""

    targeted: ClassVar[bool] = False

    def about(self, labels: Tensor) -> Tensor:
        """Every known finding."""
        return labels != UNKNOWN


@dataclass(frozen=True)
class AnyFinding(_Known):
    """Some known finding is read wrongly."""

    one_is_enough: ClassVar[bool] = True

    def describe(self) -> str:
        """`untargeted`."""
        return "untargeted"


@dataclass(frozen=True)
class AllFindings(_Known):
    """Every known finding is read wrongly."""

    one_is_enough: ClassVar[bool] = False

    def describe(self) -> str:
        """`all findings`."""
        return "all findings"


@dataclass(frozen=True)
class _Chosen:
    """Findings by index: all of those that have one label must be read wrongly.

    Attributes:
        findings: their indices from 0.
        name: what a report calls them.

    Raises:
        InputError: no finding, or one twice.
    """

    findings: tuple[int, ...]
    name: str = ""
    targeted: ClassVar[bool] = True
    one_is_enough: ClassVar[bool] = False
    verb: ClassVar[str]
    label: ClassVar[int]

    def __post_init__(self) -> None:
        if not self.findings or min(self.findings) < 0 or len(set(self.findings)) < len(self.findings):
            raise InputError(f"goal: findings {self.findings} must be one or more different indices from 0.")

    def describe(self) -> str:
        """`miss <findings>` or `invent <findings>`."""
        return f"{self.verb} {self.name or 'finding ' + ', '.join(map(str, self.findings))}"

    def about(self, labels: Tensor) -> Tensor:
        """Those of them that have the label."""
        if max(self.findings) >= labels.shape[1]:
            raise InputError(f"goal: finding {max(self.findings)} is not one of the task's 0 to {labels.shape[1] - 1}.")
        chosen = torch.zeros(labels.shape[1], dtype=torch.bool, device=labels.device)
        chosen[list(self.findings)] = True
        return chosen & (labels == self.label)


class Miss(_Chosen):
    """Of these findings, all that are present are read as absent; it does not apply if none is present."""

    verb: ClassVar[str] = "miss"
    label: ClassVar[int] = 1


class Invent(_Chosen):
    """Of these findings, all that are absent are read as present; it does not apply if none is absent."""

    verb: ClassVar[str] = "invent"
    label: ClassVar[int] = 0


__getattr__ = renamed(__name__)

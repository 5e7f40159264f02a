"""Where an attack on several findings wants the reading: one wrong, all wrong, some missed, some invented.

A goal names the findings that it is about, from what is known of them, and whether one of them is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from palpate._moved import renamed
from palpate.errors import InputError

UNKNOWN = -1
"""Label of a finding that nobody annotated."""


class FindingGoal(Protocol):
    """Picks findings whose reading is to turn over; a value."""

    @property
    def targeted(self) -> bool:
        """Whether the attack climbs toward the turned reading, rather than away from the true one."""

    @property
    def one_is_enough(self) -> bool:
        """Whether one turned finding reaches the goal; otherwise all that it is about must turn."""

    def describe(self) -> str:
        """The goal in a phrase."""

    def about(self, labels: Tensor) -> Tensor:
        """Which findings are to turn over (B, K) bool; never an unknown one."""


@dataclass(frozen=True)
class AnyFinding:
    """Some known finding is read wrongly."""

    @property
    def targeted(self) -> bool:
        """False."""
        return False

    @property
    def one_is_enough(self) -> bool:
        """True."""
        return True

    def describe(self) -> str:
        """`untargeted`."""
        return "untargeted"

    def about(self, labels: Tensor) -> Tensor:
        """Every known finding."""
        return labels != UNKNOWN


@dataclass(frozen=True)
class AllFindings:
    """Every known finding is read wrongly."""

    @property
    def targeted(self) -> bool:
        """False."""
        return False

    @property
    def one_is_enough(self) -> bool:
        """False."""
        return False

    def describe(self) -> str:
        """`all findings`."""
        return "all findings"

    def about(self, labels: Tensor) -> Tensor:
        """Every known finding."""
        return labels != UNKNOWN


class _Chosen:
    """Findings by index, of which those with one label are to turn over, all of them."""

    findings: tuple[int, ...]
    name: str

    def __post_init__(self) -> None:
        if not self.findings or min(self.findings) < 0 or len(set(self.findings)) < len(self.findings):
            raise InputError(f"goal: findings {self.findings} must be one or more different indices from 0.")

    @property
    def targeted(self) -> bool:
        """True."""
        return True

    @property
    def one_is_enough(self) -> bool:
        """False."""
        return False

    def _with(self, labels: Tensor, label: int) -> Tensor:
        if max(self.findings) >= labels.shape[1]:
            raise InputError(f"goal: finding {max(self.findings)} is not one of the task's 0 to {labels.shape[1] - 1}.")
        chosen = torch.zeros(labels.shape[1], dtype=torch.bool, device=labels.device)
        chosen[list(self.findings)] = True
        return chosen & (labels == label)

    def _named(self, verb: str) -> str:
        return f"{verb} {self.name or 'finding ' + ', '.join(map(str, self.findings))}"


@dataclass(frozen=True)
class Miss(_Chosen):
    """Of these findings, all that are present are read as absent; it does not apply where none is present.

    Attributes:
        findings: their indices from 0.
        name: what a report calls them.

    Raises:
        InputError: no finding, or one twice.
    """

    findings: tuple[int, ...]
    name: str = ""

    def describe(self) -> str:
        """`miss <findings>`."""
        return self._named("miss")

    def about(self, labels: Tensor) -> Tensor:
        """Those that are present."""
        return self._with(labels, 1)


@dataclass(frozen=True)
class Invent(_Chosen):
    """Of these findings, all that are absent are read as present; it does not apply where none is absent.

    Attributes:
        findings: their indices from 0.
        name: what a report calls them.

    Raises:
        InputError: no finding, or one twice.
    """

    findings: tuple[int, ...]
    name: str = ""

    def describe(self) -> str:
        """`invent <findings>`."""
        return self._named("invent")

    def about(self, labels: Tensor) -> Tensor:
        """Those that are absent."""
        return self._with(labels, 0)


__getattr__ = renamed(__name__)

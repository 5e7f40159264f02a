"""`segpgd`, `cospgd`: training on attacks that weigh the pixels of a mask, findings or boxes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from palpate.attacks.ascent import Ascent
from palpate.attacks.objectives_pieces import CosPGD, SegPGD
from palpate.attacks.recipes import fixed
from palpate.contracts import Attack, Objective
from palpate.errors import InputError
from palpate.hardening.contracts import Situation
from palpate.hardening.recipes.adversarial import Adversarial
from palpate.hardening.recipes.gradient import check_steps

FEWEST = 5
"""Steps. Models trained with fewer looked robust against weak attacks only (SEA)."""


@dataclass(frozen=True)
class _Dense(Adversarial):
    """Training on attacked images only, with five steps or more.

    Both decide for masks: with fewer steps, or with clean images among the attacked ones, models are robust against
    weak attacks and not against strong ones (SEA: Croce, Singh, Hein, arXiv:2306.12941; arXiv:2306.14217).

    Attributes:
        steps: gradient steps, at least 5.
        step: length of each in radii; by default 2.5 / steps.

    Raises:
        InputError: fewer steps, or a step that is not above 0.
    """

    steps: int = FEWEST
    step: float | None = None

    def __post_init__(self) -> None:
        check_steps(self.steps, self.step)
        if self.steps < FEWEST:
            raise InputError(
                f"steps: {self.steps} of recipe '{self.name}' must be at least {FEWEST}: models that are trained with "
                "fewer withstand weak attacks only. Use recipe 'fast' for a single step, or 'pgd'."
            )

    def attack(self, situation: Situation) -> Attack:
        """A climb from a random start."""
        return Ascent(situation.threat, self.steps, self._objective(), step=fixed(self.step, self.steps))

    @abstractmethod
    def _objective(self) -> Objective:
        """What is climbed."""


@dataclass(frozen=True)
class SegPgd(_Dense):
    """Masks, findings and boxes: unbroken pieces count more at first, broken ones later (`objectives_pieces.SegPGD`).

    Reference: Gu, Zhao, Tresp, Torr, SegPGD, ECCV 2022.
    """

    name: ClassVar[str] = "segpgd"

    def _objective(self) -> Objective:
        return SegPGD()


@dataclass(frozen=True)
class CosPgd(_Dense):
    """Masks, findings and boxes: pieces count by how close they still are to the truth (`objectives_pieces.CosPGD`).

    Reference: Agnihotri, Jung, Keuper, CosPGD, ICML 2024.
    """

    name: ClassVar[str] = "cospgd"

    def _objective(self) -> Objective:
        return CosPGD()

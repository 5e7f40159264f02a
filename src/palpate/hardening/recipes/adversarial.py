"""Training on attacked images, in place of the images themselves (Madry et al., ICLR 2018)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.attacks.crafting import craft
from palpate.contracts import Attack, Task
from palpate.hardening.contracts import Batch, Crafted, Situation
from palpate.hardening.recipes.starts import check_positive
from palpate.tensors import take


@dataclass(frozen=True)
class Adversarial(ABC):
    """Minimise the mean training loss of attacked images.

        min_w  mean_i L(f_w(x'_i), y_i),   x'_i = attack(f_w, x_i, y_i)

    A subclass says which attack. With `clean_share` s, each image stays as it is with probability s, drawn from its
    own stream; the pass of its attack is saved.
    """

    name: ClassVar[str]

    @property
    def spared(self) -> float:
        """Share of the images that stay as they are."""
        return float(getattr(self, "clean_share", 0.0))

    @abstractmethod
    def attack(self, situation: Situation) -> Attack:
        """What makes the images."""

    def craft(self, batch: Batch, situation: Situation) -> Crafted:
        """Attacked images; some stay as they are."""
        images = on_some(batch, self.spared, lambda part: self.images(part, situation))
        return Crafted(images, batch.targets)

    def images(self, batch: Batch, situation: Situation) -> Tensor:
        """All images of a batch, attacked."""
        return attacked(self.attack(situation), batch, situation)

    def loss(self, batch: Batch, crafted: Crafted, situation: Situation) -> Tensor:
        """Mean loss of the attacked images."""
        return situation.loss(situation.network(crafted.images), crafted.targets).mean()


def attacked(attack: Attack, batch: Batch, situation: Situation, task: Task | None = None) -> Tensor:
    """Images of a batch under an attack (B, C, *spatial)."""
    return craft(
        attack,
        situation.victim,
        task or situation.task,
        batch.images,
        batch.targets,
        streams=batch.streams,
        limits=batch.limits,
    )


def on_some(batch: Batch, share: float, change: Callable[[Batch], Tensor]) -> Tensor:
    """The images with `change` made to those that are not spared; each is spared with probability `share`."""
    if not share:
        return change(batch)
    going = chosen(batch, 1 - share)
    rows = going.nonzero().flatten()
    if len(rows) == len(going):
        return change(batch)
    images = batch.images.clone()
    if len(rows):
        images[rows] = change(rows_of(batch, rows))
    return images


def chosen(batch: Batch, share: float) -> Tensor:
    """Which images are chosen (B,) bool, each with probability `share`, from one number of its own stream."""
    like = torch.zeros(1, dtype=torch.float64)
    return (batch.streams.uniform((1,), like).flatten() < share).to(batch.images.device)


def rows_of(batch: Batch, rows: Tensor) -> Batch:
    """Some rows of a batch."""
    return Batch(batch.images[rows], take(batch.targets, rows), take(batch.limits, rows), batch.streams.take(rows))


def check_share(share: float) -> None:
    """Raise InputError if a share of clean images is not from 0 to 1."""
    check_positive("clean_share", share, zero=True, most=1.0)

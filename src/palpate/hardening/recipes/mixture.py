"""Several recipes, each for a share of the batches."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from torch import Tensor

from palpate.errors import InputError
from palpate.hardening.contracts import Batch, Crafted, Recipe, Situation
from palpate.hardening.recipes.starts import check_positive


@dataclass(frozen=True)
class Mixture:
    """One of several recipes for each batch, drawn from the batch's streams: repeatable, and independent of the order.

    Attributes:
        recipes: what is mixed.
        shares: their shares of the batches, compared with one another.

    Raises:
        InputError: fewer than two recipes, or not one share above 0 for each.
    """

    recipes: tuple[Recipe, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.recipes) < 2:
            raise InputError("mixture: a mixture needs at least two recipes. Give harden.recipe for a single one.")
        if len(self.shares) != len(self.recipes):
            raise InputError(f"mixture: {len(self.shares)} shares for {len(self.recipes)} recipes. Give one each.")
        for share in self.shares:
            check_positive("share", share)

    @property
    def name(self) -> str:
        """`fast 50 % + artefacts 50 %`."""
        total = sum(self.shares)
        parts = zip(self.recipes, self.shares, strict=True)
        return " + ".join(f"{recipe.name} {100 * share / total:.0f} %" for recipe, share in parts)

    def of(self, batch: Batch) -> Recipe:
        """The recipe of a batch: the same for the same streams, whatever was drawn from them since."""
        seeds = ",".join(map(str, batch.streams.seeds))
        place = int.from_bytes(hashlib.sha256(seeds.encode()).digest()[:8], "big") / 2**64 * sum(self.shares)
        for recipe, share in zip(self.recipes, self.shares, strict=True):
            if place < share:
                return recipe
            place -= share
        return self.recipes[-1]

    def craft(self, batch: Batch, situation: Situation) -> Crafted:
        """As the batch's recipe does."""
        return self.of(batch).craft(batch, situation)

    def loss(self, batch: Batch, crafted: Crafted, situation: Situation) -> Tensor:
        """As the batch's recipe does."""
        return self.of(batch).loss(batch, crafted, situation)

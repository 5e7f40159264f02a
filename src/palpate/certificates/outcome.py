"""What is known of a smoothed model on several images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from palpate.certificates.image import Certified


@dataclass(frozen=True)
class Certificates:
    """Certified lower bounds of a smoothed model, beside attacked upper bounds of the same one.

    Attributes:
        sigma: standard deviation of the noise in stored values.
        images: what is known of each image.
        forwards: forward passes of the model.
        backwards: backward passes.
    """

    sigma: float
    images: tuple[Certified, ...]
    forwards: int
    backwards: int

    @property
    def radii(self) -> tuple[float, ...]:
        """The L2 radii in stored values, rising from 0."""
        return tuple(level.radius for level in self.images[0].levels)

    @property
    def radius(self) -> Tensor:
        """The certified radius of each image (B,), 0 where the smoothed model abstains; NaN for findings and masks."""
        return torch.tensor([image.radius for image in self.images], dtype=torch.float64)

    @property
    def prediction(self) -> Tensor:
        """The class that the smoothed model decides (B,) int64; -1 where it abstains, or for findings and masks."""
        return torch.tensor([image.prediction for image in self.images])

    @property
    def least(self) -> Tensor:
        """Lower bounds of the score (R, B): whatever the change of that length is. For classes 1 is right."""
        return self._scores("least")

    @property
    def most(self) -> Tensor:
        """Upper bounds of the score (R, B): what an attack of that length has shown."""
        return self._scores("most")

    def _scores(self, side: str) -> Tensor:
        rows = [[getattr(level, side).score for level in image.levels] for image in self.images]
        return torch.tensor(rows, dtype=torch.float64).T

    def describe(self) -> str:
        """One line for each radius: certified at least, attacked at most."""
        least, most = self.least.nanmean(1).tolist(), self.most.nanmean(1).tolist()
        lines = zip(self.radii, least, most, strict=True)
        return "\n".join(f"L2 {radius:g}: at least {low:.3f}, at most {high:.3f}" for radius, low, high in lines)

"""Thick slices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Needs, Scene
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

__all__ = ["PartialVolume", "slice_weights"]


@dataclass(frozen=True)
class PartialVolume(Artefact):
    """Thick slices: each slice of a volume, along its first axis, is the mean over a slab around it.

    Values between two slices are interpolated linearly, and the mean over T mm of that is a weighted sum of slices in
    closed form. The slices keep their places and their number. A single slice does not show its neighbours, so that
    this acts on volumes only. The mean is of Hounsfield units; a scanner averages counts, which darkens strong edges.
    """

    name: ClassVar[str] = "partial-volume"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("thickness", "mm", "derived: thin slices of about 1 mm are read as slabs of 2 to 10 mm",
                  levels=(2.0, 3.0, 5.0, 7.5, 10.0)),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (3,)
    needs: ClassVar[Needs] = frozenset({"HU", "spacing"})
    stage: ClassVar[int] = 3

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`. The first and last slice repeat beyond the volume."""
        depth, spacing = image.shape[1], (scene.spacing or (1.0,))[0]
        reach = math.ceil(self.parameters[0].high / spacing / 2) + 1
        offsets = torch.arange(-reach, reach + 1)
        taken = (torch.arange(depth)[:, None] + offsets).clamp(0, depth - 1)
        chosen = torch.nn.functional.one_hot(taken, depth).double()

        def made(theta: Tensor) -> Tensor:
            weights = slice_weights(offsets.double(), theta[:, 0].cpu() / spacing)
            mixed = torch.einsum("kj,ijn->kin", weights, chosen) - torch.eye(depth, dtype=torch.float64)
            return image + torch.einsum("kin,cn...->kci...", mixed.to(image), image)

        return made


def slice_weights(offsets: Tensor, thickness: Tensor) -> Tensor:
    """The share of slices at `offsets` (J,) in a slab of `thickness` (K,), both in slices: (K, J), in sum 1."""
    half = thickness.double().clamp(min=1e-6)[:, None] / 2
    return (_hat(offsets + half) - _hat(offsets - half)) / (2 * half)


def _hat(place: Tensor) -> Tensor:
    """The integral of the hat function of linear interpolation, from minus infinity."""
    inside = place.clamp(-1, 1)
    return torch.where(inside < 0, (1 + inside) ** 2 / 2, 1 - (1 - inside) ** 2 / 2)

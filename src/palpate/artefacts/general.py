"""Artefacts that any image can have: coarser storage, less resolution, noise, other contrast, another position."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.fields import REALISATION, Noise, column
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

_MEDMNISTC = "Di Salvo et al., MedMNIST-C, arXiv:2406.17536 (brightness and contrast, registry)"
_ENGSTROM = "Engstrom et al., arXiv:1712.02779: up to 30 degrees and 10 % shift; smaller here, as after positioning"


@dataclass(frozen=True)
class Brightness(Artefact):
    """Adds a share of the range to all values: x + b (high - low)."""

    name: ClassVar[str] = "brightness"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("offset", "share of the range", _MEDMNISTC, levels=(0.04, 0.08, 0.12, 0.16, 0.2), signed=True),
    )
    stage: ClassVar[int] = 4

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        return lambda theta: image + column(theta[:, 0], image) * scene.extent


@dataclass(frozen=True)
class GaussianNoise(Artefact):
    """Adds independent normal noise to each value: x + s (high - low) n."""

    name: ClassVar[str] = "noise"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("standard deviation", "share of the range", _MEDMNISTC, levels=(0.01, 0.02, 0.04, 0.06, 0.08)),
        REALISATION,
    )

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        noise = Noise.drawn(streams, image.shape, image)
        return lambda theta: image + column(theta[:, 0], image) * scene.extent * noise.at(theta[:, 1])


@dataclass(frozen=True)
class Position(Artefact):
    """Turns and shifts the patient in the plane of the image; what comes from outside repeats the border."""

    name: ClassVar[str] = "position"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("rotation", "degrees", _ENGSTROM, levels=(2.0, 4.0, 6.0, 8.0, 10.0), signed=True),
        Parameter("shift down", "share of the height", _ENGSTROM, levels=(0.01, 0.02, 0.03, 0.04, 0.05), signed=True),
        Parameter("shift right", "share of the width", _ENGSTROM, levels=(0.01, 0.02, 0.03, 0.04, 0.05), signed=True),
    )
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 0

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""

        def moved(theta: Tensor) -> Tensor:
            grid = self.grid(tuple(image.shape[1:]), theta, scene).to(image)
            whole = image.expand(len(theta), *image.shape)
            return F.grid_sample(whole, grid, mode="bilinear", padding_mode="border", align_corners=False)

        return moved

    def grid(self, shape: tuple[int, ...], theta: Tensor, scene: Scene) -> Tensor:
        """See `Artefact.grid`; angles keep their size if pixels are not square."""
        angle = theta[:, 0] * (math.pi / 180)
        height, width = (size * mm for size, mm in zip(shape, scene.spacing or (1.0, 1.0), strict=True))
        cos, sin = torch.cos(angle), torch.sin(angle)
        # Back from the result to the image: first undo the shift, then the rotation.
        right, down = theta[:, 2] * 2, theta[:, 1] * 2
        across, along = sin * height / width, sin * width / height
        rows = torch.stack([torch.stack([cos, across, -cos * right - across * down], 1),
                            torch.stack([-along, cos, along * right - cos * down], 1)], 1)  # fmt: skip
        return F.affine_grid(rows, [len(theta), 1, *shape], align_corners=False)

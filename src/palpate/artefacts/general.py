"""Artefacts that any image can have: other brightness, contrast or position, and noise."""

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

_BRIGHTNESS = "MedMNIST-C, registry: factors of 1.1 to 1.5 and 0.9 to 0.5, at a mean of 0.4 of the range"
_CONTRAST = "MedMNIST-C, registry: factors of 0.9 to 0.4 and 1.1 to 1.6"
_NOISE = "MedMNIST-C, registry: 0.04 to 0.08 (pneumonia) at severities 3 to 5; weaker noise before"
_ENGSTROM = "Engstrom et al., arXiv:1712.02779: up to 30 degrees and 10 % shift; smaller here, as after positioning"
_MANY = 1_000_000
"""Values of a volume that its range is taken from, at most."""


def own_range(image: Tensor, scene: Scene) -> float:
    """The range of an image's values, from its 1st to its 99th percentile; that of the bounds if it is flat.

    CT and MR use a small part of what can be stored, so a share of the bounds would mean nothing.
    """
    values = image.detach().flatten()
    values = values[:: max(1, -(-len(values) // _MANY))].double()
    low, high = torch.quantile(values, torch.tensor([0.01, 0.99], dtype=torch.float64, device=values.device)).tolist()
    return float(high - low) if high > low else scene.extent


@dataclass(frozen=True)
class Brightness(Artefact):
    """Adds a share of the image's range R (1st to 99th percentile) to all values: x + b R."""

    name: ClassVar[str] = "brightness"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("offset", "share of the range", _BRIGHTNESS, levels=(0.04, 0.08, 0.12, 0.16, 0.2), signed=True),
    )
    stage: ClassVar[int] = 4

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        extent = own_range(image, scene)
        return lambda theta: image + column(theta[:, 0], image) * extent


@dataclass(frozen=True)
class Contrast(Artefact):
    """Values move away from the mean of the image, or towards it: m + (1 + c) (x - m)."""

    name: ClassVar[str] = "contrast"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("change", "share", _CONTRAST, levels=(0.1, 0.2, 0.3, 0.45, 0.6), signed=True),
    )
    stage: ClassVar[int] = 4

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        away = image - image.mean()
        return lambda theta: image + column(theta[:, 0], image) * away


@dataclass(frozen=True)
class GaussianNoise(Artefact):
    """Adds independent normal noise n to each value: x + s R n, R the image's range (1st to 99th percentile)."""

    name: ClassVar[str] = "noise"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("standard deviation", "share of the range", _NOISE, levels=(0.01, 0.02, 0.04, 0.06, 0.08)),
        REALISATION,
    )

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        noise, extent = Noise.drawn(streams, image.shape, image), own_range(image, scene)
        return lambda theta: image + column(theta[:, 0], image) * extent * noise.at(theta[:, 1])


@dataclass(frozen=True)
class Position(Artefact):
    """Turns (clockwise) and shifts the patient in the plane of the image; what comes from outside repeats the border.

    A volume is turned about its first axis, and shifted along the other two: each slice as the others.
    """

    name: ClassVar[str] = "position"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("rotation", "degrees", _ENGSTROM, levels=(2.0, 4.0, 6.0, 8.0, 10.0), signed=True),
        Parameter("shift down", "share of the height", _ENGSTROM, levels=(0.01, 0.02, 0.03, 0.04, 0.05), signed=True),
        Parameter("shift right", "share of the width", _ENGSTROM, levels=(0.01, 0.02, 0.03, 0.04, 0.05), signed=True),
    )
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
        spacing = scene.spacing or (1.0,) * len(shape)
        height, width = (size * mm for size, mm in zip(shape[-2:], spacing[-2:], strict=True))
        cos, sin, none = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
        # Back from the result to the image: first undo the shift, then the rotation.
        right, down = theta[:, 2] * 2, theta[:, 1] * 2
        across, along = sin * height / width, sin * width / height
        rows = [[cos, across, -cos * right - across * down], [-along, cos, along * right - cos * down]]
        if len(shape) == 3:
            rows = [[*row[:2], none, row[2]] for row in rows] + [[none, none, none + 1, none]]
        matrix = torch.stack([torch.stack(row, 1) for row in rows], 1)
        return F.affine_grid(matrix, [len(theta), 1, *shape], align_corners=False)

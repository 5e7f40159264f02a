"""What is between the tube and the detector: the patient who scatters, the grid, and the collimator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.fields import column
from palpate.artefacts.parameter import Parameter
from palpate.artefacts.separable import blurred
from palpate.artefacts.waves import waves
from palpate.streams import Streams

__all__ = ["Collimation", "GridLines", "ScatterVeil"]

_NIKLASON = (
    "Niklason, Sorenson, Nelson, Scattered radiation in chest radiography, Medical Physics 8 (1981) 677: from below 1 "
    "in lungs to 3 and more in the mediastinum without a grid"
)
_DENSITY = 3.0
"""Natural logarithm of the brightest over the darkest transmission that a radiograph shows."""


@dataclass(frozen=True)
class ScatterVeil(Artefact):
    """Scattered radiation falls on the whole detector: dense regions lose contrast.

    A value is the logarithm of the transmission, p = exp(-d v) with d = 3. Scatter is the transmission after a wide
    blur G, r times as strong, and the exposure is set anew:

        y = -log((p + r G p) / (1 + r)) / d

    So in even regions small details keep 1 / (1 + r) of their contrast. Source of the range: Niklason et al. (1981).
    """

    name: ClassVar[str] = "scatter-veil"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("scatter to primary", "", _NIKLASON, levels=(0.25, 0.5, 1.0, 2.0, 3.0)),
        Parameter("spread", "share of the shorter side", "derived: some cm of a chest", 0.05, 0.25),
    )
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 1

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        primary = torch.exp(-_DENSITY * (image - scene.bounds[0]) / scene.extent)

        def veiled(theta: Tensor) -> Tensor:
            scattered = blurred(primary, theta[:, 1] * min(image.shape[1:]))
            ratio = column(theta[:, 0], image)
            veil = torch.log((1 + ratio * scattered / primary) / (1 + ratio))
            return image - veil * (scene.extent / _DENSITY)

        return veiled


@dataclass(frozen=True)
class GridLines(Artefact):
    """The anti-scatter grid stands still or is in the wrong place: fine parallel lines, y = v + a cos(...).

    Lines absorb a share of the radiation, so they are added to its logarithm, which a radiograph shows. Frequencies
    near that of the pixels give moire. Source: Lin et al., A study of grid artifacts formation and elimination in
    computed radiographic images, Journal of Digital Imaging 19 (2006) 351.
    """

    name: ClassVar[str] = "grid-lines"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("size", "share of the range", "derived: from hardly seen to as strong as ribs",
                  levels=(0.01, 0.02, 0.04, 0.06, 0.08)),
        Parameter("frequency", "cycles per pixel", "derived: 30 to 80 lines per cm, sampled by pixels", 0.05, 0.5),
        Parameter("angle", "degrees", "derived: lines stand upright, or lie, or lean", 0.0, 180.0),
        Parameter("phase", "degrees", "derived: lines can begin anywhere", 0.0, 360.0),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 1

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""

        def lined(theta: Tensor) -> Tensor:
            lines = waves(tuple(image.shape[1:]), theta[:, 1], theta[:, 2], theta[:, 3]).to(image)[:, None]
            return image + column(theta[:, 0], image) * scene.extent * lines

        return lined


@dataclass(frozen=True)
class Collimation(Artefact):
    """The collimator covers the borders: four straight edges, turned together, that are soft as the focal spot is wide.

    Side i covers c w_i of the height or width, and what is covered falls to 0 over the width of the edge. It is white,
    as a detector without radiation shows it, or black, as a shutter of the software does.
    """

    name: ClassVar[str] = "collimation"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("covered", "share of a side", "derived: up to a quarter, which cuts the lungs",
                  levels=(0.05, 0.1, 0.15, 0.2, 0.25)),
        *(Parameter(f"share of the {side}", "", "derived: sides differ")
          for side in ("top", "bottom", "left", "right")),
        Parameter("rotation", "degrees", "derived: a patient who does not lie straight", -10.0, 10.0),
        Parameter("edge", "share of the shorter side", "derived: the penumbra of a focal spot of 1 mm", 0.005, 0.03),
        Parameter("shows", "", "derived: both are common", choices=("white", "black")),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 1

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        height, width = image.shape[1:]

        def covered(theta: Tensor) -> Tensor:
            down, right = (torch.arange(size, dtype=theta.dtype, device=theta.device) for size in (height, width))
            down = down[:, None]
            turn = theta[:, 5, None, None] * (math.pi / 180)
            cos, sin = torch.cos(turn), torch.sin(turn)
            straight = (cos * down - sin * right, cos * right + sin * down)
            soft = (theta[:, 6, None, None] * min(height, width)).clamp(min=1)
            left = torch.ones((), dtype=theta.dtype, device=theta.device)
            for side in range(4):
                place, size = straight[side // 2], (height, width)[side // 2]
                inward = place if side % 2 == 0 else -place
                # An edge that covers nothing touches the corner of the image.
                depth = inward - inward.amin((1, 2), keepdim=True)
                wide = (theta[:, 0] * theta[:, 1 + side] * size)[:, None, None]
                left = left * (1 - ((wide - depth) / soft).clamp(0, 1))
            shown = torch.where(theta[:, 7] < 1, scene.bounds[1], scene.bounds[0])
            return image + (1 - left[:, None]).to(image) * (column(shown, image) - image)

        return covered

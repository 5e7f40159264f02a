"""Slides under the microscope: how much stain there is, and where it clumps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.fields import column
from palpate.artefacts.light.illumination import smooth_noise
from palpate.artefacts.light.strokes import absorbed
from palpate.artefacts.light.view import View, blurred_disc, place
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

_NODES = 24
"""Nodes of the field that makes outlines uneven, along each axis."""
_VIOLET = (0.8, 0.95, 0.5)
"""Share of red, green and blue that a thick clump takes."""


@dataclass(frozen=True)
class Stain(Artefact):
    """More or less stain, or a thicker or thinner section: all absorbances are multiplied (Beer-Lambert).

        -log(L' / W) = (1 + s) (-log(L / W)),      W = the 99th percentile of each channel, the empty slide

    Values above W, where nothing absorbs, stay.
    """  # fmt: skip

    name: ClassVar[str] = "stain"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("change", "share", "Tellez et al., Med. Image Anal. 58, 2019: 0.05 (light), 0.2 (strong)",
                  levels=(0.05, 0.1, 0.2, 0.3, 0.4), signed=True),
    )  # fmt: skip
    stage: ClassVar[int] = 0

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        dark = scene.bounds[0]
        light = image - dark
        empty = torch.quantile(light.flatten(1)[:, :: _every(light)].double(), 0.99, dim=1).to(image)
        empty = empty.clamp(min=1e-6 * scene.extent).reshape(-1, *([1] * (image.ndim - 1)))
        # Half a percent of white is black: the logarithm of 0 is not a number.
        absorbance = -(light / empty).clamp(5e-3, 1).log()
        return lambda theta: dark + light * torch.exp(-column(theta[:, 0], image) * absorbance)


def _every(light: Tensor) -> int:
    """So many values apart are those that a quantile is taken from: at most a million of each channel."""
    return max(1, light[0].numel() // 1_000_000)


@dataclass(frozen=True)
class StainDeposit(Artefact):
    """Three clumps of stain on the slide, with uneven outlines: L' = L prod_i (1 - opacity cover_i colour).

    The smaller two have 0.7 and 0.5 of the diameter of the largest.
    """

    name: ClassVar[str] = "stain-deposit"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("diameter", "share of the shorter side", "derived: from a platelet to a blood cell",
                  levels=(0.03, 0.045, 0.06, 0.08, 0.1)),
        Parameter("opacity", "", "derived: from a film to nearly black", levels=(0.4, 0.55, 0.7, 0.85, 0.95)),
        Parameter("blur disc", "share of the shorter side", "derived: in focus to just above the cells", 0.005, 0.03),
        *place("largest"), *place("middle one"), *place("smallest"),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 0

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        view, dark = View.of(image), scene.bounds[0]
        light, colour = image - dark, absorbed(image, _VIOLET)
        uneven = torch.exp(0.3 * smooth_noise(streams, image, _NODES).first)

        def made(theta: Tensor) -> Tensor:
            passed = torch.ones_like(light).expand(len(theta), *light.shape)
            blur = view.column(theta[:, 2] / 2)
            for number, size in enumerate((1.0, 0.7, 0.5)):
                distance = view.distance(theta[:, 3 + 2 * number], theta[:, 4 + 2 * number]) * uneven
                cover = blurred_disc(distance, view.column(theta[:, 0] * size / 2), blur)
                passed = passed * (1 - (view.column(theta[:, 1]) * cover).unsqueeze(1) * colour)
            return dark + light * passed

        return made

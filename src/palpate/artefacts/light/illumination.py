"""Light on its way: smoke, and the fall of light towards the border."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.fields import REALISATION, Noise
from palpate.artefacts.light.frame import Framed
from palpate.artefacts.light.view import View, place
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

_PLUMES = 5
"""Nodes of the field of smoke along each axis: plumes of about a quarter of the view."""
_SPREAD = 0.6
"""Standard deviation of the logarithm of the density of smoke."""


def smooth_noise(streams: Streams, image: Tensor, nodes: int) -> Noise:
    """Noise (1, H, W) that is drawn at nodes x nodes places and interpolated: it changes slowly."""
    coarse = Noise.drawn(streams, (1, nodes, nodes), image)
    size = image.shape[-2:]
    first, second = (
        F.interpolate(one[None], size=size, mode="bicubic", align_corners=True)[0]
        for one in (coarse.first, coarse.second)
    )
    return Noise(first, second)


@dataclass(frozen=True)
class Smoke(Artefact):
    """Smoke or steam between the lens and the tissue (Koschmieder's law).

        L' = L t + A b (1 - t),      t = exp(-tau density),      density = exp(0.6 n) / E exp(0.6 n)

    n is a smooth normal field, tau the mean optical depth, A the light of dense smoke, and b the light of the lamp that
    arrives (at most 1, its mean over the view; 0 in the black frame).
    """  # fmt: skip

    name: ClassVar[str] = "smoke"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("optical depth", "", "derived: 82 to 22 % of the light passes on average",
                  levels=(0.2, 0.4, 0.7, 1.0, 1.5)),
        Parameter("light of the smoke", "share of white", "derived: grey to nearly white", 0.5, 0.9),
        REALISATION,
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 1

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        view, dark = View.of(image), scene.bounds[0]
        noise, lamp = smooth_noise(streams, image, _PLUMES), Framed.of(image, scene).lamp()

        def made(theta: Tensor) -> Tensor:
            density = torch.exp(_SPREAD * noise.at(theta[:, 2]) - _SPREAD**2 / 2)
            passed = torch.exp(-view.column(theta[:, 0]).unsqueeze(1) * density)
            smoke = dark + view.column(theta[:, 1]).unsqueeze(1) * scene.extent * lamp
            return image * passed + smoke * (1 - passed)

        return made


@dataclass(frozen=True)
class Vignetting(Artefact):
    """Light falls towards the border: L' = L cos(a)^4, where a is the angle to the axis of the lens.

    tan(a) grows with the distance from the axis; `angle` is a at half of the image's diagonal.
    """

    name: ClassVar[str] = "vignetting"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("angle", "degrees", "derived: lenses of 30 to 94 degrees; the corner keeps 87 to 22 % of its light",
                  levels=(15.0, 25.0, 33.0, 40.0, 47.0)),
        *place("axis", 0.35, 0.65),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        view, dark = View.of(image), scene.bounds[0]
        half = math.hypot(view.height, view.width) / 2

        def made(theta: Tensor) -> Tensor:
            tangent = view.column(torch.tan(theta[:, 0] * (math.pi / 180))) / half
            squared = (view.distance(theta[:, 1], theta[:, 2]) * tangent) ** 2
            # cos^4 = 1 / (1 + tan^2)^2
            return dark + (image - dark) / (1 + squared.unsqueeze(1)) ** 2

        return made

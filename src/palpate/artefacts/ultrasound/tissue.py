"""What tissue does to the beams: it weakens them, stops them, and sends them back by detours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.field_of_view import field_of_view
from palpate.artefacts.fields import REALISATION, Noise
from palpate.artefacts.parameter import Parameter
from palpate.artefacts.separable import blurred
from palpate.artefacts.ultrasound.beams import FAN, Beams
from palpate.streams import Streams

__all__ = ["Attenuation", "Haze", "Shadow"]

_USAUGMENT = "usaugment (MIT)"
_SOFT = 0.04
"""Heights over which a shadow begins, at its top."""
_PATCH = 0.012
"""Heights of a patch of haze."""
_MEAN = math.sqrt(math.pi / 2)
"""Mean of a Rayleigh distribution."""


@dataclass(frozen=True)
class Attenuation(Artefact):
    """Tissue absorbs sound, and depth gain does not make up for it: v exp(-a d) at the depth d along the beam."""

    name: ClassVar[str] = "attenuation"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("rate", "per height", f"{_USAUGMENT}: 0 to 3", levels=(0.4, 0.8, 1.4, 2.2, 3.0)),
        FAN,
    )
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 0

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""

        def weaker(theta: Tensor) -> Tensor:
            lost = torch.expm1(-theta[:, 0, None, None] * Beams.of(tuple(image.shape[1:]), theta[:, 1]).depth)
            return image + lost.to(image)[:, None] * (image - scene.bounds[0])

        return weaker


@dataclass(frozen=True)
class Shadow(Artefact):
    """Bone, stone or gas stops some beams: below it they are darker.

    v (1 - s exp(-(b - p)^2 / (2 w^2)) h(d)): b is where a beam crosses the middle row, and h rises from 0 to 1 at the
    depth at which the shadow begins.
    """

    name: ClassVar[str] = "shadow"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("strength", "share of the signal", f"{_USAUGMENT}: .25 to .8", levels=(0.25, 0.4, 0.55, 0.7, 0.8)),
        Parameter(
            "position", "share of the width", "derived: it can be anywhere; where the beam crosses the middle row"
        ),
        Parameter("width", "share of the width", f"{_USAUGMENT}: sigma .01 to .2", 0.01, 0.2),
        Parameter("begin", "share of the depth", "derived: from the skin to the middle", 0.0, 0.5),
        FAN,
    )
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 0

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""

        def shaded(theta: Tensor) -> Tensor:
            strength, position, width, begin = (theta[:, place, None, None] for place in range(4))
            beams = Beams.of(tuple(image.shape[1:]), theta[:, 4])
            profile = torch.exp(-(((beams.across - position) / width) ** 2) / 2)
            below = torch.sigmoid((beams.depth - begin) / (_SOFT / 4))
            return image - (strength * profile * below).to(image)[:, None] * (image - scene.bounds[0])

        return shaded


@dataclass(frozen=True)
class Haze(Artefact):
    """Echoes that come back by detours: a bright cloud around one depth, in the field of view.

    v + s exp(-(d - r)^2 / (2 w^2)) m with patches m: Rayleigh noise of mean 1. Source: Ostvik et al., Myocardial
    function imaging in echocardiography using deep learning, IEEE Transactions on Medical Imaging 40 (2021).
    """

    name: ClassVar[str] = "haze"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("strength", "share of the range", f"{_USAUGMENT}: half of uniform noise, a mean of .25",
                  levels=(0.05, 0.1, 0.16, 0.23, 0.3)),
        Parameter("radius", "share of the depth", f"{_USAUGMENT}: .05 to .95", 0.05, 0.95),
        Parameter("width", "share of the depth", f"{_USAUGMENT}: sigma up to .1; wider ones derived", 0.03, 0.2),
        FAN,
        REALISATION,
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 0

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        view = field_of_view(image, scene)
        channels = [_patches(streams, image) for _ in range(2)]

        def hazy(theta: Tensor) -> Tensor:
            strength, radius, width = (theta[:, place, None, None] for place in range(3))
            depth = Beams.of(tuple(image.shape[1:]), theta[:, 3]).depth
            band = strength * torch.exp(-(((depth - radius) / width) ** 2) / 2)
            cloud = torch.complex(*(one.at(theta[:, 4]) for one in channels)).abs() / _MEAN
            return image + band.to(image)[:, None] * cloud * view * scene.extent

        return hazy


def _patches(streams: Streams, image: Tensor) -> Noise:
    """Smooth standard normal noise (1, height, width)."""
    noise = Noise.drawn(streams, (1, *image.shape[1:]), image)
    sigma = torch.tensor([_PATCH * image.shape[1]], dtype=torch.float64, device=image.device)
    both = [blurred(one, sigma)[0] for one in (noise.first, noise.second)]
    return Noise(*(one / one.std(correction=0).clamp(min=1e-9) for one in both))

"""Light that falls unevenly, or comes back from where it should not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.fundus.eye import Eye, each
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

__all__ = ["Flare", "Halo", "UnevenIllumination"]

_COFE = "Shen et al., Modeling and Enhancing Low-Quality Retinal Fundus Images, IEEE TMI 40 (2021), cofe-Net"
_PLACE = "derived: it can be anywhere in the field of view"
_WARMTH = Parameter("warmth", "", "derived: from the blue of a coated lens to the orange of the fundus", 0.0, 1.0)
_COLD, _WARM = (0.75, 0.9, 1.0), (1.0, 0.75, 0.4)


@dataclass(frozen=True)
class UnevenIllumination(Artefact):
    """The lamp is not centred: one place stays, and the rest is darker, v (1 - s (1 - exp(-d^2 / (2 w^2))))."""

    name: ClassVar[str] = "uneven-illumination"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("loss", "share of the light", f"{_COFE} (its form); levels derived",
                  levels=(0.15, 0.3, 0.45, 0.6, 0.75)),
        Parameter("below the middle", "heights", _PLACE, -0.4, 0.4),
        Parameter("right of the middle", "heights", _PLACE, -0.4, 0.4),
        Parameter("width", "heights", "derived: a quarter to a half of the field of view", 0.2, 0.5),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 1

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        eye = Eye.of(image, scene)

        def lit(theta: Tensor) -> Tensor:
            loss, down, right, width = each(theta, image)
            lost = loss * -torch.expm1(-((eye.distance(down, right) / width) ** 2) / 2)
            return image - lost[:, None] * (image - scene.bounds[0])

        return lit


@dataclass(frozen=True)
class Halo(Artefact):
    """Light from the edge of the pupil or the lid: a bright crescent, v + s c q in the field of view.

    q = exp(-(d - r)^2 / (2 w^2)) (1 + cos(a - b)) / 2 at the distance d and the direction a from the crescent's middle.
    c is the colour of the light.
    """

    name: ClassVar[str] = "halo"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("strength", "share of the range", f"{_COFE} (its form); levels derived",
                  levels=(0.1, 0.2, 0.3, 0.45, 0.6)),
        Parameter("radius", "heights", "derived: near the edge of the field of view", 0.3, 0.5),
        Parameter("width", "heights", "derived: thin to broad", 0.03, 0.1),
        Parameter("direction", "degrees", "derived: each is as likely", 0.0, 360.0),
        Parameter("below the middle", "heights", "derived: a little off the middle", -0.1, 0.1),
        Parameter("right of the middle", "heights", "derived: a little off the middle", -0.1, 0.1),
        _WARMTH,
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 1

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        eye = Eye.of(image, scene)

        def glowing(theta: Tensor) -> Tensor:
            strength, radius, width, direction, down, right, warmth = each(theta, image)
            distance, turn = eye.distance(down, right), direction * (math.pi / 180)
            # The cosine of the angle between a pixel and the brightest direction.
            towards = ((eye.right - right) * torch.cos(turn) + (eye.down - down) * torch.sin(turn)) / distance
            light = strength * torch.exp(-(((distance - radius) / width) ** 2) / 2) * (1 + towards) / 2
            return image + scene.extent * _coloured(light, warmth, image) * eye.view

        return glowing


@dataclass(frozen=True)
class Flare(Artefact):
    """The lamp is reflected by lenses of the camera: a bright, soft disc, v + s c exp(-ln 2 (d / r)^4)."""

    name: ClassVar[str] = "flare"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter(
            "strength", "share of the range", "derived: from hardly seen to white", levels=(0.1, 0.2, 0.35, 0.5, 0.7)
        ),
        Parameter("below the middle", "heights", _PLACE, -0.4, 0.4),
        Parameter("right of the middle", "heights", _PLACE, -0.4, 0.4),
        Parameter("radius", "heights", "derived: to a third of the field of view", 0.04, 0.16),
        _WARMTH,
    )
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 1

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        eye = Eye.of(image, scene)

        def flared(theta: Tensor) -> Tensor:
            strength, down, right, radius, warmth = each(theta, image)
            light = strength * eye.soft_disc(down, right, radius)
            return image + scene.extent * _coloured(light, warmth, image) * eye.view

        return flared


def _coloured(light: Tensor, warmth: Tensor, image: Tensor) -> Tensor:
    """Light (K, height, width) in the colours of an image (C, height, width); white if it is not a colour image."""
    if len(image) != len(_COLD):
        return light[:, None]
    cold, warm = (torch.tensor(colour).to(image).reshape(-1, 1, 1) for colour in (_COLD, _WARM))
    return light[:, None] * torch.lerp(cold, warm, warmth[:, None])

"""The lamp, mirrored by wet tissue and by bubbles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.light.frame import Framed
from palpate.artefacts.light.illumination import smooth_noise
from palpate.artefacts.light.view import View, place
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

_EAD = "EAD 2019, public sample"
_SPOTS = 6
"""Highlights of a group: one large, the others small and around it."""
_FILM = 20
"""Nodes of the wet film's unevenness along each axis."""
_BUBBLES = 10
_CRITICAL = 0.75
"""From this share of its radius on, a bubble of gas reflects all light: 1 / 1.33, total reflection in water."""
_TAKEN = 0.6
"""Light that is missing behind a bubble, for each share of white in its rim."""
_LAMP, _SPOT, _GLARE = 0.45, 0.17, 3.0
"""The lamp's image in a bubble: its place along each axis and its size in radii, and its light in rims."""


@dataclass(frozen=True)
class SpecularHighlights(Artefact):
    """Wet tissue mirrors the lamp: three groups of bright, often saturated spots with uneven outlines.

        L' = L + A b sum_i exp(-q_i^2),      q_i = |M (x - p_i)|^2 exp(0.5 n) / (d_i / 2)^2

    M stretches along one direction, n is a field of unevenness, and b is the light that arrives there: a spot in the
    dark lumen stays dark. Values above white are cut, as by the sensor.
    """

    name: ClassVar[str] = "specular-highlights"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("diameter", "share of the shorter side", f"{_EAD}: boxes of `specularity` are 7 to 9 % of the frame",
                  levels=(0.02, 0.035, 0.05, 0.07, 0.09)),
        Parameter("light", "share of white", "derived: from a gloss to full saturation",
                  levels=(0.25, 0.45, 0.6, 0.8, 1.1)),
        Parameter("elongation", "", "derived: round on a bump, long on a fold", 1.0, 3.0),
        Parameter("direction", "degrees", "derived: each is equally likely", 0.0, 180.0),
        *place("first group"), *place("second group"), *place("third group"),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 1

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        view, lamp = View.of(image), Framed.of(image, scene).lamp()
        uneven = torch.exp(0.5 * smooth_noise(streams, image, _FILM).first)
        drawn = streams.uniform((3, _SPOTS, 3), image)[0].double()
        away = (drawn[..., :2] - 0.5) * 0.2
        share = 0.15 + 0.3 * drawn[..., 2]
        away[:, 0], share[:, 0] = 0.0, 1.0

        def made(theta: Tensor) -> Tensor:
            angle, stretch = theta[:, 3] * (math.pi / 180), view.column(theta[:, 2])
            cos, sin = view.column(torch.cos(angle)), view.column(torch.sin(angle))
            light = torch.zeros_like(lamp)
            for group in range(3):
                for spot in range(_SPOTS):
                    down, right = theta[:, 4 + 2 * group], theta[:, 5 + 2 * group]
                    below, beside = view.offsets(
                        down + float(away[group, spot, 0]), right + float(away[group, spot, 1])
                    )
                    area = view.column(theta[:, 0] * float(share[group, spot]) / 2) ** 2
                    # A spot finer than a pixel is spread over it.
                    spread = area + (view.pixel / 2) ** 2
                    long, wide = (cos * beside - sin * below) / stretch, sin * beside + cos * below
                    shape = torch.exp(-(((long**2 + wide**2) * uneven / spread).clamp(max=9) ** 2))
                    light = light + shape * area / spread
            gloss = view.column(theta[:, 1]) * scene.extent * lamp * light
            return image + gloss.unsqueeze(1)

        return made


@dataclass(frozen=True)
class Bubbles(Artefact):
    """Two groups of bubbles: bright rims of total reflection, the lamp's image in each, and less light through them.

    A ray that meets a bubble of gas in water farther than 1 / 1.33 = 0.75 of its radius from the middle is reflected
    (Snell's law; Marston, J. Opt. Soc. Am. 69, 1979). So with u the distance from the middle in radii:

        L' = L (1 - 0.6 A inside(u)) + A b (ring(u) + spot),      ring(u) = exp(-((u - 0.875) / 0.125)^2)
    """

    name: ClassVar[str] = "bubbles"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("diameter", "share of the shorter side",
                  f"{_EAD}: boxes of `bubbles`, with a few, are 3 to 14 % of the frame",
                  levels=(0.015, 0.02, 0.028, 0.038, 0.05)),
        Parameter("light of the rim", "share of white", f"{_EAD}: see docs/explanation/artefact_realism.md",
                  levels=(0.09, 0.12, 0.16, 0.2, 0.25)),
        Parameter("distance", "share of the shorter side", "derived: from touching to loose groups", 0.01, 0.04),
        *place("first group"), *place("second group"),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 1

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        view, dark = View.of(image), scene.bounds[0]
        lamp = Framed.of(image, scene).lamp()
        away = streams.normal((2, _BUBBLES, 2), image)[0].double()
        share = 0.3 + 0.7 * streams.uniform((2, _BUBBLES), image)[0].double() ** 2
        share[:, 0] = 1.0
        light = image - dark

        def made(theta: Tensor) -> Tensor:
            added, kept = torch.zeros_like(lamp), torch.ones_like(lamp)
            for group in range(2):
                for one in range(_BUBBLES):
                    down = theta[:, 3 + 2 * group] + theta[:, 2] * away[group, one, 0] / view.height
                    right = theta[:, 4 + 2 * group] + theta[:, 2] * away[group, one, 1] / view.width
                    radius = view.column(theta[:, 0] * share[group, one] / 2)
                    reflected, through = bubble(*view.offsets(down, right), radius, 0.4 * view.pixel)
                    added, kept = torch.maximum(added, reflected), torch.minimum(kept, 1 - through)
            rim = view.column(theta[:, 1])
            through = 1 - _TAKEN * rim * (1 - kept)
            return dark + light * through.unsqueeze(1) + (rim * scene.extent * lamp * added).unsqueeze(1)

        return made


def bubble(below: Tensor, beside: Tensor, radius: Tensor, soft: float) -> tuple[Tensor, Tensor]:
    """Light that a bubble reflects, and the share of the light behind it that it takes.

    What is finer than a pixel is spread over it and fainter, so that tiny bubbles vanish evenly.

    Args:
        below: offset from its middle downwards, (K, H, 1).
        beside: offset to the right, (K, 1, W).
        radius: (K, 1, 1), in the unit of the offsets.
        soft: a little less than half a pixel in that unit.
    """
    distance, whole = (below**2 + beside**2 + 1e-18).sqrt(), radius**2 / (radius**2 + soft**2)
    width = radius * (1 - _CRITICAL) / 2
    wide = (width**2 + soft**2).sqrt()
    ring = torch.exp(-(((distance - radius * (1 + _CRITICAL) / 2) / wide).clamp(-5, 5) ** 2)) * width / wide
    spot, spread = (_SPOT * radius) ** 2, (_SPOT * radius) ** 2 + soft**2
    away = (below + _LAMP * radius) ** 2 + (beside + _LAMP * radius) ** 2
    lamp = torch.exp(-(away / spread).clamp(max=25)) * spot / spread
    inside = torch.sigmoid(((radius - distance) / (0.05 * radius + soft / 2)).clamp(-20, 20))
    return ring * whole.sqrt() + _GLARE * lamp, inside * whole

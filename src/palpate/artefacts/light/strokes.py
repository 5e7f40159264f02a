"""Thin things on the skin: hair, ink and the ticks of a ruler."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.light.view import View, place
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

_DIRECTION = Parameter("direction", "degrees", "derived: each is equally likely", 0.0, 360.0)
_SCATTER = 0.35
"""Farthest that the middle of a stroke is from the middle of the bunch along an axis, in shorter sides."""
_TURN = 40.0
"""Standard deviation of the directions of a bunch, in degrees."""


def band(distance: Tensor, width: Tensor, soft: float) -> Tensor:
    """How much of a band is at a signed distance from its middle line, from 0 to 1, with soft edges.

    The sum across the band is its width, however thin it is.
    """
    edge = soft / 2
    return torch.sigmoid((distance + width / 2) / edge) - torch.sigmoid((distance - width / 2) / edge)


def absorbed(image: Tensor, shares: tuple[float, float, float]) -> Tensor:
    """Absorption in red, green and blue as (C, 1, 1); their mean if the image has another number of channels."""
    values = shares if image.shape[0] == 3 else (sum(shares) / 3,)
    return torch.tensor(values).to(image).reshape(-1, 1, 1)


@dataclass(frozen=True)
class _Strokes(Artefact):
    """A bunch of curved strokes, drawn when it is bound; it is shifted and turned as a whole.

    Each stroke is an arc of a parabola. The count is a whole number of strokes and a paler one: 2.3 are two and 0.3.
    """

    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 0
    most: ClassVar[int]
    reach: ClassVar[tuple[float, float]]
    """Shortest and longest stroke, in shorter sides."""
    bend: ClassVar[float]
    """Standard deviation of curvature: 1 / radius, in shorter sides."""
    colour: ClassVar[tuple[float, float, float]]
    """Share of red, green and blue that full darkness takes."""

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        view, dark = View.of(image), scene.bounds[0]
        normal = streams.normal((self.most, 4), image)[0].double()
        lengths = streams.uniform((self.most,), image)[0].double() * (self.reach[1] - self.reach[0]) + self.reach[0]
        light, colour = image - dark, absorbed(image, self.colour)

        def made(theta: Tensor) -> Tensor:
            passed = torch.ones_like(light).expand(len(theta), *light.shape)
            for number in range(self.most):
                drawn = (theta[:, 0] - number).clamp(0, 1) * theta[:, 2]
                cover = self._stroke(view, theta, normal[number], lengths[number])
                passed = passed * (1 - (view.column(drawn) * cover).unsqueeze(1) * colour)
            return dark + light * passed

        return made

    def _stroke(self, view: View, theta: Tensor, normal: Tensor, length: Tensor) -> Tensor:
        """What one stroke covers (K, H, W)."""
        turned = theta[:, 5] * (math.pi / 180)
        cos, sin = torch.cos(turned), torch.sin(turned)
        aside, below = _SCATTER * torch.tanh(normal[0]), _SCATTER * torch.tanh(normal[1])
        down = theta[:, 3] + (cos * below - sin * aside) / view.height
        right = theta[:, 4] + (cos * aside + sin * below) / view.width
        dy, dx = view.offsets(down, right)
        angle = turned - normal[2] * (_TURN * math.pi / 180)
        cos, sin = view.column(torch.cos(angle)), view.column(torch.sin(angle))
        along, across = cos * dx - sin * dy, sin * dx + cos * dy
        curve = float(self.bend * normal[3])
        distance = (across - curve * along**2 / 2) / (1 + (curve * along) ** 2).sqrt()
        soft = view.pixel
        long = band(along, torch.as_tensor(float(length)).to(along), 4 * soft)
        return band(distance, view.column(theta[:, 1]), soft) * long


@dataclass(frozen=True)
class Hair(_Strokes):
    """Dark hairs on the skin: L' = L prod_i (1 - darkness cover_i). Each is an arc with soft edges."""

    name: ClassVar[str] = "hair"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("count", "", "derived: from a few hairs to a hairy skin", levels=(2.0, 4.0, 6.0, 9.0, 12.0)),
        Parameter("width", "share of the shorter side", "derived: hair of 0.04 to 0.12 mm in a view of 12 mm",
                  0.0035, 0.01),
        Parameter("darkness", "", "derived: blond to black", 0.6, 0.95),
        *place("middle of the hairs", 0.3, 0.7),
        _DIRECTION,
    )  # fmt: skip
    most: ClassVar[int] = 12
    reach: ClassVar[tuple[float, float]] = (0.4, 1.2)
    bend: ClassVar[float] = 0.8
    colour: ClassVar[tuple[float, float, float]] = (0.93, 0.97, 1.0)


@dataclass(frozen=True)
class Ink(_Strokes):
    """Marks of a surgical pen (gentian violet, which takes green and yellow light most)."""

    name: ClassVar[str] = "ink"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("count", "", "MedMNIST-C, registry: 1 to 6 marks", levels=(1.0, 2.0, 3.0, 4.0, 6.0)),
        Parameter("width", "share of the shorter side", "derived: a pen of 0.5 to 1 mm in a view of 25 mm", 0.02, 0.04),
        Parameter("darkness", "", "derived: one stroke to several over each other", 0.5, 0.95),
        *place("middle of the marks", 0.3, 0.7),
        _DIRECTION,
    )
    most: ClassVar[int] = 6
    reach: ClassVar[tuple[float, float]] = (0.08, 0.3)
    bend: ClassVar[float] = 3.0
    colour: ClassVar[tuple[float, float, float]] = (0.75, 0.9, 0.5)

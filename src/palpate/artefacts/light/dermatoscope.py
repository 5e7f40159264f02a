"""What the dermatoscope itself shows: its round opening and its scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.light.strokes import band
from palpate.artefacts.light.view import View, place
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

_LINE, _TICK, _LONG_TICK = 0.006, 0.03, 0.05
"""Width of a line and length of ticks, in shorter sides."""


@dataclass(frozen=True)
class DarkCorner(Artefact):
    """The round opening of the dermatoscope: black from a radius on, with a soft edge outwards.

    The radius is a share of the distance from the middle to the farthest corner, so that 1 darkens nothing. In a
    square, 0.78 to 0.64 of it are the 1.10 to 0.90 of half a side of MedMNIST-C.
    """

    name: ClassVar[str] = "dark-corner"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("radius", "share of the way to the corner", "MedMNIST-C, registry: 1.10 to 0.90 of half a side",
                  levels=(0.778, 0.742, 0.707, 0.672, 0.636), null=1.0),
        Parameter("soft edge", "share of the way to the corner", "derived: a sharp to a blurred opening", 0.01, 0.08),
        *place("middle", 0.4, 0.6),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        view, dark = View.of(image), scene.bounds[0]

        def made(theta: Tensor) -> Tensor:
            down, right = ((half - 0.5).abs() + 0.5 for half in (theta[:, 2], theta[:, 3]))
            corner = view.column(((down * view.height) ** 2 + (right * view.width) ** 2).sqrt())
            beyond = view.distance(theta[:, 2], theta[:, 3]) / corner - view.column(theta[:, 0])
            share = (beyond / view.column(theta[:, 1])).clamp(0, 1)
            return dark + (image - dark) * (1 - share**2 * (3 - 2 * share)).unsqueeze(1)

        return made


@dataclass(frozen=True)
class Ruler(Artefact):
    """A scale in the view: a dark line with ticks, each fifth of them longer."""

    name: ClassVar[str] = "ruler"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("length", "share of the shorter side", "derived: from a corner of it to the whole view",
                  levels=(0.2, 0.35, 0.5, 0.7, 0.95)),
        Parameter("distance of ticks", "share of the shorter side", "derived: 1 mm in a view of 15 to 30 mm",
                  0.033, 0.066),
        Parameter("darkness", "", "derived: printed to engraved", 0.6, 0.95),
        *place("middle", 0.15, 0.85),
        Parameter("direction", "degrees", "derived: each is equally likely", 0.0, 360.0),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 0

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        view, dark = View.of(image), scene.bounds[0]
        soft = view.pixel

        def made(theta: Tensor) -> Tensor:
            dy, dx = view.offsets(theta[:, 3], theta[:, 4])
            angle = theta[:, 5] * (math.pi / 180)
            cos, sin = view.column(torch.cos(angle)), view.column(torch.sin(angle))
            along, across = cos * dx - sin * dy, sin * dx + cos * dy
            ticks = _ticks(along, across, view.column(theta[:, 1]), soft)
            line = band(across, torch.full_like(across[:1, :1, :1], _LINE), soft)
            cover = torch.maximum(line, ticks) * band(along, view.column(theta[:, 0]), soft)
            return dark + (image - dark) * (1 - view.column(theta[:, 2]) * cover).unsqueeze(1)

        return made


def _ticks(along: Tensor, across: Tensor, distance: Tensor, soft: float) -> Tensor:
    """Ticks on one side of the line."""
    number = (along / distance).detach().round()
    length = torch.where(number % 5 == 0, _LONG_TICK, _TICK)
    return band(along - number * distance, torch.full_like(distance, _LINE), soft) * band(
        across - length / 2, length, soft
    )

"""What is in the way of the light: dust, lashes, and a pupil that is too small."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.fundus.eye import Eye, each
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

__all__ = ["Dust", "Eyelash", "SmallPupil"]

_COFE = "Shen et al., Modeling and Enhancing Low-Quality Retinal Fundus Images, IEEE TMI 40 (2021), cofe-Net"
_FEWEST, _MOST = 5, 10
_LASHES = 12
_GREY = 0.8
"""Light that dust scatters, as a share of the range."""


@dataclass(frozen=True)
class Dust(Artefact):
    """Dust on the lens: soft spots that stop the light, or scatter the lamp, v + (1 - t) (c - v).

    t is the product of 1 - s exp(-ln 2 (d / r)^4) over all spots, and c is black or light grey. Places in the field of
    view are drawn, and turn together about its middle. A spot is .6 to 1 times as large as `size`.
    """

    name: ClassVar[str] = "dust"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("opacity", "share of the light", "derived: from a shade to nearly opaque",
                  levels=(0.15, 0.3, 0.45, 0.65, 0.85)),
        Parameter("size", "heights", f"{_COFE}: diameters of 1 to 5 % of the height", 0.01, 0.05),
        Parameter("turn", "degrees", "derived: dust can be anywhere", 0.0, 360.0),
        Parameter("spots", "", f"{_COFE}: 5 to 10", choices=tuple(str(n) for n in range(_FEWEST, _MOST + 1))),
        Parameter("shows", "", f"{_COFE}: bright ones; dark ones derived", choices=("dark", "bright")),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        eye = Eye.of(image, scene)
        apart, angle, part = streams.uniform((3, _MOST), image)[0]
        apart, angle, part = 0.45 * apart.sqrt(), angle * 2 * math.pi, 0.6 + 0.4 * part

        def dusty(theta: Tensor) -> Tensor:
            opacity, size, turn, spots, shows = each(theta, image)
            passed = torch.ones((), dtype=image.dtype, device=image.device)
            for number in range(_MOST):
                way = angle[number] + turn * (math.pi / 180)
                places = apart[number] * torch.sin(way), apart[number] * torch.cos(way)
                there = (number < _FEWEST + spots.detach().floor()).to(image)
                passed = passed * (1 - there * opacity * eye.soft_disc(*places, size / 2 * part[number]))
            colour = scene.bounds[0] + scene.extent * _GREY * (shows.detach() >= 1)
            return image + ((1 - passed) * eye.view)[:, None] * (colour[:, None] - image)

        return dusty


@dataclass(frozen=True)
class SmallPupil(Artefact):
    """The pupil is too small: only a round hole is lit, and what is outside of it keeps a twentieth of the light.

    Over the width of the soft edge, which begins at the hole, light falls as a sigmoid. Between diameters of .8 and .7
    of the width the outside becomes dark.
    """

    name: ClassVar[str] = "small-pupil"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("diameter", "share of the width", f"{_COFE}: holes of 40 to 70 % of the width",
                  levels=(0.7, 0.625, 0.55, 0.475, 0.4), null=0.8),
        Parameter("edge", "heights", "derived: sharp to very soft", 0.02, 0.1),
        Parameter("below the middle", "heights", "derived: a camera that is a little off", -0.1, 0.1),
        Parameter("right of the middle", "heights", "derived: a camera that is a little off", -0.1, 0.1),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 0

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        eye = Eye.of(image, scene)

        def narrow(theta: Tensor) -> Tensor:
            diameter, edge, down, right = each(theta, image)
            beyond = eye.distance(down, right) - diameter / 2 * eye.wide
            dark = 0.95 * ((0.8 - diameter) / 0.1).clamp(0, 1) * torch.sigmoid(beyond / (edge / 6) - 3)
            return image - dark[:, None] * (image - scene.bounds[0])

        return narrow


@dataclass(frozen=True)
class Eyelash(Artefact):
    """Lashes in front of the upper part: dark, soft, bent strokes from above, v times the product of 1 - s q.

    The middle of a stroke at the depth v below the top of the field of view is x + t v + b v^2, and q is normal across
    it, narrower towards the tip, and 0 from its length on. Roots x, bends b and lengths are drawn around the
    parameters.
    """

    name: ClassVar[str] = "eyelash"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("opacity", "share of the light", "derived: lashes are far out of focus, so they are not black",
                  levels=(0.15, 0.3, 0.45, 0.6, 0.8)),
        Parameter("right of the middle", "heights", "derived: they can be anywhere above", -0.3, 0.3),
        Parameter("length", "heights", "derived: at most to the middle", 0.25, 0.55),
        Parameter("lean", "", "derived: to both sides; right over down", -0.5, 0.5),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 0

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        eye = Eye.of(image, scene)
        rows = (eye.view[0].amax(1) > 0).nonzero().flatten()
        below = eye.down - eye.down[int(rows[0]) if len(rows) else 0]
        # Rows that the longest lash does not reach stay as they are.
        upper = int((below < self.parameters[2].high).sum())
        below, rest = below[:upper], image.shape[1] - upper
        root, bend, part, broad = streams.uniform((4, _LASHES), image)[0]
        # Roots are spread over six tenths of the height, and lashes fan out.
        root = 0.6 * ((torch.arange(_LASHES).to(image) + root) / _LASHES - 0.5)
        bend, part, broad = 2 * bend - 1, 0.5 + 0.5 * part, 0.003 + 0.004 * broad

        def lashed(theta: Tensor) -> Tensor:
            opacity, place, length, lean = each(theta, image)
            passed = torch.ones((), dtype=image.dtype, device=image.device)
            for number in range(_LASHES):
                along = below / (length * part[number])
                middle = place + root[number] + (lean + root[number]) * below + bend[number] * below**2
                across = (eye.right - middle) / (broad[number] * (1 - 0.7 * along.clamp(0, 1)))
                passed = passed * (1 - opacity * ((1 - along) / 0.2).clamp(0, 1) * torch.exp(-(across**2) / 2))
            passed = F.pad(passed, (0, 0, 0, rest), value=1.0)
            return image + (passed - 1)[:, None] * (image - scene.bounds[0])

        return lashed

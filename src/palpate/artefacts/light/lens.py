"""What lies on the front lens: particles that stop light, and droplets that bend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.light.frame import Framed
from palpate.artefacts.light.spectrum import Spectrum, disc
from palpate.artefacts.light.view import View, blurred_disc, place
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

_GU = "Gu, Ramamoorthi, Belhumeur, Nayar, Removing Image Artifacts Due to Dirty Camera Lenses, ACM TOG 28(5), 2009"
_EAD = "EAD 2019, public sample: boxes of `artifact` are 4 to 37 % of the frame"
_OPACITY = f"derived: from a film to nearly black; the model is that of {_GU}"
_APERTURE = "derived: an aperture of 0.1 to 0.4 mm before a front lens of 2 mm, seen from the lens"
_SIZES = (1.0, 0.7, 0.5)
"""Diameters of the three, in shares of the largest."""
_DIAMETER = Parameter("diameter", "share of the shorter side", _EAD, levels=(0.06, 0.1, 0.15, 0.22, 0.3))


def _covers(view: View, theta: Tensor, first: int, diameter: Tensor, blur: Tensor) -> list[Tensor]:
    """What each of the three covers of each pixel, (K, H, W) from 0 to 1; positions from column `first` on."""
    return [
        blurred_disc(
            view.distance(theta[:, first + 2 * number], theta[:, first + 2 * number + 1]),
            view.column(diameter * size / 2),
            view.column(blur / 2),
        )
        for number, size in enumerate(_SIZES)
    ]


@dataclass(frozen=True)
class LensParticles(Artefact):
    """Three particles on the front lens, far out of focus: they stop light and scatter a little of it.

    With the clean light L and what particle i covers, c_i (a disc convolved with the blur disc of the aperture):

        T = (1 - o c_1) (1 - o c_2) (1 - o c_3),      L' = L T + s mean(L) (1 - T)

    o is the opacity, s how much of the mean light of the view is scattered into the camera where light is stopped.
    The model is that of Gu, Ramamoorthi, Belhumeur, Nayar (ACM TOG 2009). The smaller two have 0.7 and 0.5 of the
    diameter of the largest.
    """

    name: ClassVar[str] = "lens-particles"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        _DIAMETER,
        Parameter("opacity", "", _OPACITY, levels=(0.3, 0.5, 0.65, 0.8, 0.95)),
        Parameter("blur disc", "share of the shorter side", _APERTURE, 0.05, 0.2),
        Parameter("scattered light", "share of the mean", f"derived: dirt is darker than the scene; {_GU}", 0.0, 0.5),
        *place("largest"), *place("middle one"), *place("smallest"),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        view, dark, framed = View.of(image), scene.bounds[0], Framed.of(image, scene)
        light = image - dark
        # Light that is scattered ends at the black frame, as the view does.
        mean = light.mean((-2, -1), keepdim=True) * framed.inside

        def made(theta: Tensor) -> Tensor:
            opacity = view.column(theta[:, 1])
            transmission = torch.ones_like(light[:1])
            for cover in _covers(view, theta, 4, theta[:, 0], theta[:, 2]):
                transmission = transmission * (1 - opacity * cover)
            passed = transmission.unsqueeze(1)
            scattered = view.column(theta[:, 3]).unsqueeze(1) * mean
            return dark + light * passed + scattered * (1 - passed)

        return made


@dataclass(frozen=True)
class Droplets(Artefact):
    """Three drops on the front lens: behind them the image is out of focus, a little larger, with a bright rim.

    With the image out of focus B (convolved with a disc), what drop i covers c_i, and its middle p_i:

        I'(x) = (1 - c) I(x) + c B(x - sum_i c_i (1 - 1/m) (x - p_i)) (1 + 2 rim c (1 - c)),      c = max(c_i)

    Pixels move by less than 2 % of the shorter side, so masks and boxes stay.
    """

    name: ClassVar[str] = "droplets"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        _DIAMETER,
        Parameter("defocus", "share of the shorter side", "derived: a drop takes the focus away from the tissue",
                  levels=(0.02, 0.035, 0.05, 0.07, 0.09)),
        Parameter("rim", "", "derived: a rim reflects and bends light of the lamp into the camera", 0.1, 0.5),
        Parameter("magnification", "", "derived: a weak lens; more would need a drop of the size of the lens",
                  1.0, 1.15),
        *place("largest"), *place("middle one"), *place("smallest"),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        view, framed = View.of(image), Framed.of(image, scene)
        spectrum = Spectrum.of(framed.planes(), self.parameters[1].high * view.side)

        def made(theta: Tensor) -> Tensor:
            edge = torch.full_like(theta[:, 0], _DROP_EDGE)
            covers = _covers(view, theta, 4, theta[:, 0], edge)
            blurred = framed.joined(spectrum.filtered(disc(spectrum, theta[:, 1].detach() * view.side)))
            grid = _bent(view, theta, covers)
            bent = F.grid_sample(blurred - framed.dark, grid, padding_mode="border", align_corners=False)
            cover = torch.stack(covers).amax(0).unsqueeze(1)
            rim = 1 + 2 * view.column(theta[:, 2]).unsqueeze(1) * cover * (1 - cover)
            return image + cover * (bent * rim - (image - framed.dark))

        return made


_DROP_EDGE = 0.05
"""Diameter of the blur disc of a drop's edge, in shorter sides."""


def _bent(view: View, theta: Tensor, covers: list[Tensor]) -> Tensor:
    """Where each pixel is taken from (K, H, W, 2): nearer to the middle of the drop that covers it."""
    right, down = view.right.expand_as(covers[0]), view.down.expand_as(covers[0])
    shrink = view.column(1 - 1 / theta[:, 3])
    for number, cover in enumerate(covers):
        below, beside = view.offsets(theta[:, 4 + 2 * number], theta[:, 5 + 2 * number])
        right, down = right - cover * shrink * beside, down - cover * shrink * below
    return torch.stack([right * (2 / view.width) - 1, down * (2 / view.height) - 1], -1)

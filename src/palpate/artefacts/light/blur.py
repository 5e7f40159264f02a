"""A camera out of focus, and a camera that moves: during an exposure, or from colour to colour."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Needs, Scene
from palpate.artefacts.light.frame import Framed
from palpate.artefacts.light.spectrum import Spectrum, disc, line
from palpate.artefacts.light.view import View
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

_DEFOCUS = (
    "MedMNIST-C, registry: discs of radius 2 to 8 of 224 pixels; cofe-Net: sigma of 5 to 15 of 512 (a disc's is d/4)"
)
_MOTION = "MedMNIST-C, registry: half a Gaussian of sigma 3 to 15, cut at 3 to 20 of 224 pixels; lines of equal spread"


@dataclass(frozen=True)
class Defocus(Artefact):
    """Out of focus: each point becomes an even disc, the image of the aperture (geometrical optics).

    Computed as a product with the disc's transfer function 2 J1(pi d f) / (pi d f), so that any diameter is exact;
    the image is continued by reflection, and a black frame stays sharp.
    """

    name: ClassVar[str] = "defocus"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("diameter", "share of the width", _DEFOCUS, levels=(0.006, 0.012, 0.02, 0.035, 0.05)),
    )
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    gradient: ClassVar[bool] = False

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        width = image.shape[-1]
        framed = Framed.of(image, scene)
        spectrum = Spectrum.of(framed.planes(), self.parameters[0].high * width)
        return lambda theta: framed.joined(spectrum.filtered(disc(spectrum, theta[:, 0] * width)))


@dataclass(frozen=True)
class MotionBlur(Artefact):
    """The camera or the patient moves evenly during the exposure: each point becomes an even line.

    Computed as a product with the line's transfer function sin(x) / x, x = pi l (f.u), u the direction; a black
    frame stays sharp.
    """

    name: ClassVar[str] = "motion-blur"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("length", "share of the width", _MOTION, levels=(0.02, 0.045, 0.07, 0.1, 0.13)),
        Parameter("direction", "degrees", "derived: each is equally likely; 0 is to the right, 90 up", 0.0, 180.0),
    )
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 0

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        width = image.shape[-1]
        framed = Framed.of(image, scene)
        spectrum = Spectrum.of(framed.planes(), self.parameters[0].high * width)
        return lambda theta: framed.joined(spectrum.filtered(line(spectrum, theta[:, 0] * width, theta[:, 1])))


@dataclass(frozen=True)
class SequentialColour(Artefact):
    """Red, green and blue light one after the other, and the camera moves in between: colours do not meet.

    Endoscopes with a colour wheel take three pictures. Green stays, red comes a step before and blue a step after it:
    red(x + s u), green(x), blue(x - s u), u the direction. Anatomy is where green shows it, so masks stay.
    """

    name: ClassVar[str] = "sequential-colour"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("step", "share of the width", "EAD 2019, public sample: channels are up to 9 of 512 pixels apart in "
                  "boxes of `artifact`, by correlation", levels=(0.003, 0.006, 0.01, 0.014, 0.018)),
        Parameter("direction", "degrees", "derived: each is equally likely; 0 is to the right, 90 up", 0.0, 360.0),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    needs: ClassVar[Needs] = frozenset({"colour"})
    stage: ClassVar[int] = 0

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        view = View.of(image)
        channels = [Framed.of(image, scene).channel(number) for number in range(3)]

        def shifted(channel: Framed, right: Tensor, down: Tensor) -> Tensor:
            beside = (view.right + view.column(right)).expand(len(right), *image.shape[1:]) * (2 / view.width) - 1
            below = (view.down + view.column(down)).expand(len(down), *image.shape[1:]) * (2 / view.height) - 1
            whole = channel.planes().expand(len(right), 2, *image.shape[1:])
            grid = torch.stack([beside, below], -1)
            sampled = F.grid_sample(whole, grid, mode="bilinear", padding_mode="border", align_corners=False)
            return channel.joined(sampled)

        def made(theta: Tensor) -> Tensor:
            angle, step = theta[:, 1] * (math.pi / 180), theta[:, 0] * view.width
            right, down = step * torch.cos(angle), -step * torch.sin(angle)
            green = image[1].expand(len(theta), 1, *image.shape[1:])
            return torch.cat([shifted(channels[0], right, down), green, shifted(channels[2], -right, -down)], 1)

        return made

"""A camera out of focus, and a camera that moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.light.spectrum import Spectrum, disc, line
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
    the image is continued by reflection.
    """

    name: ClassVar[str] = "defocus"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("diameter", "share of the width", _DEFOCUS, levels=(0.01, 0.02, 0.035, 0.05, 0.07)),
    )
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    gradient: ClassVar[bool] = False

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        width = image.shape[-1]
        spectrum = Spectrum.of(image, self.parameters[0].high * width)
        return lambda theta: spectrum.filtered(disc(spectrum, theta[:, 0] * width))


@dataclass(frozen=True)
class MotionBlur(Artefact):
    """The camera or the patient moves evenly during the exposure: each point becomes an even line.

    Computed as a product with the line's transfer function sin(x) / x, x = pi l (f.u), u the direction.
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
        spectrum = Spectrum.of(image, self.parameters[0].high * width)
        return lambda theta: spectrum.filtered(line(spectrum, theta[:, 0] * width, theta[:, 1]))

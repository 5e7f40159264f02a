"""How much radiation reaches the detector, and how its values are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.fields import REALISATION, Noise, column
from palpate.artefacts.parameter import Parameter
from palpate.artefacts.separable import blurred
from palpate.streams import Streams

__all__ = ["Exposure", "Gamma", "QuantumNoise", "XRayBlur"]

_MEDMNISTC = "Di Salvo et al., MedMNIST-C, arXiv:2406.17536, registry"
_BLUR = "CT-DEGRADBENCH: .8 to 2.5 pixels for detectors of CT"


@dataclass(frozen=True)
class Exposure(Artefact):
    """Too much or too little exposure that the display does not undo: b v, in shares of the range."""

    name: ClassVar[str] = "exposure"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("factor", "", f"{_MEDMNISTC}: brightness .5 to 1.5", levels=(1.1, 1.2, 1.3, 1.4, 1.5), null=1.0,
                  signed=True),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 1

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        return lambda theta: image + (column(theta[:, 0], image) - 1) * (image - scene.bounds[0])


@dataclass(frozen=True)
class Gamma(Artefact):
    """Another characteristic curve of detector or display: v^g, in shares of the range."""

    name: ClassVar[str] = "gamma"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("exponent", "", f"{_MEDMNISTC}: gamma .4 to 1.6", levels=(1.12, 1.24, 1.36, 1.48, 1.6), null=1.0,
                  signed=True),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 3

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        share = ((image - scene.bounds[0]) / scene.extent).clamp(0, 1)
        return lambda theta: scene.bounds[0] + scene.extent * share ** column(theta[:, 0], image)


@dataclass(frozen=True)
class QuantumNoise(Artefact):
    """Few photons: the variance of a value is proportional to it.

    v + s sqrt(v) n with standard normal n. A white pixel of N photons has s = 1 / sqrt(N): the normal approximation of
    Poisson noise. Source: Hendrycks, Dietterich, Benchmarking Neural Network Robustness, ICLR 2019 (shot noise).
    """

    name: ClassVar[str] = "quantum-noise"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("noise of white", "share of the range", f"{_MEDMNISTC}: 300 to 80 photons for "
                  "pneumonia, 60 to 5 for chest; here 400 to 20", levels=(0.05, 0.08, 0.11, 0.16, 0.22)),
        REALISATION,
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        root = ((image - scene.bounds[0]) / scene.extent).clamp(min=0).sqrt() * scene.extent
        noise = Noise.drawn(streams, image.shape[1:], image)
        return lambda theta: image + column(theta[:, 0], image) * root * noise.at(theta[:, 1])[:, None]


@dataclass(frozen=True)
class XRayBlur(Artefact):
    """Light spreads in the scintillator, and the focal spot is not a point: normal blur of some pixels."""

    name: ClassVar[str] = "x-ray-blur"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("standard deviation", "pixels", _BLUR, levels=(0.6, 0.9, 1.3, 1.8, 2.5)),
    )
    dimensions: ClassVar[tuple[int, ...]] = (2,)

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        return lambda theta: blurred(image, theta[:, 0])

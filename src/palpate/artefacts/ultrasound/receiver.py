"""What the receiver does: echoes of many small scatterers interfere, and they are amplified too much or too little."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.fields import REALISATION, Noise, column
from palpate.artefacts.parameter import Parameter
from palpate.artefacts.separable import gaussian
from palpate.streams import Streams

__all__ = ["Gain", "Speckle"]

_MEAN = math.sqrt(math.pi / 2)
_LATERAL = 2.0
"""Grains are this many times as wide as they are high: beams are wider than pulses are long."""
_DECIBELS = 60.0
"""Range of echoes that a display shows, from black to white."""
_FADE = 0.05


@dataclass(frozen=True)
class Speckle(Artefact):
    """Echoes of many small scatterers interfere: multiplicative Rayleigh noise with grains, before the display.

    Echoes are multiplied by 1 - s + s m. m = |z| / E|z|, where z is complex normal noise that is blurred by the grain,
    twice as much across as along the beams. At s = 1 the mean of m is 1.91 standard deviations. A value is the
    logarithm of the echo over 60 dB, so 20 log10(1 - s + s m) / 60 is added to it; black stays black. Source: Wagner,
    Smith, Sandrik, Lopez, Statistics of speckle in ultrasound B-scans, IEEE Transactions on Sonics and Ultrasonics 30
    (1983) 156.
    """

    name: ClassVar[str] = "speckle"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("strength", "share of full speckle", "derived: to full speckle", levels=(0.2, 0.4, 0.6, 0.8, 1.0)),
        Parameter("grain", "share of the height", "derived: pulses of .3 to 1 mm at depths of 10 cm", 0.002, 0.01),
        REALISATION,
    )
    dimensions: ClassVar[tuple[int, ...]] = (2,)

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        size = tuple(image.shape[1:])
        channels = [Noise.drawn(streams, (1, *size), image) for _ in range(2)]

        def speckled(theta: Tensor) -> Tensor:
            grain = theta[:, 1] * size[0]
            down, right = _unit(gaussian(size[0], grain)), _unit(gaussian(size[1], grain * _LATERAL))
            down, right = (one.to(image)[:, None] for one in (down, right))
            z = torch.complex(*(down @ one.at(theta[:, 2]) @ right.mT for one in channels))
            echo = 1 + column(theta[:, 0], image) * (z.abs() / _MEAN - 1)
            return image + _displayed(echo) * _seen(image, scene) * scene.extent

        return speckled


def _displayed(echo: Tensor) -> Tensor:
    """How much brighter an echo is shown that is so many times as large, in shares of the range."""
    return 20 * torch.log10(echo.clamp(min=10 ** (-_DECIBELS / 20))) / _DECIBELS


def _seen(image: Tensor, scene: Scene) -> Tensor:
    """0 where an image is black, as its echo is not known, and 1 from a twentieth of the range on."""
    return ((image - scene.bounds[0]) / (scene.extent * _FADE)).clamp(0, 1)


def _unit(matrices: Tensor) -> Tensor:
    """Rows of length 1: normal noise keeps its variance."""
    return matrices / matrices.square().sum(2, keepdim=True).sqrt()


@dataclass(frozen=True)
class Gain(Artefact):
    """The amplifier is set too high or too low: v + g / 60 dB, as values are the logarithm of echoes over 60 dB.

    Black is below the range and stays black; values up to .05 move by a share. Source: Szabo, Diagnostic Ultrasound
    Imaging, 2014 (logarithmic compression).
    """

    name: ClassVar[str] = "gain"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter(
            "gain", "dB", "derived: a fifth of the range of 60 dB", levels=(2.0, 4.0, 6.0, 9.0, 12.0), signed=True
        ),
    )
    dimensions: ClassVar[tuple[int, ...]] = (2,)

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        seen = _seen(image, scene)
        return lambda theta: image + column(theta[:, 0], image) * seen * (scene.extent / _DECIBELS)

"""The receiving coils: their uneven field, and the noise of their two channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.fields import REALISATION, Noise, column
from palpate.artefacts.mr.signal import Signal
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

__all__ = ["BiasField", "RicianNoise"]

_ORDER = 3
_TERMS = tuple((total - up, up) for total in range(1, _ORDER + 1) for up in range(total + 1))
"""Powers of (right, down) of the polynomial, without the constant."""
_BIAS = "TorchIO, RandomBiasField: order 3, +-.5; Chen et al., AdvChain, Medical Image Analysis 2022: within .3"
_SHAPE = "derived: any polynomial of order 3 is as likely"
_RICIAN = "derived: a signal-to-noise ratio of 50 to 5"


@dataclass(frozen=True)
class BiasField(Artefact):
    """The coils receive more from one side than from another: a smooth, positive gain.

    y = x exp(g q(u, v) / max |q|), with a polynomial q of order 3 without constant, u to the right and v down from -1
    to 1. So the logarithm of the gain reaches g. In volumes the field leans: u + a w and v + b w replace u and v, with
    the third coordinate w and slopes that are drawn. Source: Van Leemput, Maes, Vandermeulen, Suetens, Automated
    model-based bias field correction of MR images of the brain, IEEE Transactions on Medical Imaging 18 (1999) 885.
    """

    name: ClassVar[str] = "bias-field"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("largest log gain", "", _BIAS, levels=(0.1, 0.2, 0.3, 0.4, 0.5)),
        *(Parameter(f"share of right^{across} down^{up}", "", _SHAPE, -1.0, 1.0) for across, up in _TERMS),
    )
    stage: ClassVar[int] = 1

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        signal = Signal.of(image)
        right, down, *through = _coordinates(image)
        slopes = streams.uniform((2,), image)[0] * 2 - 1
        for depth in through:
            right = (right + slopes[0] * depth) / (1 + slopes[0].abs())
            down = (down + slopes[1] * depth) / (1 + slopes[1].abs())
        terms = torch.stack([(right**across * down**up).expand(image.shape[1:]) for across, up in _TERMS])

        def uneven(theta: Tensor) -> Tensor:
            shape = torch.tensordot(theta[:, 1:].to(image), terms, 1)
            largest = shape.flatten(1).abs().amax(1).clamp(min=1e-6)
            field = column(theta[:, 0], image) * (shape / largest.reshape(-1, *([1] * (shape.ndim - 1))))[:, None]
            return image + signal.values * torch.expm1(field)

        return uneven


def _coordinates(image: Tensor) -> list[Tensor]:
    """From -1 to 1 along each spatial axis, the last one first; each broadcasts over `spatial`."""
    axes = image.ndim - 1
    found = []
    for axis in range(-1, -1 - axes, -1):
        form = [1] * axes
        form[axis] = size = image.shape[axis]
        place = torch.arange(size, dtype=image.dtype, device=image.device)
        found.append((2 * place / max(1, size - 1) - 1).reshape(form))
    return found


@dataclass(frozen=True)
class RicianNoise(Artefact):
    """Normal noise of standard deviation s in the real and the imaginary channel: y = |x + s (n1 + i n2)|.

    In air this is a Rayleigh distribution with the mean s sqrt(pi / 2). s is in shares of the 99th percentile of the
    signal. Source: Gudbjartsson, Patz, The Rician distribution of noisy MRI data, Magnetic Resonance in Medicine 34
    (1995) 910.
    """

    name: ClassVar[str] = "rician-noise"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("standard deviation", "share of the signal", _RICIAN, levels=(0.02, 0.05, 0.1, 0.15, 0.2)),
        REALISATION,
    )

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        signal = Signal.of(image)
        # A grey image that is stored in colours has the same noise in each of them.
        grey = bool((image == image[:1]).all())
        shape = image[:1].shape if grey else image.shape
        real, imaginary = (Noise.drawn(streams, shape, image) for _ in range(2))

        def noisy(theta: Tensor) -> Tensor:
            size = column(theta[:, 0], image) * signal.scale
            return signal.magnitude(torch.complex(size * real.at(theta[:, 1]), size * imaginary.at(theta[:, 1])))

        return noisy

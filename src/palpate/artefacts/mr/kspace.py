"""Faults of k-space: lines of changed size, spikes, and missing high frequencies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.fields import column
from palpate.artefacts.mr.signal import PHASE_AXIS, Signal, along, along_axis, lines
from palpate.artefacts.parameter import Parameter
from palpate.artefacts.waves import waves
from palpate.streams import Streams

__all__ = ["Ghosting", "Gibbs", "Spikes"]

_GHOSTS = "TorchIO, RandomGhosting: 4 to 10 ghosts of strength .5 to 1"
_SPIKES = (
    "TorchIO, RandomSpike: one spike of 1 to 3 times the zero frequency; at 1 little else is seen, so it is the top"
)
_GIBBS = "MONAI, GibbsNoise: alpha 0 to 1; levels derived: down to a fifth of the lines"


@dataclass(frozen=True)
class Ghosting(Artefact):
    """Every n-th line of k-space is weaker by a share s, as breath or pulse do: n - 1 ghosts, N / n pixels apart.

    y = |F^-1 (1 - s c) F x| with c = 1 at the lines k = o, o + n, o + 2 n, ... along the phase axis, except at k = 0:
    the mean of the image stays. Source: Axel, Summers, Kressel, Charles, Respiratory effects in two-dimensional Fourier
    transform MR imaging, Radiology 160 (1986) 795.
    """

    name: ClassVar[str] = "ghosting"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("strength", "share of each n-th line", _GHOSTS, levels=(0.2, 0.4, 0.6, 0.8, 1.0)),
        Parameter("ghosts", "", _GHOSTS, choices=("4", "5", "6", "7", "8", "9", "10")),
        Parameter("first line", "share of the period", "derived: any line can be the first"),
        PHASE_AXIS,
    )
    gradient: ClassVar[bool] = False
    stage: ClassVar[int] = 0

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        signal = Signal.of(image)
        spectra = {axis: torch.fft.fft(signal.values, dim=axis) for axis in (-2, -1)}

        def ghosts(theta: Tensor) -> Tensor:
            def made(rows: Tensor, axis: int) -> Tensor:
                spectrum = spectra[axis]
                numbers = lines(spectrum.shape[axis], theta)
                period = 4 + theta[rows, 1].detach().floor().clamp(0, 6)[:, None]
                first = (theta[rows, 2].detach()[:, None] * period).floor().clamp(max=period - 1)
                weaker = (numbers.remainder(period) == first) & (numbers != 0)
                weights = theta[rows, 0][:, None] * weaker
                change = spectrum * along(weights.to(signal.values), axis, spectrum.ndim + 1)
                return signal.magnitude(-torch.fft.ifft(change, dim=axis))

            return along_axis(theta[:, 3], (-2, -1), made)

        return ghosts


@dataclass(frozen=True)
class Spikes(Artefact):
    """A spike in k-space, as an electric discharge makes: stripes over the whole image.

    y = x + a m cos(2 pi f (u cos b + v sin b) + p), with the mean signal m, the frequency f in cycles per pixel, the
    angle b, pixels u to the right and v down. The spike and its conjugate partner, so that stripes are real. In volumes
    all slices have the same stripes. Source: Foo, Grigsby, Mitchell, Slayman, SNORE: spike noise removal and detection,
    IEEE Transactions on Medical Imaging 13 (1994) 133.
    """

    name: ClassVar[str] = "spikes"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("size", "times the zero frequency", _SPIKES, levels=(0.1, 0.2, 0.4, 0.7, 1.0)),
        Parameter("frequency", "cycles per pixel", "derived: from long waves to the highest frequency", 0.03, 0.5),
        Parameter("angle", "degrees", "derived: a spike can be anywhere in k-space", 0.0, 180.0),
        Parameter("phase", "degrees", "derived: a spike can have any phase", 0.0, 360.0),
    )

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        signal = Signal.of(image)
        mean = signal.values.flatten(1).mean(1).reshape(signal.air.shape)

        def striped(theta: Tensor) -> Tensor:
            flat = waves(tuple(image.shape[-2:]), theta[:, 1], theta[:, 2], theta[:, 3]).to(image)
            flat = flat.reshape(len(theta), *([1] * (image.ndim - 2)), *image.shape[-2:])
            return image + column(theta[:, 0], image) * mean * flat

        return striped


@dataclass(frozen=True)
class Gibbs(Artefact):
    """Only the centre of k-space is measured: edges ring, and fine detail is gone.

    y = |F^-1 T F x|; T is 1 at the lines |k| <= (1 - a) N / 2 of an axis and 0 beyond, and falls within one line. Near
    a step the first overshoot is about 9 %. Source: Gottlieb, Shu, On the Gibbs phenomenon and its resolution, SIAM
    Review 39 (1997) 644.
    """

    name: ClassVar[str] = "gibbs"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("missing", "share of the lines", _GIBBS, levels=(0.3, 0.45, 0.6, 0.7, 0.8)),
        Parameter("axis", "", "derived: along the phase axis, or along both", choices=("down", "across", "both")),
    )
    gradient: ClassVar[bool] = False
    stage: ClassVar[int] = 3

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        signal = Signal.of(image)
        spectrum = torch.fft.fft2(signal.values)

        def truncated(theta: Tensor) -> Tensor:
            kept = torch.ones((), dtype=image.dtype, device=image.device)
            for axis, other in ((-2, 1), (-1, 0)):
                size = image.shape[axis]
                edge = (1 - theta[:, :1]) * (size / 2)
                inside = (edge + 1 - lines(size, theta).abs()).clamp(0, 1)
                whole = theta[:, 1:].detach().floor() == other
                kept = kept * along(torch.where(whole, 1.0, inside).to(image), axis, image.ndim + 1)
            return signal.magnitude(torch.fft.ifft2(spectrum * (kept - 1)).real)

        return truncated

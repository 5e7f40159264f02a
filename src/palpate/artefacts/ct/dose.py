"""Fewer photons and fewer views."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Needs, Scene
from palpate.artefacts.ct.slices import Slices
from palpate.artefacts.fields import REALISATION, Noise
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

__all__ = ["FewViews", "LowDose", "added_noise"]

_DEGRADBENCH = "yousranb/CT-DEGRADBENCH"
_PHOTONS = 1.2e8
"""Photons that one mm of the detector counts in air in a whole scan: about 12 HU of noise in 30 cm of water."""
_FINEST = 0.8
"""What a kernel for soft tissue resolves: noise is not finer than this many mm."""
_COUNTS = (360, 180, 120, 90, 60, 45)
_GROUPS = 24
"""Every one of `_COUNTS` takes whole groups of views: those whose number is one of some remainders modulo 24."""


def added_noise(factor: float) -> float:
    """What must be added, in units of the noise of a scan, so that its noise is `factor` times as strong.

    The dose is 1 / factor^2 of the scan's.
    """
    return math.sqrt(factor**2 - 1)


@dataclass(frozen=True)
class LowDose(Artefact):
    """Less dose: noise of fewer photons, added to the noise that the image has.

    A ray that N photons reach has a noise of 1 / sqrt(N) in its line integral, with N = N0 exp(-line integral). With a
    times the scan's noise added, the dose is 1 / (1 + a^2) of the scan's:

        image + a FBP(n / sqrt(N)), n standard normal.

    Noise is so stronger behind the body's longest paths, and the ramp filter makes it fine-grained. The image is taken
    for a scan of usual dose. The kernel is one for soft tissue, on pixels of .8 mm or
    more.
    """

    name: ClassVar[str] = "low-dose"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("added noise", "times the scan's", f"{_DEGRADBENCH}: noise 2, 2.5, 4 times; 1.5 and 3 between",
                  levels=(added_noise(1.5), added_noise(2), added_noise(2.5), added_noise(3), added_noise(4))),
        REALISATION,
    )  # fmt: skip
    needs: ClassVar[Needs] = frozenset({"HU", "spacing"})
    stage: ClassVar[int] = 1

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`. Both fields of noise are reconstructed here; a candidate is their sum."""
        slices = Slices.of(image, scene, finest=_FINEST)
        scanner = slices.scanner
        photons = _PHOTONS * scanner.pixel / scanner.views * torch.exp(-scanner.project(slices.attenuation))
        drawn = Noise.drawn(streams, photons.shape, photons)
        fields = slices.reconstructed(torch.stack([drawn.first, drawn.second]) / photons.clamp(min=1).sqrt())
        noise = Noise(fields[0].to(image), fields[1].to(image))
        return lambda theta: image + theta[:, 0].to(image).reshape(-1, *[1] * image.ndim) * noise.at(theta[:, 1])


@dataclass(frozen=True)
class FewViews(Artefact):
    """Fewer views: streaks along edges, far from them.

    image + FBP(v of 360 views) - FBP(360 views), the views evenly spaced over half a turn of a parallel beam. Between
    the named numbers of views the image is a mixture of the two nearest, so that it goes to the image without a jump.
    """

    name: ClassVar[str] = "few-views"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("views", "of 360", f"{_DEGRADBENCH}: 180, 90, 60, 45 of 360 views; 120 between", null=360.0,
                  levels=(180.0, 120.0, 90.0, 60.0, 45.0)),
        Parameter("start", "share of a step", "derived: the first view may be any", 0.0, 1.0),
    )  # fmt: skip
    needs: ClassVar[Needs] = frozenset({"HU"})
    gradient: ClassVar[bool] = False
    stage: ClassVar[int] = 3

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`. Groups of views are reconstructed here; a candidate is a weighted sum of them."""
        slices = Slices.of(image, scene, views=_COUNTS[0])
        filtered = slices.scanner.filtered(slices.scanner.project(slices.attenuation))
        parts = torch.stack([
            slices.scanner.spread(filtered[:, group::_GROUPS], range(group, _COUNTS[0], _GROUPS))
            for group in range(_GROUPS)
        ])  # fmt: skip

        def made(theta: Tensor) -> Tensor:
            weights = torch.tensor([_weights(*row) for row in theta.tolist()], dtype=torch.float32)
            return image + slices.change(torch.einsum("kg,gsyx->ksyx", weights, parts)).to(image)

        return made


def _weights(views: float, start: float) -> list[float]:
    """How much more than in the full scan each group of views counts."""
    upper = max(place for place, count in enumerate(_COUNTS[:-1]) if count >= views - 1e-6)
    few, many = _COUNTS[upper + 1], _COUNTS[upper]
    share = (many - views) / (many - few)
    return [
        (1 - share) * _weight(group, many, start) + share * _weight(group, few, start) - 1 for group in range(_GROUPS)
    ]


def _weight(group: int, count: int, start: float) -> float:
    step = _COUNTS[0] // count
    return float(step) if group % step == min(int(start * step), step - 1) else 0.0

"""Colour: another white, and more or less of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Needs, Scene
from palpate.artefacts.fields import column
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""
_PLANCK = "derived: Planck's law at 610, 540 and 465 nm: log gains against green of a lamp of 6000 to 4000 K at 6500 K"


@dataclass(frozen=True)
class ColourCast(Artefact):
    """A white balance for another lamp or stain: each channel is multiplied, L'_c = L_c exp(g_c).

    The parameters are the differences g_red - g_green and g_blue - g_green; the three g_c have the sum 0, since the
    exposure follows.
    """

    name: ClassVar[str] = "colour-cast"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("red against green", "log gain", _PLANCK, levels=(0.03, 0.07, 0.13, 0.2, 0.27), signed=True),
        Parameter("blue against green", "log gain", _PLANCK, levels=(0.05, 0.1, 0.18, 0.28, 0.4), signed=True),
    )
    needs: ClassVar[Needs] = frozenset({"colour"})

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        dark = scene.bounds[0]

        def made(theta: Tensor) -> Tensor:
            logs = torch.stack([theta[:, 0], torch.zeros_like(theta[:, 0]), theta[:, 1]], 1).to(image)
            gains = torch.exp(logs - logs.mean(1, keepdim=True)).reshape(len(theta), 3, *([1] * (image.ndim - 1)))
            return dark + (image - dark) * gains

        return made


@dataclass(frozen=True)
class ColourSaturation(Artefact):
    """Paler or stronger colours of equal brightness Y (ITU-R BT.601): x' = Y + (1 + s) (x - Y)."""

    name: ClassVar[str] = "colour-saturation"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("change", "share", "cofe-Net: saturation changes by up to 0.4; beyond it, derived",
                  levels=(0.1, 0.2, 0.3, 0.4, 0.5), signed=True),
    )  # fmt: skip
    needs: ClassVar[Needs] = frozenset({"colour"})
    stage: ClassVar[int] = 4

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        weights = torch.tensor(_LUMA).to(image).reshape(3, *([1] * (image.ndim - 1)))
        colour = image - (image * weights).sum(0, keepdim=True)
        return lambda theta: image + column(theta[:, 0], image) * colour

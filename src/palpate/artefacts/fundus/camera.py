"""The camera: out of focus, or with other settings of brightness and colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Needs, Scene
from palpate.artefacts.field_of_view import field_of_view
from palpate.artefacts.fields import column
from palpate.artefacts.parameter import Parameter
from palpate.artefacts.separable import blurred
from palpate.streams import Streams

__all__ = ["FundusColour", "FundusDefocus"]

_COFE = "Shen et al., Modeling and Enhancing Low-Quality Retinal Fundus Images, IEEE TMI 40 (2021), cofe-Net"
_GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class FundusDefocus(Artefact):
    """Out of focus: normal blur in the field of view, whose edge stays sharp, as it is in the camera.

    With the field of view m and blur G: v + m (G(m v) / G(m) - v).
    """

    name: ClassVar[str] = "fundus-defocus"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("standard deviation", "heights", f"{_COFE}: 5 to 15 pixels of 512; the first level is derived",
                  levels=(0.005, 0.01, 0.015, 0.02, 0.03)),
    )  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        view = field_of_view(image, scene)
        both = torch.cat([(image - scene.bounds[0]) * view, view])

        def soft(theta: Tensor) -> Tensor:
            made = blurred(both, theta[:, 0] * image.shape[1])
            inside = made[:, :-1] / made[:, -1:].clamp(min=1e-6)
            return image + view * (inside - (image - scene.bounds[0]))

        return soft


@dataclass(frozen=True)
class FundusColour(Artefact):
    """Other brightness b, contrast c and saturation s: v + b + c (v - mean) + s (v - grey) in the field of view.

    The mean is that of the field of view, and grey is .299 red + .587 green + .114 blue.
    """

    name: ClassVar[str] = "fundus-colour"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter(
            "brightness", "share of the range", f"{_COFE}: +-.3", levels=(0.06, 0.12, 0.18, 0.24, 0.3), signed=True
        ),
        Parameter("contrast", "", f"{_COFE}: +-.4", levels=(0.08, 0.16, 0.24, 0.32, 0.4), signed=True),
        Parameter("saturation", "", f"{_COFE}: +-.4", levels=(0.08, 0.16, 0.24, 0.32, 0.4), signed=True),
    )
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    needs: ClassVar[Needs] = frozenset({"colour"})

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        view = field_of_view(image, scene)
        mean = (image * view).sum() / (3 * view.sum()).clamp(min=1e-6)
        grey = torch.tensordot(torch.tensor(_GREY).to(image), image, 1)

        def coloured(theta: Tensor) -> Tensor:
            brightness, contrast, saturation = (column(theta[:, place], image) for place in range(3))
            change = brightness * scene.extent + contrast * (image - mean) + saturation * (image - grey)
            made: Tensor = image + view * change
            return made

        return coloured

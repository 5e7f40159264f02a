"""Where the pixels of a fundus photograph are, seen from the middle of its field of view."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from palpate.artefacts.artefact import Scene
from palpate.artefacts.field_of_view import field_of_view

__all__ = ["Eye", "each"]

_HALF = 0.6931471805599453


@dataclass(frozen=True, eq=False)
class Eye:
    """The field of view of a photograph (C, height, width).

    Attributes:
        view: (1, height, width), 1 inside and 0 in the black surround.
        down: (height, 1), below the middle of the field of view, in heights of the image.
        right: (1, width), right of it, in heights of the image.
        wide: width of the image, in heights.
    """

    view: Tensor
    down: Tensor
    right: Tensor
    wide: float

    @classmethod
    def of(cls, image: Tensor, scene: Scene) -> Eye:
        """The field of view of an image; all of it if there is no black surround."""
        view = field_of_view(image, scene)
        height, width = image.shape[1:]
        down, right = ((_from_middle(view[0].amax(1 - axis)) / height).to(image) for axis in (0, 1))
        return cls(view, down[:, None], right[None], width / height)

    def distance(self, down: Tensor | float, right: Tensor | float) -> Tensor:
        """Distance (K, height, width) of each pixel from K places, given below and right of the middle (K, 1, 1)."""
        return ((self.down - down) ** 2 + (self.right - right) ** 2 + 1e-12).sqrt()

    def soft_disc(self, down: Tensor, right: Tensor, radius: Tensor) -> Tensor:
        """exp(-ln 2 (d / r)^4) at the distance d from K places: a disc out of focus, a half at its radius."""
        square = ((self.down - down) / radius) ** 2 + ((self.right - right) / radius) ** 2
        return torch.exp(-_HALF * square**2)


def _from_middle(lit: Tensor) -> Tensor:
    """Pixels from the middle of the lit ones along an axis."""
    place = torch.arange(len(lit), dtype=torch.float64, device=lit.device)
    found = place[lit > 0] if bool((lit > 0).any()) else place
    return place - (found[0] + found[-1]) / 2


def each(theta: Tensor, like: Tensor) -> list[Tensor]:
    """The parameters, one after the other, each (K, 1, 1)."""
    return [one[:, None, None].to(like) for one in theta.unbind(1)]

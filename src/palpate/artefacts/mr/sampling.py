"""Where the scanner samples: thick slices, and a field of view that is too small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.mr.signal import PHASE_AXIS, Signal, along_axis
from palpate.artefacts.parameter import Parameter
from palpate.artefacts.separable import applied
from palpate.streams import Streams

__all__ = ["Anisotropy", "WrapAround"]

_THICK = "TorchIO, RandomAnisotropy: 1.5 to 5 times coarser"
_FOLD = "derived: up to half of the field of view is missing"


@dataclass(frozen=True)
class Anisotropy(Artefact):
    """Thick slices: along one axis, means over f pixels, with linear interpolation between them.

    y = x + w (U D x - x): D takes means over [c - f / 2, c + f / 2] at c = c0 + m f, U interpolates linearly, and w
    grows from 0 to 1 while f grows from 1 to 1.5. c0 is `first slice`. Source of the range: TorchIO.
    """

    name: ClassVar[str] = "anisotropy"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("thickness", "pixels", _THICK, levels=(1.5, 2.0, 3.0, 4.0, 5.0), null=1.0),
        Parameter("first slice", "share of a slice", "derived: slices can begin anywhere"),
        Parameter("axis", "", "derived: any; `through` is `down` in images", choices=("down", "across", "through")),
    )

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""

        def coarse(theta: Tensor) -> Tensor:
            def made(rows: Tensor, axis: int) -> Tensor:
                both = _averaged_then_interpolated(image.shape[axis], theta[rows, 0], theta[rows, 1])
                mixed = ((theta[rows, 0] - 1) / 0.5).clamp(0, 1)[:, None, None]
                same = torch.eye(image.shape[axis], dtype=both.dtype, device=both.device)
                return image + applied(mixed * (both - same), image, axis)

            return along_axis(theta[:, 2], (-2, -1, -3 if image.ndim == 4 else -2), made)

        return coarse


def _averaged_then_interpolated(size: int, thickness: Tensor, first: Tensor) -> Tensor:
    """The matrices U D (K, size, size) of a thickness in pixels (K,) and a first slice (K,)."""
    pixel = torch.arange(size, dtype=thickness.dtype, device=thickness.device) + 0.5
    wide = thickness[:, None, None]
    # One slice more on each side, so that the border is interpolated too.
    number = torch.arange(-1, size + 1, dtype=thickness.dtype, device=thickness.device)
    centre = ((number + first[:, None]) * thickness[:, None])[:, :, None]
    low = torch.maximum(centre - wide / 2, pixel - 0.5)
    high = torch.minimum(centre + wide / 2, pixel + 0.5)
    inside = (high - low).clamp(min=0)
    amount = inside.sum(2, keepdim=True)
    means = inside / amount.clamp(min=1e-9)
    between = (1 - (pixel[:, None] - centre.transpose(1, 2)).abs() / wide).clamp(min=0)
    between = between * (amount > 1e-6).transpose(1, 2)
    return (between / between.sum(2, keepdim=True)) @ means


@dataclass(frozen=True)
class WrapAround(Artefact):
    """The field of view is a share a too small along the phase axis: what is outside folds over from the other side.

    y(r) = x(r) + w (x(r + N') + x(r - N')) with N' = N (1 - a), and nothing outside of the image. Below the first level
    w rises from 0 to 1. Source: Nishimura, Principles of Magnetic Resonance Imaging, 2010.
    """

    name: ClassVar[str] = "wrap-around"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("missing", "share of the field of view", _FOLD, levels=(0.1, 0.2, 0.3, 0.4, 0.5)),
        PHASE_AXIS,
    )
    gradient: ClassVar[bool] = False

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        signal = Signal.of(image)

        def folded(theta: Tensor) -> Tensor:
            def made(rows: Tensor, axis: int) -> Tensor:
                size = image.shape[axis]
                place = torch.arange(size, dtype=theta.dtype, device=theta.device)
                period = (size * (1 - theta[rows, 0]))[:, None, None]
                apart = (place[:, None] - place).abs()
                shown = (1 - (apart - period).abs()).clamp(min=0) * (theta[rows, 0] / 0.1).clamp(0, 1)[:, None, None]
                return image + applied(shown, signal.values, axis)

            return along_axis(theta[:, 1], (-2, -1), made)

        return folded

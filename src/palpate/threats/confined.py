"""Balls with changes confined as in the clinic: regions, stored steps, tied channels, smoothness."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from palpate.contracts import Limits
from palpate.errors import InputError
from palpate.threats.ball import BALLS
from palpate.threats.delivery import Confinement, Delivered
from palpate.threats.lattice import Lattice
from palpate.threats.neighbourhoods import Around, AroundLinf

MOST_SMOOTH = 1024.0
"""Widest Gaussian in pixels; one wider than the image would leave nothing of a change."""


@dataclass(frozen=True)
class Confined:
    """A threat: the changes of a ball, confined before the model sees them.

    The attack moves iterates z in the ball; the model sees

        D(z) = x + round(region * share * W * tie(z - x))

    with tie the mean over the channels, W a depthwise Gaussian that fades to zero beyond the border, share the part of
    the radius that each channel has, region 0 or 1, and round to whole stored steps; parts that are not set are
    left out. None of them makes a change longer in L-inf, L2 or L1 (means, weights that sum to at most 1, factors of
    at most 1), so D(z) is in the ball, and clamping to the box only shrinks it. `eps` is an upper limit: a smooth
    change reaches it where it is wide, and stays below elsewhere.

    Gradients flow through the linear part and pass rounding and the box as they are (straight-through).

    Attributes:
        eps: radius for all samples, or a tuple with one per sample.
        norm: `linf`, `l2` or `l1`.
        lattice: deliver only values that the file can store (`Limits.step`), so that saving changes nothing.
        region: where values may change, in words; the masks come with `Limits.region`. Empty: everywhere.
        channels: share of `eps` that each channel has, 0 to 1; in L2 and L1 what the channel's change is multiplied by.
            Empty: all of eps in each.
        tied: one change for all channels, as in grey images that are stored as RGB.
        smooth: width (standard deviation) in pixels of the Gaussian; 0: none.

    Raises:
        InputError: a value out of its range, or tied channels with different shares.
    """

    eps: float | tuple[float, ...]
    norm: str = "linf"
    lattice: bool = False
    region: str = ""
    channels: tuple[float, ...] = ()
    tied: bool = False
    smooth: float = 0.0

    def __post_init__(self) -> None:
        if self.norm not in BALLS:
            raise InputError(f"norm: '{self.norm}' is not one of {', '.join(BALLS)}.")
        BALLS[self.norm](self.eps)
        if not 0 <= self.smooth <= MOST_SMOOTH:
            raise InputError(f"smooth: {self.smooth:g} must be a width in pixels, 0 to {MOST_SMOOTH:g}.")
        if self.channels and not (all(0 <= share <= 1 for share in self.channels) and any(self.channels)):
            raise InputError(f"channels: {list(self.channels)} must be shares from 0 to 1, one of them above 0.")
        if self.tied and len(set(self.channels)) > 1:
            raise InputError("channels: tied channels have the same change, but these shares differ. Remove one.")

    @property
    def confined(self) -> bool:
        """Whether anything besides the ball confines a change."""
        return bool(self.lattice or self.region or self.channels or self.tied or self.smooth)

    def around(self, clean: Tensor, bounds: tuple[float, float], limits: Limits | None = None) -> Around:
        """The allowed images around `clean` (B, C, *spatial).

        Raises:
            InputError: as in a ball; a region or a lattice without its limits; a mask or shares that do not fit the
                images; a radius below one stored step.
        """
        inner = BALLS[self.norm](self.eps).around(clean, bounds)
        if not self.confined:
            return inner
        limits = limits or Limits()
        lattice = self._lattice(inner, limits) if self.lattice else None
        if lattice is not None and self.norm == "linf":
            inner = AroundLinf(clean, lattice.radius().to(clean.dtype), *bounds)
        confinement = Confinement(
            region=self._region(clean, limits) if self.region else None,
            shares=self._shares(clean) if self.channels else None,
            tied=self.tied and clean.shape[1] > 1,
            smooth=self.smooth,
        )
        return Delivered(inner, confinement, lattice)

    def describe(self) -> str:
        """`every stored value changes by at most 2, in whole stored steps, only inside body`, and the like."""
        parts = [BALLS[self.norm](self.eps).describe()]
        parts += ["in whole stored steps"] if self.lattice else []
        parts += [f"only {self.region}"] if self.region else []
        parts += [f"with shares {', '.join(f'{s:g}' for s in self.channels)} of it by channel"] if self.channels else []
        parts += ["alike in all channels"] if self.tied else []
        parts += [f"smoothed by a Gaussian of {self.smooth:g} pixels"] if self.smooth else []
        return ", ".join(parts)

    def _lattice(self, inner: Around, limits: Limits) -> Lattice:
        if limits.step is None:
            raise InputError(
                "lattice: the images have no stored steps (floating point, or the caller gave no limits). "
                "Use lattice = false, or give Limits(step=...)."
            )
        largest = max(self.channels, default=1.0)
        eps = torch.tensor(self.eps, dtype=torch.float64).expand(len(inner.clean))
        tied = inner.clean.shape[1] if self.tied else 1
        return Lattice.of(inner, limits.step, limits.origin, eps, largest, tied)

    @staticmethod
    def _region(clean: Tensor, limits: Limits) -> Tensor:
        region = limits.region
        if region is None:
            raise InputError("region: no mask was given for the images. Give Limits(region=...).")
        if region.dtype != torch.bool or region.shape not in (clean.shape, (len(clean), 1, *clean.shape[2:])):
            raise InputError(
                f"region: a mask of {region.dtype} {tuple(region.shape)} does not fit images {tuple(clean.shape)}. "
                "Give booleans (B, 1 or C, *spatial)."
            )
        return region.to(clean)

    def _shares(self, clean: Tensor) -> Tensor:
        if len(self.channels) != clean.shape[1]:
            raise InputError(
                f"channels: {len(self.channels)} shares were given, and the images have {clean.shape[1]} channels."
            )
        return clean.new_tensor(self.channels).reshape(1, -1, *[1] * (clean.ndim - 2))

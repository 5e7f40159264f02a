"""Balls of per-sample radius in stored values, inside the box of values that the format can store."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.contracts import Limits
from palpate.errors import InputError
from palpate.threats.neighbourhoods import Around, AroundL1, AroundL2, AroundLinf, Unprojected
from palpate.units import distinct

_WIDE = 16
"""For images with a wider range, whole numbers are proposed as bounds."""
_AROUND: dict[str, type[Around]] = {"linf": AroundLinf, "l2": AroundL2, "l1": AroundL1}


@dataclass(frozen=True)
class Ball:
    """A threat: every change of at most `eps` in one norm, in stored values, that stays inside the bounds.

    Attributes:
        eps: radius for all samples, or a tuple with one radius per sample.

    Raises:
        InputError: a radius is not a positive finite number.
    """

    eps: float | tuple[float, ...]
    norm: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for radius in self.eps if isinstance(self.eps, tuple) else (self.eps,):
            if not 0 < radius < float("inf"):
                raise InputError(f"eps: {radius:g} must be a positive finite number, in stored values.")

    def around(self, clean: Tensor, bounds: tuple[float, float], limits: Limits | None = None) -> Around:
        """The allowed images around `clean` (B, C, *spatial); a ball ignores limits.

        Raises:
            InputError: there are not as many radii as samples, an L-inf radius is wider than the range, or the
                images are outside the bounds.
        """
        low, high = bounds
        count = len(clean)
        if isinstance(self.eps, tuple) and len(self.eps) != count:
            raise InputError(f"eps: {len(self.eps)} radii were given for {count} images.")
        radius = torch.tensor(self.eps, dtype=clean.dtype, device=clean.device).expand(count)
        if self.norm == "linf" and count and float(radius.max()) > high - low:
            raise InputError(
                f"eps: {float(radius.max()):g} is wider than the whole range {low:g} to {high:g} of stored values. "
                "Is it in other units than the images?"
            )
        check_bounds(clean, bounds)
        return _AROUND[self.norm](clean, radius, low, high)

    def describe(self) -> str:
        """`every stored value changes by at most 2`, and the like."""
        radii = self.eps if isinstance(self.eps, tuple) else (self.eps,)
        *others, last = [f"{radius:g}" for radius in sorted(set(radii))]
        listed = ", ".join(others)
        return f"{_WORDS[self.norm]} {listed + ' or ' if others else ''}{last}"


@dataclass(frozen=True)
class Linf(Ball):
    """Largest change of one stored value."""

    norm: ClassVar[str] = "linf"


@dataclass(frozen=True)
class L2(Ball):
    """Euclidean length of the change."""

    norm: ClassVar[str] = "l2"


@dataclass(frozen=True)
class L1(Ball):
    """Sum of absolute changes."""

    norm: ClassVar[str] = "l1"


@dataclass(frozen=True)
class LinfSteps(Ball):
    """No ball: `eps` is the L-inf length of one step, and only the bounds confine the image.

    For published attacks that never project. Distances are reported in L-inf; they exceed `eps`.
    """

    norm: ClassVar[str] = "linf"

    def around(self, clean: Tensor, bounds: tuple[float, float], limits: Limits | None = None) -> Around:
        """The box around `clean`, with steps of `eps`."""
        inside = super().around(clean, bounds)
        return Unprojected(inside.clean, inside.radius, inside.low, inside.high)

    def describe(self) -> str:
        """Says that there is no ball."""
        return super().describe() + " per step, without a limit on the whole change"


BALLS: dict[str, type[Ball]] = {ball.norm: ball for ball in (Linf, L2, L1)}
_WORDS = {
    "linf": "every stored value changes by at most",
    "l2": "the change has a Euclidean length of at most",
    "l1": "the absolute changes sum to at most",
}


def check_bounds(images: Tensor, bounds: tuple[float, float]) -> None:
    """Refuse images outside the bounds.

    Raises:
        InputError: images are not floating point, or contain NaN, infinity, or a value outside the bounds.
    """
    if not images.is_floating_point():
        raise InputError(f"images: they are {images.dtype}; give stored values as floating point, images.float().")
    if not images.numel():
        return
    # Bounds such as 0.1 * 4095 - 1024 are rounded as the values were: the highest value is inside.
    low, high = torch.tensor(bounds, dtype=images.dtype).tolist()
    least, most = float(images.min()), float(images.max())
    if not (least >= low and most <= high):
        flat = images.flatten(1)
        row = int((~((flat >= low) & (flat <= high)).all(1)).nonzero()[0])
        if not bool(torch.isfinite(flat).all()):
            row = int((~torch.isfinite(flat).all(1)).nonzero()[0])
            raise InputError(
                f"images: row {row} holds NaN or infinity. Replace them before the audit, such as with "
                "images.nan_to_num(0)."
            )
        ends = distinct(low, high, least, most)
        if most - least > _WIDE:
            least, most = math.floor(least), math.ceil(most)
        wide = f"{min(low, least):.9g}, {max(high, most):.9g}"
        raise InputError(
            f"images: row {row} holds values outside the bounds (bounds {ends[0]} to {ends[1]}, found {ends[2]} to "
            f"{ends[3]}). Give the lowest and highest value that can be stored: model.bounds = [{wide}] in a plan, "
            f"bounds=({wide}) in palpate.attack holds these images."
        )

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
_RANGES = ((0, 255), (0, 4095), (0, 65535), (-1024, 3071), (-32768, 32767))
"""What files store: 8, 12 and 16 bits, CT in Hounsfield units, and 16 bits with a sign; the first that fits is best."""
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


def rounding(images: Tensor, norm: str) -> float:
    """How much longer than it was meant a change can be measured, because values of changed images are rounded.

    Args:
        images: changed images (B, C, *spatial).
        norm: in which changes are measured.
    """
    if not images.numel():
        return 0.0
    count = images[0].numel()
    values = {"linf": 1.0, "l2": math.sqrt(count), "l1": float(count)}[norm]
    return torch.finfo(images.dtype).eps * float(images.abs().max()) * values


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
        wide = ", ".join(f"{end:.9g}" for end in _storable(min(low, least), max(high, most)))
        raise InputError(
            f"images: row {row} holds values outside the bounds (bounds {ends[0]} to {ends[1]}, found {ends[2]} to "
            f"{ends[3]}). Give the lowest and highest value that a file can store, not those of these images: "
            f"model.bounds = [{wide}] in a plan, bounds=({wide}) in palpate.attack holds these images."
        )


def _storable(least: float, most: float) -> tuple[float, float]:
    """The usual range of files that holds these values; if none does, the values."""
    if most - least <= _WIDE:
        return least, most
    for low, high in _RANGES:
        if low <= least and most <= high:
            return low, high
    return math.floor(least), math.ceil(most)

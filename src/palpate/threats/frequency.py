"""Changes that are bounded for each frequency: the cosine transform of small blocks of the image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.contracts import Limits
from palpate.errors import InputError
from palpate.streams import Streams
from palpate.tensors import lengths, spread
from palpate.threats.ball import Ball

_ROUNDS = 10


@dataclass(frozen=True)
class Frequency(Ball):
    """Every coefficient of the cosine transform of every block changes by at most `eps`, inside the bounds.

    The transform (DCT-II) is orthonormal, along every spatial axis, in 2D and 3D. So the root mean square of the
    change of a block is at most `eps`, as in an L-inf ball of that radius; a single stored value may change by more.
    Quantising the coefficients with steps of up to 2 * eps stays inside. A strong compression of the file does this,
    and the frequency attacks AdvDrop (2D) and VAFA (3D) search these changes.

    Attributes:
        eps: largest change of one coefficient, in stored values; or a tuple with one per sample.
        block: side of the blocks in pixels; images whose sides are not a multiple of it are padded for the transform.

    Raises:
        InputError: a radius is not a positive finite number, or a block has fewer than two pixels a side.
    """

    block: int = 8
    norm: ClassVar[str] = "linf"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block < 2:
            raise InputError(f"block: {self.block} must be at least 2 pixels wide.")

    def around(  # type: ignore[override]
        self, clean: Tensor, bounds: tuple[float, float], limits: Limits | None = None
    ) -> AroundFrequency:
        """The allowed images around `clean` (B, C, *spatial); raises InputError as a ball does."""
        ball = super().around(clean, bounds)
        return AroundFrequency(ball.clean, ball.radius, ball.low, ball.high, self.block)

    def describe(self) -> str:
        """`every cosine coefficient of every block of 8 changes by at most 2`, and the like."""
        radii = self.eps if isinstance(self.eps, tuple) else (self.eps,)
        text = f"{min(radii):g}" if min(radii) == max(radii) else f"{min(radii):g} to {max(radii):g}"
        return f"every cosine coefficient of every block of {self.block} changes by at most {text}"


class AroundFrequency:
    """The images around `clean` whose block coefficients differ by at most `radius`, inside [low, high].

    The padding never changes, so only the image changes.
    """

    def __init__(self, clean: Tensor, radius: Tensor, low: float, high: float, block: int):
        self.clean, self.radius, self.low, self.high, self.block = clean, radius, low, high, block

    def project(self, images: Tensor) -> Tensor:
        """The nearest allowed images (Euclidean), by Dykstra's alternating projections onto coefficients and box.

        Blocks that are outside after the last round are scaled towards the clean image, so the result is
        always allowed; it is the nearest one as far as these rounds converge.
        """
        least, most = self._padded(self.low - self.clean), self._padded(self.high - self.clean)
        change = self._padded(images - self.clean)
        reach = spread(self.radius, change)
        in_box = in_band = torch.zeros_like(change)
        # A sample's result must not depend on how long the others of its batch take.
        settled = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        for _ in range(_ROUNDS):
            banded = self._back(self._transform(change + in_band).clamp(-reach, reach))
            in_band = change + in_band - banded
            boxed = torch.clamp(banded + in_box, least, most)
            in_box = banded + in_box - boxed
            change = torch.where(spread(settled, change).bool(), change, boxed)
            settled = settled | (lengths(boxed - banded, "linf") <= 1e-6 * (self.high - self.low))
            if bool(settled.all()):
                break
        return (self.clean + self._cropped(self._within(change, reach))).clamp(self.low, self.high)

    def to_image(self, images: Tensor) -> Tensor:
        """The images as they are."""
        return images

    def sample(self, streams: Streams) -> Tensor:
        """Uniform coefficients, then projected onto the box."""
        draw = streams.uniform(self._padded(self.clean).shape[1:], self.clean) * 2 - 1
        return self.project(self.clean + self._cropped(self._back(draw * spread(self.radius, draw))))

    def steepest(self, gradient: Tensor) -> Tensor:
        """The change with coefficients of -1 and 1 along which `gradient` rises fastest (before cropping)."""
        return self._cropped(self._back(self._transform(self._padded(gradient)).sign()))

    def move(self, images: Tensor, gradient: Tensor, size: Tensor | float) -> Tensor:
        """P(images + size * radius * steepest(gradient))."""
        return self.project(torch.addcmul(images, self.steepest(gradient), spread(self.radius * size, images)))

    def size(self, images: Tensor) -> Tensor:
        """Largest change of a coefficient (B,)."""
        return lengths(self._transform(self._padded(images - self.clean)), "linf")

    def take(self, rows: Tensor) -> AroundFrequency:
        """The same around some rows."""
        return type(self)(self.clean[rows], self.radius[rows], self.low, self.high, self.block)

    def at_radius(self, radius: Tensor) -> AroundFrequency:
        """The same at smaller radii (B,); a radius above its own counts as its own."""
        smaller = torch.minimum(radius.to(self.radius), self.radius)
        return type(self)(self.clean, smaller, self.low, self.high, self.block)

    def radius_of(self, images: Tensor) -> Tensor:
        """The radius at which these images are still allowed (B,): their largest change, at most its own radius."""
        return torch.minimum(self.size(images), self.radius.double())

    def _within(self, change: Tensor, reach: Tensor) -> Tensor:
        """`change` with every block shrunk until its coefficients fit; shrinking never leaves the box."""
        most = self._blocks(self._transform(change).abs())
        sides = tuple(range(3, most.ndim, 2))
        share = (spread(self.radius, most) / most.amax(sides, keepdim=True).clamp(min=1e-30)).clamp(max=1.0)
        return (self._blocks(change) * share).reshape(change.shape)

    def _transform(self, padded: Tensor) -> Tensor:
        return self._along_axes(padded, _cosines(self.block).to(padded))

    def _back(self, coefficients: Tensor) -> Tensor:
        return self._along_axes(coefficients, _cosines(self.block).to(coefficients).T)

    def _along_axes(self, padded: Tensor, matrix: Tensor) -> Tensor:
        blocks = self._blocks(padded)
        for axis in range(3, blocks.ndim, 2):
            blocks = (blocks.movedim(axis, -1) @ matrix.T).movedim(-1, axis)
        return blocks.reshape(padded.shape)

    def _blocks(self, padded: Tensor) -> Tensor:
        """(B, C, *spatial) as (B, C, count, block, count, block, ...)."""
        sides = [side for extent in padded.shape[2:] for side in (extent // self.block, self.block)]
        return padded.reshape(*padded.shape[:2], *sides)

    def _padded(self, images: Tensor) -> Tensor:
        """Zeros after the end of every axis, up to a multiple of the block; nothing may change in them."""
        missing = [-extent % self.block for extent in images.shape[2:]]
        return F.pad(images, [side for extent in reversed(missing) for side in (0, extent)])

    def _cropped(self, padded: Tensor) -> Tensor:
        for axis, extent in enumerate(self.clean.shape[2:], start=2):
            padded = padded.narrow(axis, 0, extent)
        return padded


@lru_cache(maxsize=8)
def _cosines(count: int) -> Tensor:
    """The orthonormal DCT-II as a matrix (count, count) in float64: one row per frequency."""
    place, frequency = torch.arange(count, dtype=torch.float64) + 0.5, torch.arange(count, dtype=torch.float64)
    rows = torch.cos(math.pi / count * frequency[:, None] * place) * math.sqrt(2 / count)
    rows[0] /= math.sqrt(2)
    return rows

"""Rounding: to what the file stores, to 8 bits over the usual window, to 8 bits over another reader's window."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from palpate.errors import InputError
from palpate.postprocessing.base import each, levels, span, span_words, through, top_level, values
from palpate.units import Scale


@dataclass(frozen=True)
class Rounded:
    """Rounded to the nearest value that the file can store, as saving does: v' = low + step * round((v - low) / step).

    The lattice is counted from the lowest bound. Idempotent; values on the lattice stay as they are.

    Raises:
        InputError: the images store floating point, or steps of different size.
    """

    scale: Scale

    def __post_init__(self) -> None:
        if not self.scale.step:
            raise InputError(
                "rounded: the images store floating point, or steps of different size, so they have no steps to "
                "round to. Leave this post-processing step out."
            )

    @property
    def name(self) -> str:
        """`rounded`."""
        return "rounded"

    def describe(self) -> str:
        """What it does, in a phrase for a report."""
        return f"rounded to stored steps of {self.scale.step:g} {self.scale.unit}".rstrip()

    def __call__(self, images: Tensor) -> Tensor:
        """Values (B, C, *spatial) on the lattice."""
        low, step, top = self.scale.bounds[0], self.scale.step or 1.0, top_level(self.scale) or 1
        high = low + step * top
        return each(images, lambda x: values(levels(x, low, step, top), low, high, top, x, self.scale.bounds))

    def soft(self, images: Tensor) -> Tensor:
        """The same, straight through."""
        return through(self(images), images)


@dataclass(frozen=True)
class EightBit:
    """Exported to 8 bits over [a, b], the model's window if it has one, otherwise the whole range, and read again.

        v' = a + (b - a) / 255 * round(255 * clip((v - a) / (b - a), 0, 1))

    For 8-bit images that is rounding to whole numbers. Idempotent.
    """

    scale: Scale

    @property
    def name(self) -> str:
        """`8bit`."""
        return "8bit"

    def describe(self) -> str:
        """What it does, in a phrase for a report."""
        return f"exported to 8 bits over {span_words(self.scale)}"

    def __call__(self, images: Tensor) -> Tensor:
        """Values (B, C, *spatial) at 256 levels of the window."""
        low, high = span(self.scale)
        step = (high - low) / 255
        return each(images, lambda x: values(levels(x, low, step, 255), low, high, 255, x, self.scale.bounds))

    def soft(self, images: Tensor) -> Tensor:
        """The same, straight through; no gradient outside the window."""
        return through(self(images), images.clamp(*span(self.scale)))


@dataclass(frozen=True)
class Rewindowed:
    """Exported to 8 bits over another reader's window, and read as if it were the usual one [a, b].

        v' = a + (b - a) / 255 * round(255 * clip((v - a') / (b' - a'), 0, 1))

    [a', b'] has the centre of [a, b] and `width` times its width. A lung is shown 1500 HU wide at one place and 1400
    at the next, an abdomen 400 or 350: 0.9 is such a difference. Contrast rises by 1 / `width`, and below 1 the
    darkest and brightest values are cut off.

    Attributes:
        scale: what the values mean.
        width: of the other window, in widths of the usual one.

    Raises:
        InputError: a width that is not between 0.1 and 4, or 1, which is `8bit`.
    """

    scale: Scale
    width: float = 0.9

    def __post_init__(self) -> None:
        if not 0.1 <= self.width <= 4 or self.width == 1:
            raise InputError(f"rewindow{self.width:g}: the width must be between 0.1 and 4, and not 1 (that is 8bit).")

    @property
    def name(self) -> str:
        """`rewindow`, or with its width `rewindow1.2`."""
        return "rewindow" if self.width == 0.9 else f"rewindow{self.width:g}"

    def describe(self) -> str:
        """What it does, in a phrase for a report."""
        return f"exported to 8 bits over a window {self.width:g} times as wide as {span_words(self.scale)}"

    @property
    def shown(self) -> tuple[float, float]:
        """The other reader's window."""
        low, high = span(self.scale)
        centre, half = (low + high) / 2, (high - low) / 2 * self.width
        return centre - half, centre + half

    def __call__(self, images: Tensor) -> Tensor:
        """Values (B, C, *spatial) as the next reader sees them."""
        (low, high), (black, white) = span(self.scale), self.shown
        step = (white - black) / 255
        return each(images, lambda x: values(levels(x, black, step, 255), low, high, 255, x, self.scale.bounds))

    def soft(self, images: Tensor) -> Tensor:
        """The same; the contrast's own slope inside the window, 0 outside, straight through the rounding."""
        return through(self(images), images.clamp(*self.shown) / self.width)

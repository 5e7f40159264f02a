"""Which slices of a volume are shown, and how stored values become grey. A 2D image is one plane."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from palpate.audit.work import shading
from palpate.audit.work.outlines import Stack

MOST_SLICES = 9
"""Largest number of slices of a volume that are shown."""


@dataclass(frozen=True)
class Plane:
    """One plane of an image.

    Attributes:
        axis: spatial axis of the slices; None in 2D.
        index: which slice, from 0.
        count: how many slices there are.
        changed: pixels of this slice whose decision changed.
        aspect: width divided by height in mm.
    """

    axis: int | None
    index: int
    count: int
    changed: int
    aspect: float

    def of(self, image: Tensor) -> Tensor:
        """The plane (C, H, W) of an image (C, *spatial)."""
        return image if self.axis is None else image.select(self.axis + 1, self.place(image.shape[self.axis + 1]))

    def masks(self, stack: Stack) -> Stack:
        """The plane (S, H, W) of masks (S, *spatial)."""
        if self.axis is None:
            return stack
        axis = self.axis + 1
        return np.asarray(np.take(stack, self.place(stack.shape[axis]), axis=axis), dtype=bool)

    def place(self, size: int) -> int:
        """The index of this slice on a grid of another size along the axis."""
        return int((self.index + 0.5) / self.count * size)

    @property
    def suffix(self) -> str:
        """Part of a file name: the axis and the slice; empty in 2D."""
        return "" if self.axis is None else f"-{self.axis}-{self.index}"


def planes(
    spatial: Sequence[int], spacing: Sequence[float] | None, before: Stack | None, after: Stack | None
) -> list[Plane]:
    """The planes of an image that are shown.

    Of a volume: slices along its coarsest axis (the last axis if several are equal or the spacing is unknown), in
    their order. With masks: the slices whose masks changed most; if none changed, the one with the largest masks.
    Without masks: some evenly spaced slices.

    Args:
        spatial: size of the image.
        spacing: size of a pixel along each axis, or None.
        before: masks (S, *spatial) decided for the image as stored, or None.
        after: those decided for the adversarial image, on the same grid.
    """
    steps = tuple(spacing) if spacing else (1.0,) * len(spatial)
    if len(spatial) == 2:
        changed = 0 if before is None or after is None else int((before != after).any(axis=0).sum())
        return [Plane(None, 0, 1, changed, _aspect(spatial, steps))]
    axis = max(range(len(spatial)), key=lambda one: (steps[one], one))
    rest = [one for one in range(len(spatial)) if one != axis]
    aspect = _aspect([spatial[one] for one in rest], [steps[one] for one in rest])
    if before is None or after is None:
        count = spatial[axis]
        chosen = sorted(set(np.linspace(0, count - 1, min(count, MOST_SLICES) + 2)[1:-1].round().astype(int).tolist()))
        return [Plane(axis, index, count, 0, aspect) for index in chosen]
    changes, sizes = _per_slice(before ^ after, axis), _per_slice(before | after, axis)
    order = np.argsort(-changes, kind="stable")[:MOST_SLICES]
    chosen = sorted(int(index) for index in order if changes[index]) or [int(sizes.argmax())]
    return [Plane(axis, index, len(changes), int(changes[index]), aspect) for index in chosen]


def _per_slice(stack: Stack, axis: int) -> npt.NDArray[np.int64]:
    """Pixels of each slice that are in any of the masks (S, *spatial)."""
    union = np.asarray(stack.any(axis=0))
    others = tuple(one for one in range(union.ndim) if one != axis)
    return np.asarray(union.sum(axis=others), dtype=np.int64)


def _aspect(size: Sequence[int], steps: Sequence[float]) -> float:
    return round(size[1] * steps[1] / (size[0] * steps[0]), 4)


def window(image: Tensor, bounds: tuple[float, float], *, inverted: bool = False) -> tuple[float, float]:
    """Stored values of an image (C, *spatial) that are shown black and white; see `shading.window`."""
    return shading.window(image.detach().cpu().numpy(), bounds, inverted=inverted)


def shades(image: Tensor, bounds: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Stored values (C, H, W) as 8 bit (H, W, 3 or 1); see `shading.shades`."""
    return shading.shades(image.detach().cpu().numpy(), bounds)


def png(image: Tensor, bounds: tuple[float, float], text: str, **notes: str) -> bytes:
    """A PNG of 8 bit: stored values (C, H, W) in their `shades`.

    Args:
        image: stored values.
        bounds: values that are shown black and white; the first may be the higher one.
        text: description of the picture, stored in the file.
        notes: further texts that are stored in the file.
    """
    pixels = shades(image, bounds)
    picture = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
    note = PngInfo()
    for key, value in {"Description": text, "Software": "palpate", **notes}.items():
        note.add_text(key, value)
    sink = io.BytesIO()
    picture.save(sink, "PNG", pnginfo=note)
    return sink.getvalue()

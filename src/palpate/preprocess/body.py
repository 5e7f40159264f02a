"""Crop to the body: the largest connected part above a threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.preprocess.resampling import resized
from palpate.preprocess.step import axes, by, sized


@dataclass(frozen=True)
class CropToBody:
    """Cut every image to the box of its body, then resize: (B, C, *spatial) -> (B, C, *size), linear, anti-aliased.

    The body is the largest connected part (through faces) of what is above `threshold` in any channel; without one,
    the whole image is kept. The box is found on the values without a graph: gradients flow to the pixels inside it.
    They do not include how the box itself would move, because it moves in whole pixels.

    Attributes:
        threshold: in the values that reach this step: -500 for CT in HU, 10 of 255 for fundus photographs.
        margin: pixels that are added on every side, as far as the image has them.
        size: of the result along each spatial axis; one size for all, so that images can share a batch.

    Raises:
        InputError: a threshold that is not finite, a negative margin, a size below 1; or, when called, images of other
            dimensions.
    """

    threshold: float
    margin: int
    size: tuple[int, ...]

    def __post_init__(self) -> None:
        sized("crop_to_body.size", self.size)
        if not math.isfinite(self.threshold):
            raise InputError(f"preprocess.crop_to_body.threshold: {self.threshold:g} must be finite.")
        if self.margin < 0:
            raise InputError(f"preprocess.crop_to_body.margin: {self.margin} must be 0 or more.")

    def __call__(self, images: Tensor) -> Tensor:
        """The bodies, at one size."""
        axes("crop_to_body.size", self.size, images)
        return torch.cat([resized(image[None][(..., *self.box(image))], self.size) for image in images])

    def box(self, image: Tensor) -> tuple[slice, ...]:
        """Where the body of one image (C, *spatial) is."""
        from scipy import ndimage

        above = (image.detach() > self.threshold).any(0).cpu().numpy()
        parts, count = ndimage.label(above)
        if not count:
            return tuple(slice(0, length) for length in above.shape)
        largest = int(np.bincount(parts.ravel())[1:].argmax())
        found = ndimage.find_objects(parts)[largest]
        return tuple(
            slice(max(0, side.start - self.margin), min(length, side.stop + self.margin))
            for side, length in zip(found, above.shape, strict=True)
        )

    def describe(self) -> str:
        """What it does."""
        return f"crop to the body (above {self.threshold:g}, margin {self.margin}), resize to {by(self.size)}"

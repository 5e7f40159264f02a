"""Any steps in any order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.preprocess.body import CropToBody
from palpate.preprocess.geometry import CentreCrop, Pad, Reorder, Resample, Resize
from palpate.preprocess.step import Part, Step
from palpate.preprocess.values import Clip, Invert, Rescale, ToRGB, Window

_GRID = (Resample, Resize, Pad, CentreCrop, Reorder, CropToBody, ToRGB)
"""Steps that do not change what a value means."""


@dataclass(frozen=True)
class Chain:
    """Steps, one after the other: (B, C, *spatial) values -> the network's input. Each image separately, no state.

    It computes in the precision of the images, also under autocast, like preprocessing before a network.

    Attributes:
        steps: in order.
    """

    steps: tuple[Step, ...] = ()

    def __call__(self, images: Tensor) -> Tensor:
        """The network's input, differentiable in `images`.

        Raises:
            InputError: a step cannot be applied to images of this shape, or needs a spacing that is not known.
        """
        if images.ndim not in (4, 5):
            raise InputError(
                f"preprocess: images of shape {list(images.shape)}; expected (B, C, *spatial) in 2D or 3D."
            )
        with torch.autocast(images.device.type, enabled=False):
            for step in self.steps:
                images = step(images)
        return images

    @property
    def window(self) -> tuple[float, float] | None:
        """Lowest and highest value that the network can tell apart, in values of the images.

        What windows and clips leave, traced back through rescaling and inverting; None if no step cuts values off.
        Steps after a normalisation are ignored.
        """
        low, high = -float("inf"), float("inf")
        slope, intercept = 1.0, 0.0
        for step in self.steps:
            if isinstance(step, (Window, Clip)):
                edges = sorted((edge - intercept) / slope for edge in (step.low, step.high))
                low, high = max(low, edges[0]), min(high, edges[1])
            if isinstance(step, Window):
                width = step.high - step.low
                slope, intercept = slope / width, (intercept - step.low) / width
            elif isinstance(step, Rescale):
                slope, intercept = slope * step.slope, intercept * step.slope + step.intercept
            elif isinstance(step, Invert):
                slope, intercept = -slope, step.low + step.high - intercept
            elif not isinstance(step, (Clip, *_GRID)):
                break
        return (low, high) if -float("inf") < low < high < float("inf") else None

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its steps by name."""
        return tuple((type(step).__name__, step) for step in self.steps)

    @property
    def resamples(self) -> bool:
        """Whether it depends on the images' spacing, which `at` sets."""
        return any(isinstance(step, Resample) for step in self.steps)

    def at(self, spacing: tuple[float, ...] | None) -> Chain:
        """The chain for images of this spacing (mm per pixel along each spatial axis); itself without Resample."""
        if not self.resamples:
            return self
        return Chain(tuple(step.at(spacing) if isinstance(step, Resample) else step for step in self.steps))

    def describe(self) -> str:
        """What it does, in words for a report."""
        return "; ".join(step.describe() for step in self.steps) or "none"

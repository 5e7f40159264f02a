"""Steps that change the grid: resample, resize, pad, crop, reorder."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor

from palpate.errors import InputError
from palpate.preprocess.resampling import Mode, resized
from palpate.preprocess.step import axes, by, listed, positive, sized


@dataclass(frozen=True)
class Resample:
    """To another spacing: (B, C, *n) -> (B, C, *round(n * of / spacing)), linear, anti-aliased where an axis shrinks.

    The new grid covers the same field of view, as nnU-Net's resampling does, so its spacing differs from `spacing` by
    the rounding of the size.

    Attributes:
        spacing: mm per pixel of the result along each spatial axis, in the order of the images' axes.
        of: mm per pixel of the images; `Chain.at` fills it in.

    Raises:
        InputError: a spacing is not above zero; or, when called, the images' spacing is not known.
    """

    spacing: tuple[float, ...]
    of: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        positive("resample.spacing", self.spacing)
        if self.of is not None:
            positive("resample.of", self.of)
            if len(self.of) != len(self.spacing):
                raise InputError(
                    f"preprocess.resample.spacing: {list(self.spacing)} has {len(self.spacing)} numbers, and the "
                    f"images have {len(self.of)} spatial dimensions."
                )

    def at(self, spacing: tuple[float, ...] | None) -> Resample:
        """The step for images of this spacing."""
        return replace(self, of=spacing)

    def __call__(self, images: Tensor) -> Tensor:
        """Images on the new grid."""
        if self.of is None:
            raise InputError(
                "preprocess.resample.spacing: the files of the images do not all give the same size of a pixel, so the "
                "factor is not known. Give data.spacing in mm, or use resize instead of resample."
            )
        axes("resample.spacing", self.spacing, images)
        steps = zip(images.shape[2:], self.of, self.spacing, strict=True)
        size = tuple(max(1, math.floor(n * now / then + 0.5)) for n, now, then in steps)
        sized("resample.spacing", size)
        return resized(images, size)

    def describe(self) -> str:
        """What it does."""
        return f"resample to {by(self.spacing)} mm"


@dataclass(frozen=True)
class Resize:
    """To another size: (B, C, *spatial) -> (B, C, *size), the same field of view.

    Deployed pipelines differ here, and outputs of networks differ with them. Pillow and torchvision: the default.
    OpenCV's INTER_LINEAR and torch without antialias: `antialias = false`. Pillow's BICUBIC: `mode = "cubic"`.
    OpenCV's INTER_AREA, at whole factors: `mode = "area"`.

    Attributes:
        size: along each spatial axis.
        mode: `linear` (bilinear, trilinear), `cubic`, `nearest` (by centres) or `area` (mean of the covered pixels).
        antialias: widen the kernel of `linear` and `cubic` where an axis shrinks.

    Raises:
        InputError: a size below 1 or an unknown mode; or, when called, images of other dimensions.
    """

    size: tuple[int, ...]
    mode: Mode = "linear"
    antialias: bool = True

    def __post_init__(self) -> None:
        sized("resize.size", self.size)
        if self.mode not in ("linear", "cubic", "nearest", "area"):
            raise InputError(f"preprocess.resize.mode: '{self.mode}' is not linear, cubic, nearest or area.")

    def __call__(self, images: Tensor) -> Tensor:
        """Images of the new size."""
        axes("resize.size", self.size, images)
        return resized(images, self.size, self.mode, self.antialias)

    def describe(self) -> str:
        """What it does."""
        kernel: list[str] = [] if self.mode == "linear" else [self.mode]
        if not self.antialias and self.mode in ("linear", "cubic"):
            kernel.append("without antialiasing")
        return f"resize to {by(self.size)}" + (f" ({', '.join(kernel)})" if kernel else "")


@dataclass(frozen=True)
class Pad:
    """To at least a size: (B, C, *spatial) -> (B, C, *max(spatial, size)), the image in the centre.

    An odd pixel is added at the end, as in MONAI's SpatialPad.

    Attributes:
        size: along each spatial axis.
        value: of the new pixels.

    Raises:
        InputError: a size below 1, a value that is not finite; or, when called, images of other dimensions.
    """

    size: tuple[int, ...]
    value: float = 0.0

    def __post_init__(self) -> None:
        sized("pad.size", self.size)
        if not math.isfinite(self.value):
            raise InputError(f"preprocess.pad.value: {self.value:g} must be finite.")

    def __call__(self, images: Tensor) -> Tensor:
        """Images with a border."""
        axes("pad.size", self.size, images)
        missing = [max(0, wanted - now) for wanted, now in zip(self.size, images.shape[2:], strict=True)]
        # torch counts from the last axis.
        widths = [width for gap in reversed(missing) for width in (gap // 2, gap - gap // 2)]
        return F.pad(images, widths, value=self.value)

    def describe(self) -> str:
        """What it does."""
        return f"pad to {by(self.size)} with {self.value:g}"


@dataclass(frozen=True)
class CentreCrop:
    """To at most a size: (B, C, *spatial) -> (B, C, *min(spatial, size)), the centre, as MONAI's CenterSpatialCrop.

    Attributes:
        size: along each spatial axis.

    Raises:
        InputError: a size below 1; or, when called, images of other dimensions.
    """

    size: tuple[int, ...]

    def __post_init__(self) -> None:
        sized("centre_crop.size", self.size)

    def __call__(self, images: Tensor) -> Tensor:
        """The centre of images."""
        axes("centre_crop.size", self.size, images)
        for axis, wanted in enumerate(self.size, start=2):
            now = images.shape[axis]
            if wanted < now:
                images = images.narrow(axis, now // 2 - wanted // 2, wanted)
        return images

    def describe(self) -> str:
        """What it does."""
        return f"crop the centre {by(self.size)}"


@dataclass(frozen=True)
class Reorder:
    """Spatial axes in another order, then some of them reversed, to the orientation that the network was trained in.

    Palpate reads images with the axes of the file. Values move but do not change.

    Attributes:
        axes: which axis of the image becomes the first, second ... of the result, from 0; empty keeps the order.
        flip: axes of the result that are reversed.

    Raises:
        InputError: not a permutation, or an axis that images do not have.
    """

    axes: tuple[int, ...] = ()
    flip: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if sorted(self.axes) != list(range(len(self.axes))):
            raise InputError(f"preprocess.reorder.axes: {list(self.axes)} must name each axis once, from 0.")
        if len(set(self.flip)) != len(self.flip) or any(axis < 0 for axis in self.flip):
            raise InputError(f"preprocess.reorder.flip: {list(self.flip)} must name axes once, from 0.")

    def __call__(self, images: Tensor) -> Tensor:
        """Images in the other orientation."""
        if self.axes:
            axes("reorder.axes", self.axes, images)
            images = images.permute(0, 1, *(axis + 2 for axis in self.axes))
        if any(axis >= images.ndim - 2 for axis in self.flip):
            raise InputError(
                f"preprocess.reorder.flip: {list(self.flip)} names an axis that images of {images.ndim - 2} spatial "
                "dimensions do not have. They are counted from 0."
            )
        return images.flip([axis + 2 for axis in self.flip]) if self.flip else images

    def describe(self) -> str:
        """What it does."""
        parts = [f"axes in the order {listed(self.axes)}"] if self.axes else []
        parts += [f"axes {listed(self.flip)} reversed"] if self.flip else []
        return ", ".join(parts) or "axes as they are"

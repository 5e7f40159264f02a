"""One MONAI transform applied to one image, and which transforms an audit refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.preprocess.statistics import PerImage
from palpate.preprocess.values import Normalise

Transform = Callable[[Any], Any]


class Applied:
    """A transform as a map of one image (C, *spatial) and its affine."""

    def __init__(self, transform: Transform, keyed: bool):
        self.transform = transform
        self.keyed = keyed
        self.name = getattr(transform, "__name__", type(transform).__name__)
        self._twin = twin(transform)

    def __call__(self, image: Tensor, affine: Tensor) -> tuple[Tensor, Tensor]:
        """The transformed image and its new affine.

        Raises:
            InputError: the transform fails, or returns something that is not an image.
        """
        if self._twin is None or not (torch.is_grad_enabled() and image.requires_grad):
            return self._run(image, affine)
        with torch.no_grad():
            value, affine = self._run(image.detach().clone(), affine)
        exact = self._twin(image[None])[0]
        # The value is exactly MONAI's; the gradient is that of the same function written in torch.
        return exact + (value - exact).detach(), affine

    def _run(self, image: Tensor, affine: Tensor) -> tuple[Tensor, Tensor]:
        from monai.data.meta_tensor import MetaTensor

        # The metadata say that channels come first. A clone, because some transforms write into their input.
        data = MetaTensor(image.clone(), affine=affine, meta={"original_channel_dim": 0})
        try:
            result = self.transform({"image": data} if self.keyed else data)
        except Exception as error:
            raise InputError(self._failure(image, error)) from error
        if self.keyed and isinstance(result, dict):
            result = result.get("image")
        if isinstance(result, MetaTensor):
            return result.as_tensor(), torch.as_tensor(result.affine)
        if isinstance(result, np.ndarray):
            return torch.as_tensor(result, device=image.device), affine
        if isinstance(result, Tensor):
            return result, affine
        raise InputError(
            f"preprocess.monai: {self.name} returned {type(result).__name__}, not an image. Leave it out, or end the "
            "transforms before it."
        )

    def _failure(self, image: Tensor, error: Exception) -> str:
        said = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
        if isinstance(error, KeyError):
            return (
                f"preprocess.monai: {self.name} needs {said} next to the image. Return the transforms of deployment, "
                'whose only key is "image".'
            )
        if image.requires_grad and "inplace" in said.replace("-", ""):
            return f"preprocess.monai: {self.name} blocks gradients: it writes into its input. {FIX}"
        return (
            f"preprocess.monai: {self.name} fails on an image of shape {list(image.shape)}: {type(error).__name__}: "
            f"{said[:200]}. Correct the transforms."
        )


FIX = (
    "Replace it, or pass gradients through it unchanged: straight_through = true in [model.preprocess]. "
    "Attacks may then be weaker than they could be."
)


def twin(transform: Transform) -> PerImage | Normalise | None:
    """A function that computes the same as a transform that blocks autograd; None if there is none.

    MONAI's NormalizeIntensity reads mean and deviation as plain numbers, so that autograd treats them as
    constants, and writes channels in place.
    """
    if type(transform).__name__ == "NormalizeIntensityd":
        transform = transform.normalizer  # type: ignore[attr-defined]
    if type(transform).__name__ != "NormalizeIntensity":
        return None
    own: Any = transform
    if own.subtrahend is None and own.divisor is None:
        return PerImage("zscore", nonzero=own.nonzero, channelwise=own.channel_wise)
    if own.channel_wise and not own.nonzero and own.subtrahend is not None and own.divisor is not None:
        mean, std = (tuple(float(number) for number in given) for given in (own.subtrahend, own.divisor))
        return Normalise(mean, std) if min(std) > 0 else None
    return None


def flat(compose: Any) -> tuple[Transform, ...]:
    """The transforms of a Compose, of Composes inside it, or of a list, in order."""
    from monai.transforms.compose import Compose

    if type(compose) is Compose:
        return tuple(one for transform in compose.transforms for one in flat(transform))
    if isinstance(compose, (tuple, list)):
        return tuple(one for transform in compose for one in flat(transform))
    return (compose,)


def keyed(transforms: tuple[Transform, ...]) -> bool:
    """Whether the transforms take dictionaries."""
    from monai.transforms.transform import MapTransform

    return any(isinstance(transform, MapTransform) for transform in transforms)


def is_spacing(transform: Transform) -> bool:
    """Whether a transform depends on the size of a pixel."""
    return type(transform).__name__ in ("Spacing", "Spacingd")


_PLACES = (
    *("EnsureChannelFirst", "EnsureType", "ToTensor", "Identity", "Spacing", "Resize", "Zoom", "SpatialPad", "Pad"),
    *("CenterSpatialCrop", "SpatialCrop", "CropForeground", "ResizeWithPadOrCrop", "Flip", "Rotate90", "Transpose"),
)
"""Transforms that do not change what a value means."""


def window(transforms: tuple[Transform, ...]) -> tuple[float, float] | None:
    """The limits of a ScaleIntensityRange with clip, if no transform before it changes what values mean."""
    for transform in transforms:
        name = type(transform).__name__.removesuffix("d")
        if name == "ScaleIntensityRange":
            scaler: Any = getattr(transform, "scaler", transform)
            return (float(scaler.a_min), float(scaler.a_max)) if scaler.clip else None
        if name not in _PLACES:
            return None
    return None


def affine(spacing: tuple[float, ...] | None) -> Tensor:
    """Voxel to mm for images of this spacing, axes as they are; 1 mm if it is not known."""
    sides = [*(spacing or ()), 1.0, 1.0, 1.0][:3]
    return torch.diag(torch.tensor([*sides, 1.0], dtype=torch.float64))


def check(transforms: tuple[Transform, ...], reference: str) -> None:
    """Refuse transforms that an audit cannot use.

    Raises:
        InputError: nothing to apply; random, file-reading or lazy transforms; another key than `image`.
    """
    for transform in transforms:
        name = type(transform).__name__
        where = f"preprocess.monai: {name} of {reference}"
        if not callable(transform):
            raise InputError(f"preprocess.monai: {reference} gives {name}, which is not a transform.")
        if _draws(transform):
            raise InputError(
                f"{where} uses random numbers: it is for training. Return the transforms that are used in deployment, "
                "without it."
            )
        if name.rstrip("dD").removesuffix("Dict") in ("LoadImage", "SaveImage"):
            raise InputError(f"{where} works on files. Leave it out: palpate reads the images itself.")
        if name.startswith("Orientation"):
            raise InputError(
                f"{where} needs the scanner's axes, and preprocessing sees values in the order of the file. Use the "
                "steps of palpate with reorder, or Flip and Transpose of MONAI."
            )
        if getattr(transform, "lazy", False):
            raise InputError(f"{where} is lazy, and gives another result if it is run step by step. Set lazy to False.")
        if set(getattr(transform, "keys", ("image",))) != {"image"}:
            raise InputError(
                f'{where} has the keys {list(transform.keys)}. Return transforms whose only key is "image".'  # type: ignore[attr-defined]
            )


def _draws(transform: Any) -> bool:
    from monai.transforms.transform import Randomizable

    return isinstance(transform, Randomizable)

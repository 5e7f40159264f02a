"""The user's own MONAI transforms as a preprocessing, image by image, with gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.preprocess import monai_parts
from palpate.preprocess.monai_parts import Applied
from palpate.preprocess.step import Part
from palpate.preprocess.straight_through import passed_through


@dataclass(frozen=True)
class MonaiChain:
    """A `monai.transforms.Compose`, or a list of transforms, applied to every image (C, *spatial) separately.

    Array transforms, or dictionary transforms with the one key `image`. Values leave torch only if a MONAI transform
    does that. It is identified by where it comes from; the transforms are not part of its identity.

    With `straight_through`, a transform that blocks the gradient (`blocked` names them) passes it on as if the
    transform were the identity, or linear interpolation if it changes the shape (BPDA: Athalye et al. 2018). The
    network still sees what MONAI computes. Attacks may be weaker than with the true gradient.

    Attributes:
        reference: where the transforms come from, `file.py:function`.
        digest: SHA-256 of that file.
        straight_through: whether a transform that blocks the gradient passes it on.
        spacing: mm per pixel of the images, for MONAI's Spacing; `at` fills it in.
        compose: the transforms.

    Raises:
        InputError: random transforms, or transforms that need the file (LoadImage, Orientation).
    """

    reference: str
    digest: str = ""
    straight_through: bool = False
    spacing: tuple[float, ...] | None = None
    compose: Any = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.compose is not None:
            monai_parts.check(self._transforms, self.reference)

    @property
    def _transforms(self) -> tuple[Callable[[Any], Any], ...]:
        if self.compose is None:
            raise InputError(f"preprocess.monai: the transforms of {self.reference} are not loaded.")
        return monai_parts.flat(self.compose)

    def __call__(self, images: Tensor) -> Tensor:
        """The network's input for values (B, C, *spatial).

        Raises:
            InputError: a transform fails, or the results for several images have different shapes.
        """
        applied = self._applied
        with torch.autocast(images.device.type, enabled=False):
            results = [self._one(image, applied) for image in images]
        shapes = {tuple(result.shape) for result in results}
        if len(shapes) > 1:
            shown = " and ".join(str(list(shape)) for shape in sorted(shapes)[:2])
            raise InputError(
                f"preprocess.monai: the images of one batch have the shapes {shown} after the transforms. End them "
                "with one that gives all images one size, or audit with run.batch = 1."
            )
        return torch.stack(results).to(images.dtype)

    @property
    def _applied(self) -> tuple[Applied, ...]:
        keyed = monai_parts.keyed(self._transforms)
        return tuple(Applied(transform, keyed) for transform in self._transforms)

    def _one(self, image: Tensor, applied: tuple[Applied, ...]) -> Tensor:
        affine = monai_parts.affine(self.spacing)
        through = self.straight_through and torch.is_grad_enabled()
        for transform in applied:
            if through and image.requires_grad:
                image, affine = passed_through(transform, image, affine)
            else:
                image, affine = transform(image, affine)
        return image

    @property
    def window(self) -> tuple[float, float] | None:
        """Lowest and highest value that the network can tell apart: those of a first ScaleIntensityRange with clip."""
        return monai_parts.window(self._transforms)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its transforms by name, without straight-through, as maps of a batch."""
        affines: dict[int, Tensor] = {}
        return tuple(
            (transform.name, partial(_batch, transform, number, affines, monai_parts.affine(self.spacing)))
            for number, transform in enumerate(self._applied)
        )

    @property
    def resamples(self) -> bool:
        """Whether MONAI's Spacing is among the transforms, which depends on the images' spacing."""
        return any(monai_parts.is_spacing(transform) for transform in self._transforms)

    def at(self, spacing: tuple[float, ...] | None) -> MonaiChain:
        """The chain for images of this spacing (mm per pixel along each spatial axis); itself without MONAI's Spacing.

        Raises:
            InputError: Spacing is among the transforms, and the images' spacing is not known.
        """
        if not self.resamples:
            return self
        if spacing is None:
            raise InputError(
                "preprocess.monai: Spacing needs the size of a pixel, and the files of the images do not all give the "
                "same. Give data.spacing in mm, or use Resize."
            )
        return replace(self, spacing=tuple(spacing))

    def describe(self) -> str:
        """What it does, in words for a report."""
        names = ", ".join(transform.name for transform in self._applied) if self.compose is not None else "not loaded"
        through = "; straight-through gradients where a transform blocks them" if self.straight_through else ""
        return f"MONAI: {names} ({self.reference}){through}"


def _batch(transform: Applied, number: int, affines: dict[int, Tensor], first: Tensor, images: Tensor) -> Tensor:
    # Transforms are tried in order; each gets the grid that the one before returned.
    pairs = [transform(image, affines.get(number - 1, first)) for image in images]
    affines[number] = pairs[0][1]
    return torch.stack([result for result, _ in pairs])

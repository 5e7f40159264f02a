"""All that nnU-Net v2 does around a network, from stored values to logits on their grid, differentiable."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.models.nnunet.folder import Trained
from palpate.models.nnunet.network import Folds, Told
from palpate.models.nnunet.normalising import Array, Box, Normalisation, box_of, filled
from palpate.models.nnunet.regions import region_logits
from palpate.models.nnunet.resampling import Resampling, resampled_size
from palpate.models.nnunet.windows import STEP, SteppedWindows, Windows

_FAR = 999.0
"""Spacing between the slices of a flat image, as a multiple of its largest pixel."""
_OUTSIDE = -30.0
"""Logit of what lies outside of the crop, where nnU-Net says background: a probability of 1e-13."""
_PREPROCESSOR = "DefaultPreprocessor"
_SPLINES, _NEVER = "resample_data_or_seg_to_shape", "no_resampling_data_or_seg_to_shape"
_SCHEMES: Mapping[str, Any] = {
    "ZScoreNormalization": "z-score",
    "CTNormalization": "CT",
    "RescaleTo01Normalization": "0 to 1",
    "RGBTo01Normalization": "RGB",
    "NoNormalization": "none",
}


class Surveyed(NamedTuple):
    """What is known of an image before it is resampled.

    Attributes:
        size: voxels along each axis of the plan's grid.
        channels: how each channel is normalised, by numbers of this image.
    """

    size: tuple[int, ...]
    channels: tuple[Normalisation, ...]


class Prepared(NamedTuple):
    """An image on the grid that the windows slide over, with nnU-Net's axes.

    Attributes:
        values: (C, *grid) in stored values: with `Surveyed.channels` they become what the network sees, to rounding.
        marks: (S, *grid) each.
    """

    values: Tensor
    marks: tuple[Tensor, ...]


class _Crop(NamedTuple):
    """An image without its margin of zeros.

    Attributes:
        values: (C, *crop) with nnU-Net's axes.
        numbers: the same as nnU-Net has them in memory.
        inside: what is normalised, for schemes with a mask.
        box: where it is.
        now: spacing in mm.
        then: that of the plan.
    """

    values: Tensor
    numbers: Array
    inside: Array | None
    box: Box
    now: list[float]
    then: list[float]

    @property
    def size(self) -> tuple[int, ...]:
        """Voxels on the plan's grid."""
        return resampled_size(self.values.shape[1:], self.now, self.then)


@dataclass(frozen=True)
class NnUNet:
    """The deployed pipeline of an nnU-Net: what it decides is voxel for voxel what `nnUNetPredictor` on a CPU decides.

    In order: axes as nnU-Net's reader and `transpose_forward` have them; crop to what is not zero in some channel;
    normalisation; resampling to the plan's spacing; windows with mirrors, averaged over folds; logits resampled back;
    background outside of the crop; axes as in the image. Regions become one logit each (`region_logits`).

    The crop and the mask follow the attacked image, as deployed: noise on a background of zeros moves them. Between
    such moves the gradient is exact; rounding to half precision is passed through.

    Attributes:
        transpose: `transpose_forward`.
        spacing: mm of a voxel in the plan, two numbers for a 2D network.
        windows: the sliding windows.
        channels: how each channel is normalised.
        images: how images are resampled.
        logits: how logits are resampled back.
        reader: `scanner` files have their axes reversed by nnU-Net, `picture` files have a spacing of one pixel.
        painted: value that each region paints; empty without regions.
        members: values of each region.
        of: spacing of the images along their own axes in mm; `at` fills it in.
    """

    transpose: tuple[int, ...]
    spacing: tuple[float, ...]
    windows: Windows
    channels: tuple[Normalisation, ...]
    images: Resampling
    logits: Resampling
    reader: str = "scanner"
    painted: tuple[int, ...] = ()
    members: tuple[tuple[int, ...], ...] = ()
    of: tuple[float, ...] | None = None

    def at(self, spacing: tuple[float, ...] | None) -> NnUNet:
        """The same for images of this spacing (mm per pixel along each spatial axis)."""
        return self if self.reader == "picture" else replace(self, of=spacing)

    def __call__(self, inputs: Tensor, network: Any) -> Tensor:
        """Logits (B, K, *spatial) for stored values (B, C, *spatial), differentiable; each image by itself.

        Raises:
            InputError: the spacing is not known, or the images have other channels or axes than the model.
        """
        return torch.stack([self._one(image, network) for image in inputs])

    def example(self, inputs: Tensor) -> Tensor:
        """The first window (1, C, *patch) as the network sees it."""
        with torch.no_grad():
            return self.windows.first(self._seen(self._turned(inputs[0].detach()))[0])

    def describe(self) -> str:
        """What it does, in a phrase for a report."""
        spacing = " x ".join(f"{length:g}" for length in self.spacing)
        patch = " x ".join(map(str, self.windows.patch))
        mirrored = f", mirrored along axes {', '.join(map(str, self.windows.mirrors))}" if self.windows.mirrors else ""
        apart = f", {self.windows.apart:g} of a patch apart" if self.windows.apart != STEP else ""
        schemes = ", ".join(dict.fromkeys(one.scheme for one in self.channels))
        return (
            f"nnU-Net's own pipeline: crop to what is not zero, normalise ({schemes}), resample to {spacing} mm, "
            f"windows of {patch} with Gaussian weights{apart}{mirrored}, resample back"
        )

    def _one(self, image: Tensor, network: Any) -> Tensor:
        turned = self._turned(image)
        data, crop = self._seen(turned)
        logits = self.windows(data, list(network.folds) if isinstance(network, Folds) else [network])
        logits = self.logits.logits(logits, crop.values.shape[1:], crop.then, crop.now)
        if self.painted:
            logits = region_logits(logits, self.painted, self.members)
        return self._turned_back(_uncropped(logits, crop.box, turned.shape[1:], bool(self.painted)), image.ndim)

    def surveyed(self, image: Tensor) -> Surveyed:
        """How large an image (C, *spatial) is on the plan's grid, and its normalisation; as in `prepared`.

        Raises:
            InputError: a channel has one value only.
        """
        crop = self._cropped(self._turned(image))
        return Surveyed(crop.size if self.images.resamples else tuple(crop.values.shape[1:]), self._held(crop))

    def prepared(self, image: Tensor, *marks: Tensor) -> Prepared:
        """An image (C, *spatial) and marks (S, *spatial) as patches for a training are cut from them.

        Marks are resampled as nnU-Net resamples labels.

        Raises:
            InputError: a channel has one value only.
        """
        turned = self._turned(image)
        data, crop = self._seen(turned)
        channels = self._held(crop)
        clipped = any(math.isfinite(one.high - one.low) for one in channels)
        stored = self.images(crop.values, crop.size, crop.now, crop.then) if clipped else data
        values = [one.undone(*pair) for one, *pair in zip(channels, data, stored, strict=True)]
        step, place = replace(self.images, order=1), (slice(None), *crop.box)
        found = (step.labels(self._turned(mark)[place], crop.size, crop.now, crop.then) for mark in marks)
        return Prepared(torch.stack(values), tuple(found))

    def _seen(self, turned: Tensor) -> tuple[Tensor, _Crop]:
        """What the network's windows slide over, and what it is made of."""
        crop = self._cropped(turned)
        parts = zip(self.channels, crop.values, crop.numbers, strict=True)
        data = torch.stack([one(channel, numbers, crop.inside) for one, channel, numbers in parts])
        return self.images(data, crop.size, crop.now, crop.then), crop

    def _held(self, crop: _Crop) -> tuple[Normalisation, ...]:
        pairs = zip(self.channels, crop.numbers, strict=True)
        return tuple(one.held(numbers, crop.inside) for one, numbers in pairs)

    def _cropped(self, turned: Tensor) -> _Crop:
        if len(self.channels) != len(turned):
            raise InputError(
                f"model.nnunet: it was trained on {len(self.channels)} channels, and the images have {len(turned)}. "
                "Give the channels of its dataset.json, in that order."
            )
        # NumPy sums in the order of memory, so the numbers must lie as nnU-Net's reader leaves them.
        back = np.argsort(self.transpose)
        plain = turned.detach().permute(0, *(int(axis) + 1 for axis in back)).cpu().contiguous().numpy()
        held = plain.transpose(0, *(axis + 1 for axis in self.transpose))
        box, mask = box_of(held)
        inside = filled(mask, box, held.shape[1:]) if any(one.masked for one in self.channels) else None
        now = self._spacing(turned.ndim - 1)
        then = [now[0], *self.spacing] if len(self.spacing) < len(now) else list(self.spacing)
        return _Crop(turned[(slice(None), *box)], held[(slice(None), *box)], inside, box, now, then)

    def _spacing(self, axes: int) -> list[float]:
        """Spacing of the image along nnU-Net's axes."""
        if self.reader == "picture":
            own = [_FAR, 1.0, 1.0]
        elif self.of is None:
            raise InputError(
                "model.nnunet: the files of the images do not give the size of a voxel, and nnU-Net resamples by it. "
                "Give data.spacing in mm."
            )
        else:
            own = [abs(length) for length in reversed(self.of)]
            own = [max(own) * _FAR, *own] if len(own) < axes else own
        return [own[axis] for axis in self.transpose]

    def _turned(self, image: Tensor) -> Tensor:
        """(C, *spatial) with nnU-Net's axes."""
        spatial = list(range(1, image.ndim))
        turned = image.permute(0, *(spatial if self.reader == "picture" else reversed(spatial)))
        turned = turned[:, None] if turned.ndim == len(self.transpose) else turned
        return turned.permute(0, *(axis + 1 for axis in self.transpose))

    def _turned_back(self, logits: Tensor, axes: int) -> Tensor:
        back = [int(axis) + 1 for axis in np.argsort(self.transpose)]
        logits = logits.permute(0, *back)
        logits = logits[:, 0] if axes < logits.ndim else logits
        spatial = list(range(1, logits.ndim))
        return logits.permute(0, *(spatial if self.reader == "picture" else reversed(spatial))).contiguous()


def pipeline_of(trained: Trained, told: Told, *, mirror: bool = True, step: float = STEP) -> NnUNet:
    """The pipeline that a trained folder describes.

    Args:
        trained: the folder.
        told: what its checkpoint says.
        mirror: whether windows are mirrored along the axes of the checkpoint; False is `--disable_tta` of nnU-Net.
        step: how far apart windows are, as a share of a patch; `-step_size` of nnU-Net.

    Raises:
        InputError: its plan names parts that palpate does not rebuild.
    """
    path, plan = trained.folder / "plans.json", trained.configuration(told.configuration)
    if plan.get("preprocessor_name", _PREPROCESSOR) != _PREPROCESSOR:
        raise InputError(f"model.nnunet: {path} preprocesses with {plan['preprocessor_name']}, not {_PREPROCESSOR}.")
    regions = trained.dataset.regions
    patch, mirrors = tuple(int(n) for n in plan["patch_size"]), told.mirrors if mirror else ()
    return NnUNet(
        transpose=tuple(int(axis) for axis in trained.plans["transpose_forward"]),
        spacing=tuple(float(length) for length in plan["spacing"]),
        windows=Windows(patch, mirrors) if step == STEP else SteppedWindows(patch, mirrors, step),
        channels=_channels(trained, plan),
        images=_resampling(plan, "data", path),
        logits=_resampling(plan, "probabilities", path),
        reader=trained.reader,
        painted=trained.painted,
        members=tuple(trained.dataset.labels.values()) if regions else (),
    )


def _channels(trained: Trained, plan: Mapping[str, Any]) -> tuple[Normalisation, ...]:
    path = trained.folder / "plans.json"
    schemes, masks = plan["normalization_schemes"], plan["use_mask_for_norm"]
    if unknown := [name for name in schemes if name not in _SCHEMES]:
        raise InputError(f"model.nnunet: {path} normalises with {unknown[0]}, which palpate does not know.")
    if not len(schemes) == len(masks) == len(trained.channels):
        raise InputError(
            f"model.nnunet: {path} normalises {len(schemes)} channels, and dataset.json names {len(trained.channels)}. "
            "They are of different trainings: copy both from one."
        )
    older = trained.plans.get("foreground_intensity_properties_by_modality", {})
    known = trained.plans.get("foreground_intensity_properties_per_channel", older)
    return tuple(
        _normalisation(_SCHEMES[name], bool(mask), known.get(str(index), {}), path)
        for index, (name, mask) in enumerate(zip(schemes, masks, strict=True))
    )


def _normalisation(scheme: Any, masked: bool, known: Mapping[str, Any], path: Any) -> Normalisation:
    if scheme != "CT":
        return Normalisation(scheme, masked and scheme == "z-score")
    keys = ("mean", "std", "percentile_00_5", "percentile_99_5")
    if missing := [key for key in keys if key not in known]:
        raise InputError(f"model.nnunet: {path} lacks '{missing[0]}' of the training images, which CT needs.")
    return Normalisation("CT", False, *(float(known[key]) for key in keys))


def _resampling(plan: Mapping[str, Any], what: str, path: Any) -> Resampling:
    name, given = plan[f"resampling_fn_{what}"], plan[f"resampling_fn_{what}_kwargs"]
    if name == _NEVER:
        return Resampling(0, False, "none")
    plain = not given.get("is_seg", False) and given.get("order_z", 0) == 0
    if name != _SPLINES or not plain:
        raise InputError(
            f"model.nnunet: {path} resamples with {name} {dict(given)}, and palpate knows {_SPLINES} with order_z 0."
        )
    return Resampling(int(given.get("order", 3)), given.get("force_separate_z", False))


def _uncropped(logits: Tensor, box: Sequence[slice], size: Sequence[int], regions: bool) -> Tensor:
    if tuple(logits.shape[1:]) == tuple(size):
        return logits
    whole = logits.new_full((len(logits), *size), _OUTSIDE)
    if not regions:
        whole[0] = 0
    whole[(slice(None), *box)] = logits
    return whole

"""Changes of training images that keep their annotation: shifts, flips, or the user's own function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from palpate.annotations import Boxes, Masks
from palpate.contracts import Limits
from palpate.errors import InputError
from palpate.hardening.own_parts import made_by
from palpate.tensors import Tree, spread
from palpate.usercode import ModelError, UserCode, said

_FARTHEST = 0.06
"""Largest shift as a share of an axis."""
_ENOUGH = 0.5
"""Share of a box's area that must stay in the image."""


class Sample(NamedTuple):
    """One training image with its annotation: each with a first axis of one."""

    image: Tensor
    targets: Tree
    limits: Limits


class Augment(Protocol):
    """Changes one sample with random numbers from a generator."""

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """The changed sample; the given one is not written to."""


@dataclass(frozen=True)
class Shift:
    """Move the image by whole pixels, by up to 6 % of each axis; the edge is repeated. Stored values stay the same."""

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """The moved sample."""
        for axis, length in enumerate(sample.image.shape[2:]):
            most = int(length * _FARTHEST)
            by = int(torch.randint(-most, most + 1, (1,), generator=generator))
            index = (torch.arange(length, device=sample.image.device) - by).clamp(0, length - 1)
            sample = _indexed(sample, axis, index)
            if isinstance(sample.targets, Boxes) and by:
                sample = sample._replace(targets=_moved(sample.targets, axis, by / length))
        return sample


@dataclass(frozen=True)
class Flips:
    """Flip each axis with probability 1/2; for images without a fixed orientation, such as fundus or endoscopy.

    Attributes:
        axes: only these spatial axes, from 0; None: all.
    """

    axes: tuple[int, ...] | None = None

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """The flipped sample."""
        for axis, length in enumerate(sample.image.shape[2:]):
            if (self.axes is None or axis in self.axes) and torch.rand(1, generator=generator) < 0.5:
                index = torch.arange(length - 1, -1, -1, device=sample.image.device)
                sample = _indexed(sample, axis, index)
                if isinstance(sample.targets, Boxes):
                    sample = sample._replace(targets=_mirrored(sample.targets, axis))
        return sample


@dataclass(frozen=True)
class InTurn:
    """One change after the other.

    Attributes:
        parts: the changes.
    """

    parts: tuple[Augment, ...]

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """The sample after all of them."""
        for part in self.parts:
            sample = part(sample, generator)
        return sample


@dataclass(frozen=True)
class Own:
    """The user's function `(image (C, *spatial), annotation, generator) -> (image, annotation)`.

    The annotation is a class (0-dimensional), findings (K,), labels of masks, or `Boxes` without the first axis. What
    it returns is clipped to the bounds, and rounded to the stored steps if the images have them.
    """

    function: Callable[..., Any]
    name: str
    bounds: tuple[float, float]

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """The changed sample.

        Raises:
            InputError: the function fails, or returns something else.
        """
        first = _first(sample.targets)
        try:
            with UserCode(None):
                returned = self.function(sample.image[0].clone(), first, generator)
        except ModelError as error:
            what = f"fails with {said(error.cause)}"
            raise InputError(f"harden.augment: {self.name} {what}. Correct the function.") from error
        if not (isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[0], Tensor)):
            raise InputError(f"harden.augment: {self.name} must return (image, annotation): a tensor and what it got.")
        image = returned[0][None].to(sample.image)
        if image.shape[:2] != sample.image.shape[:2] or image.ndim != sample.image.ndim or not image.numel():
            raise InputError(
                f"harden.augment: {self.name} returned an image of shape {list(image.shape[1:])} for one of "
                f"{list(sample.image.shape[1:])}. Return (C, *spatial) with the same channels."
            )
        if not bool(image.isfinite().all()):
            raise InputError(f"harden.augment: {self.name} must return a finite image (C, *spatial).")
        targets = self._annotation(sample.targets, returned[1], image)
        if sample.limits.step is not None and sample.limits.origin is not None:
            step, origin = (spread(part, image.double()) for part in (sample.limits.step, sample.limits.origin))
            image = (origin + step * ((image.double() - origin) / step).round()).to(image)
        return sample._replace(image=image.clamp(*self.bounds), targets=targets)

    def _annotation(self, like: Tree, given: Any, image: Tensor) -> Tree:
        """What the function returned, with the first axis again."""
        try:
            return _whole(like, given, tuple(image.shape[2:]))
        except (TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise InputError(
                f"harden.augment: {self.name} returned (image, annotation) with another annotation than it got "
                f"({_said(given)}). Return one of the same kind and shape; of masks, on the grid of the image."
            ) from error


def augment_of(named: str, root: Path, bounds: tuple[float, float], *, region: bool) -> Augment | None:
    """The augmentation that `harden.augment` names; None for `none`.

    Raises:
        InputError: it is neither a known name nor a factory, or cannot move the threat's region along.
    """
    if named in ("none", ""):
        return None
    if named in _KNOWN:
        return _KNOWN[named]
    if ":" not in named:
        raise InputError(f'harden.augment: "{named}" is not none, shift, flips, or a factory "file.py:function".')
    if region:
        raise InputError(
            f"harden.augment: {named} may move the image, and threat.region would not move along. Use shift or flips, "
            "or no augmentation."
        )
    function = made_by("harden.augment", named, root, "a function of (image, annotation, generator)")
    if not callable(function):
        raise InputError(f"harden.augment: {named} must return a function of (image, annotation, generator).")
    return Own(function, named, bounds)


_KNOWN: dict[str, Augment] = {"shift": Shift(), "flips": Flips()}


def _indexed(sample: Sample, axis: int, index: Tensor) -> Sample:
    """The sample with one spatial axis indexed, in the image, in masks and in the region."""
    spatial = sample.image.ndim - 2
    targets, limits = sample.targets, sample.limits
    if isinstance(targets, Masks):
        place = targets.labels.ndim - spatial + axis
        targets = targets._replace(labels=targets.labels.index_select(place, index))
    if limits.region is not None:
        limits = limits._replace(region=limits.region.index_select(2 + axis, index))
    return Sample(sample.image.index_select(2 + axis, index), targets, limits)


def _moved(boxes: Boxes, axis: int, by: float) -> Boxes:
    """Boxes moved along an image axis (0 down, 1 right) by a fraction of it; those mostly outside are dropped."""
    low = 1 - axis
    moved = boxes.boxes.clone()
    moved[..., [low, low + 2]] += by
    clipped = moved.clamp(0, 1)
    length, left = (part[..., low + 2] - part[..., low] for part in (moved, clipped))
    gone = left < _ENOUGH * length
    return Boxes(clipped.masked_fill(gone[..., None], 0.0), boxes.labels.masked_fill(gone, -1))


def _mirrored(boxes: Boxes, axis: int) -> Boxes:
    low = 1 - axis
    mirrored = boxes.boxes.clone()
    mirrored[..., low], mirrored[..., low + 2] = 1 - boxes.boxes[..., low + 2], 1 - boxes.boxes[..., low]
    return Boxes(mirrored.masked_fill((boxes.labels < 0)[..., None], 0.0), boxes.labels)


def _first(targets: Tree) -> Any:
    if isinstance(targets, Masks):
        return targets.labels[0].clone()
    if isinstance(targets, Boxes):
        return Boxes(targets.boxes[0].clone(), targets.labels[0].clone())
    return targets[0].clone()


def _whole(like: Tree, given: Any, spatial: tuple[int, ...]) -> Tree:
    """What the user's function returned, with the first axis again; raises if it is something else."""
    if isinstance(like, Boxes):
        return Boxes(_alike(like.boxes, given.boxes), _alike(like.labels, given.labels))
    if isinstance(like, Masks):
        grid = like.labels.shape[: like.labels.ndim - len(spatial)] + spatial
        return like._replace(labels=_alike(like.labels.new_empty(grid), given))
    return _alike(like, given)


def _alike(like: Tensor, given: Any) -> Tensor:
    made = torch.as_tensor(given)[None]
    if made.shape != like.shape or (made.is_floating_point() and not like.is_floating_point()):
        raise ValueError
    return made.to(like)


def _said(value: Any) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} of shape {list(value.shape)}"

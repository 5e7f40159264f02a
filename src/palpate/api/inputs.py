"""Convert the arguments of `palpate.attack` to what attacks work on, or say in one sentence why that is impossible."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from palpate.errors import InputError, nearest
from palpate.synonyms import same
from palpate.tensors import Tree, leaves, mapped
from palpate.threats.ball import BALLS, Ball
from palpate.units import Scale, distinct, radius
from palpate.victim import Victim

Radii = float | str | Sequence[float | str] | Tensor
"""A radius for all images or one per image; a text is a share of the range, such as `8/255`."""


_DEEPEST = 5
"""Largest number of steps from a function to the modules that it uses."""
_MOST = 1000
"""Largest number of values of one table or object that are searched."""


class Function(nn.Module):
    """A plain function as a model. The modules that it uses become its parts, so that their modes are kept.

    Args:
        function: maps images (B, C, *spatial) to logits.
    """

    def __init__(self, function: Callable[[Tensor], Any]):
        super().__init__()
        self.function = function
        self.used = nn.ModuleList(_modules(function))

    def forward(self, images: Tensor, **further: Tensor) -> Any:
        """The result of the function, for images and what it is given besides them by name."""
        return self.function(images, **further)


def _modules(function: Callable[[Tensor], Any]) -> list[nn.Module]:
    """The modules that a function or an object reaches: by name, as attributes, in tables, through other functions."""
    found: dict[int, nn.Module] = {}
    seen: set[int] = set()
    near: list[Any] = [function]
    for _ in range(_DEEPEST):
        near = [value for held in near for value in _held(held) if id(value) not in seen]
        seen.update(map(id, near))
        found |= {id(value): value for value in near if isinstance(value, nn.Module)}
    return list(found.values())


def _held(value: Any) -> Sequence[Any]:
    """The values inside a value, one step deep; nothing is run. Modules are not opened: torch finds their parts."""
    held: Sequence[Any] = ()
    if isinstance(value, Mapping):
        held = [*value.values()]
    elif isinstance(value, (list, tuple, set)):
        held = [*value]
    elif isinstance(value, partial):
        held = [value.func, *value.args, *value.keywords.values()]
    elif inspect.ismethod(value):
        held = [value.__self__, value.__func__]
    elif inspect.isfunction(value):
        held = _used(value)
    elif not isinstance(value, (nn.Module, ModuleType, type)):
        own = vars(type(value)).get("__call__")
        held = [*getattr(value, "__dict__", {}).values(), own]
    return held[:_MOST]


def _used(function: Callable[..., Any]) -> list[Any]:
    """The values that a function uses by name, and the defaults of its arguments."""
    given = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    try:
        names = inspect.getclosurevars(function)
    except ValueError:  # a name that has no value yet
        return given
    return [*names.globals.values(), *names.nonlocals.values(), *given]


def model_from(given: Any) -> nn.Module:
    """A module unchanged; a function as a module.

    Raises:
        InputError: it cannot be called with images.
    """
    if isinstance(given, nn.Module):
        return given
    if isinstance(given, type):
        raise InputError(f"module: {given.__name__} is a class. Give a model: {given.__name__}().")
    if not callable(given):
        raise InputError(f"module: it is {_kind(given)}. Give a torch module, or a function of images.")
    return Function(given)


def images_from(given: Any) -> Tensor:
    """Images (B, C, *spatial) as a floating-point tensor with unchanged values; arrays are accepted too.

    Raises:
        InputError: it is not an array of numbers with an axis for the images and one for the channels, or it is empty.
    """
    images = _tensor(given, "images")
    if images.ndim < 3:
        raise InputError(
            f"images: their shape is {list(images.shape)}. Give one tensor of shape (B, C, *spatial); a single grey "
            "image is images[None, None]."
        )
    if not len(images):
        raise InputError("images: there is none.")
    if not images.numel():
        raise InputError(f"images: their shape is {list(images.shape)}, so they hold no pixel.")
    if images.is_complex():
        raise InputError(f"images: they are complex ({images.dtype}). Give real values.")
    if not images.is_floating_point() or images.dtype in (torch.float16, torch.bfloat16):
        images = images.float()
    # Tensors made under torch.inference_mode cannot be used for gradients; a copy can.
    return images.clone() if images.is_inference() else images.detach()


def labels_from(images: Tensor, given: Any) -> Tensor:
    """Classes (B,) int64, on the device of the images.

    Raises:
        InputError: they are not whole numbers, one per image.
    """
    labels = _whole(_tensor(given, "labels").to(images.device))
    if labels.is_floating_point() or labels.is_complex() or labels.numel() != len(images):
        hot = labels.ndim == 2 and len(labels) == len(images) and labels.shape[1] > 1
        raise InputError(
            f"labels: {labels.dtype} of shape {list(labels.shape)}; give {len(images)} integer classes, one per image."
            f"{' If they are one-hot, give labels.argmax(1).' if hot else ''}"
        )
    return labels.reshape(-1).long()


def targets_from(images: Tensor, given: Any) -> Tree:
    """Targets of a task, on the device of the images: arrays become tensors, and whole numbers int64.

    Raises:
        InputError: they are missing, or their number is not that of the images.
    """
    bare = isinstance(given, (np.ndarray, list, Tensor))
    targets = _whole(_tensor(given, "targets")) if bare else given

    def ready(tensor: Tensor) -> Tensor:
        whole = not tensor.is_floating_point() and not tensor.is_complex()
        moved = tensor.to(images.device, torch.int64 if whole else tensor.dtype)
        return moved.clone() if moved.is_inference() else moved

    try:
        made = mapped(ready, targets)
        counts = {len(tensor) for tensor in leaves(made)}
    except TypeError as error:
        raise InputError(f"targets: {error}. Give one tensor, or what the task expects.") from error
    if counts != {len(images)}:
        what = f"for {', '.join(map(str, sorted(counts)))} images" if counts else _kind(given)
        raise InputError(f"targets: they are {what}, and there are {len(images)} images. Give one for each.")
    return made


def _whole(values: Tensor) -> Tensor:
    """Whole numbers that are stored as floating point, such as labels of a binary loss, become int64."""
    return values.long() if values.is_floating_point() and bool((values == values.round()).all()) else values


def bounds_from(given: Any) -> tuple[float, float]:
    """Lowest and highest value.

    Raises:
        InputError: it is not a pair of numbers.
    """
    try:
        if isinstance(given, str):
            raise TypeError
        low, high = (float(bound) for bound in given)
    except (TypeError, ValueError) as error:
        text = f"bounds: {given!r} is not a pair of numbers. Give the lowest and highest value: (0, 255)."
        raise InputError(text) from error
    return low, high


_HOUNSFIELD = -900.0
"""Images whose lowest value is at most this are in Hounsfield units: nothing else stores air like that."""


def scale_of(victim: Victim, unit: str | None = None, step: float | None = None) -> Scale:
    """What the values of a model's images mean, for budgets as text.

    Args:
        victim: the model, with the bounds of its images and the window of its preprocessing.
        unit: unit of the values; HU by default where the bounds can be nothing else.
        step: distance of two values that the images store; None: it is not known.
    """
    own = unit if unit is not None else "HU" if victim.bounds[0] <= _HOUNSFIELD else ""
    window = getattr(victim.preprocess, "window", None)
    return Scale(victim.bounds, own, step, window=window, known=True)


def radius_from(written: Any, scale: Scale, norm: str = "linf") -> float:
    """One radius in stored values.

    Raises:
        InputError: it is not a positive number that fits the images, or a text that says one.
    """
    size = _radius(written, scale)
    if not 0 < size < float("inf"):
        raise InputError(f"eps: {written} must be a positive number.")
    if size > scale.extent and norm.casefold() == "linf":
        low, high = distinct(*scale.bounds)
        share = f' As a share of the range, write eps="{size:g}/255".' if size <= 255 and scale.extent <= 1 else ""
        raise InputError(f"eps: {written} is wider than the whole range {low} to {high} of the images.{share}")
    return size


def ball_from(norm: str, eps: Any, scale: Scale) -> Ball:
    """The ball of these radii.

    Raises:
        InputError: the norm is unknown, or a radius is not a positive number or a share of the range.
    """
    if (known := same(str(norm), BALLS)) is None:
        raise InputError(f"norm: there is no '{norm}'. {nearest(str(norm), BALLS)}")
    norm = known
    radii = eps.tolist() if isinstance(eps, (Tensor, np.ndarray, np.generic)) else eps
    if isinstance(radii, Sequence) and not isinstance(radii, str):
        return BALLS[norm](tuple(_radius(value, scale) for value in radii))
    return BALLS[norm](_radius(radii, scale))


def _radius(written: Any, scale: Scale) -> float:
    try:
        if isinstance(written, bool):
            raise TypeError
        return radius(written, scale)
    except (TypeError, ValueError) as error:
        said = str(error).replace("data.unit = ", "unit=")
        why = f"{said}." if isinstance(written, str) else f"it is {_kind(written)}, which is not a radius."
        advice = ' Give a number of stored values, or a share of the range such as "8/255".'
        text = f"eps: {why}{'' if '; ' in why else advice}"
        raise InputError(text) from error


def _tensor(given: Any, what: str) -> Tensor:
    if isinstance(given, Tensor):
        return given
    try:
        if isinstance(given, (list, tuple)) and given and isinstance(given[0], Tensor):
            return torch.stack(list(given))
        array = np.asarray(given)
        if what != "images" and array.size and isinstance(array.flat[0], str):
            raise InputError(f"{what}: they are texts. Give the number of each class, counted from 0.")
        # Torch cannot compute with unsigned numbers above 8 bits, and has no other order of bytes.
        if array.dtype.kind == "u" and array.dtype.itemsize > 1:
            array = array.astype(np.int64)
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C"))
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        other = ", or what the task expects, such as palpate.annotations.Boxes" if what == "targets" else ""
        text = f"{what}: it is {_kind(given)}, not an array of numbers of one shape. Give one tensor{other}."
        raise InputError(text) from error


def _kind(value: Any) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"

"""Images and targets in whatever form people have them: arrays, loaders, datasets, batches as tuples or dicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, RandomSampler, SubsetRandomSampler, WeightedRandomSampler

from palpate.errors import InputError

_IMAGES = ("image", "images", "img", "pixel_values", "x", "input", "inputs")
_TARGETS = ("label", "labels", "target", "targets", "mask", "seg", "y")
_ALIKE = 0.6
"""Share of equal letters from which on a key is probably a name with a mistake."""
_CHANNELS = (1, 3, 4)
"""Numbers of channels that show where the axis of channels is."""


class Batch(NamedTuple):
    """What a batch has, as it was given.

    Attributes:
        images: the images.
        targets: their targets.
        inputs: what the model is given besides images, by name; None if the batch has nothing more.
    """

    images: Any
    targets: Any
    inputs: Mapping[str, Any] | None = None


def batches(data: Any, targets: Any = None, size: int = 64, named: Sequence[str] = ()) -> Iterator[Batch]:
    """Images and targets; a loader is read once, batch by batch.

    Args:
        data: images, if `targets` are given; or a pair of images and targets, a dict of them, a torch Dataset, or
            anything that gives such pairs or dicts when it is iterated over (a DataLoader, a list, a generator).
        targets: of all images, if `data` is images alone.
        size: images that are read at once from a Dataset.
        named: further keys of batches that are dicts: what the model is given besides images.

    Raises:
        InputError: it has another form, or is empty.
    """
    empty = True
    for batch in _read(data, targets, size, named):
        empty = False
        yield batch
    if empty:
        raise InputError(
            "data: there was no batch. A loader that was read to its end before, or that filters out every image, is "
            "empty."
        )


def is_shuffled(data: Any) -> bool:
    """Whether a loader gives its images in random order."""
    inner = getattr(getattr(data, "batch_sampler", None), "sampler", None)
    samplers = (inner, getattr(data, "sampler", None)) if isinstance(data, DataLoader) else ()
    return any(isinstance(one, (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)) for one in samplers)


def _read(data: Any, targets: Any, size: int, named: Sequence[str]) -> Iterator[Batch]:
    made = partial(_batch, named=named)
    if targets is not None:
        yield Batch(data, targets)
    elif _is_array(data):
        raise InputError("targets: they are missing. Give them after the images: evaluate(model, images, labels).")
    elif isinstance(data, Mapping) or _is_pair(data):
        yield made(data)
    elif isinstance(data, nn.Module):
        raise InputError("data: it is a model. Give the model first, then images and labels, or a loader.")
    elif isinstance(data, Dataset):
        yield from map(made, DataLoader(data, batch_size=size))
    elif isinstance(data, Iterable) and not isinstance(data, str):
        yield from map(made, data)
    else:
        raise InputError(
            f"data: it is of type {type(data).__name__}. Give images and labels, or a loader of batches of them."
        )


def _is_array(value: Any) -> bool:
    return isinstance(value, (Tensor, np.ndarray))


def _is_pair(data: Any) -> bool:
    """Images and targets themselves, and not two batches of them."""
    return isinstance(data, (tuple, list)) and len(data) == 2 and all(map(_is_array, data))


def _batch(batch: Any, named: Sequence[str]) -> Batch:
    if isinstance(batch, Mapping):
        further = {name: _named(batch, (name,), "input") for name in named}
        return Batch(_named(batch, _IMAGES, "images"), _named(batch, _TARGETS, "labels"), further or None)
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        return Batch(*batch)
    if isinstance(batch, (tuple, list)) and len(batch) == 3 and isinstance(batch[2], Mapping):
        return Batch(*batch)
    if isinstance(batch, (tuple, list)) and len(batch) > 2:
        names = ", ".join(["x", "y", *["_"] * (len(batch) - 2)])
        raise InputError(
            f"data: a batch has {len(batch)} parts. Give images and labels alone: ((x, y) for {names} in loader), "
            "or with what the model is given besides them: (x, y, {'age': age})."
        )
    kind = "images alone" if _is_array(batch) else f"of type {type(batch).__name__}"
    raise InputError(f"data: a batch is {kind}. Each batch has to be a pair of images and labels.")


def _named(batch: Mapping[Any, Any], names: tuple[str, ...], what: str) -> Any:
    found = next((name for name in names if name in batch), None)
    if found is None:
        keys, known = ", ".join(map(str, batch)), ", ".join(names)
        pairs = "give pairs: ((batch[...], batch[...]) for batch in loader)."
        alike = _alike([key for key in batch if isinstance(key, str) and key not in (*_IMAGES, *_TARGETS)], names)
        fix = f"Rename '{alike[0]}' to '{alike[1]}', or {pairs}" if alike else f"Rename one, or {pairs}"
        raise InputError(f"data: a batch has the keys {keys}, and none of them is that of the {what}: {known}. {fix}")
    return batch[found]


def _alike(keys: Sequence[str], names: Sequence[str]) -> tuple[str, str] | None:
    """The key and the name that are most alike; None if none is close."""
    shares = {(key, name): SequenceMatcher(None, key.lower(), name).ratio() for key in keys for name in names}
    best = max(shares, key=lambda pair: shares[pair], default=None)
    return best if best is not None and shares[best] >= _ALIKE else None


def plain(images: Any, targets: Any = None) -> Any:
    """Images without what MONAI adds to a tensor.

    Args:
        images: (B, C, *spatial).
        targets: their targets, which show that a single image has no axis for the images.

    Raises:
        InputError: the channels are the last axis, or the axis of the images is missing.
    """
    if isinstance(images, Tensor) and type(images) is not Tensor:
        images = images.detach().as_subclass(Tensor)
    shape = tuple(getattr(images, "shape", ()))
    if len(shape) == 4 and shape[-1] in _CHANNELS and shape[1] not in _CHANNELS:
        how = "permute" if isinstance(images, Tensor) else "transpose"
        raise InputError(
            f"images: their shape is {list(shape)}, with the channels last. Give (B, C, H, W): "
            f"images.{how}(0, 3, 1, 2)."
        )
    if (
        len(shape) == 3
        and shape[0] in _CHANNELS
        and shape[0] != 1
        and getattr(targets, "shape", (0,))[:1] in ((), (1,))
    ):
        raise InputError(f"images: their shape is {list(shape)}, that of one image. Give images[None].")
    return images


def bounds_of(images: Any) -> tuple[float, float]:
    """The bounds of images whose bounds are not given: 0 to 255 for bytes, 0 to 1 for floating point.

    Raises:
        InputError: whole numbers of another type, whose range is not known.
    """
    kind = str(getattr(images, "dtype", "float32")).removeprefix("torch.")
    if kind == "uint8":
        return (0.0, 255.0)
    if kind.startswith(("int", "uint")):
        raise InputError(
            f"bounds: the images are {kind}. Give the lowest and highest value that can be stored, such as "
            "bounds=(-1024, 3071) or bounds=(0, 4095)."
        )
    return (0.0, 1.0)


def device_of(model: Any) -> torch.device | None:
    """Where the weights of a model are; None if it has none."""
    module = getattr(model, "module", model)
    if not isinstance(module, nn.Module):
        return None
    return next((weight.device for weight in (*module.parameters(), *module.buffers())), None)

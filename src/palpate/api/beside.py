"""What a model is given besides images, in a call: tensors with one row for each image.

As in an audit, images with different inputs are never shown to a model together: those of equal inputs that follow each
other are attacked at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from palpate.api.batches import is_shuffled
from palpate.errors import InputError
from palpate.models.inputs.module import shown_by
from palpate.victim import Victim

_DICT = "Give a dict with a row for each image: inputs={'age': ages}."

Beside = Mapping[str, Tensor]
"""Keyword of the model -> one row for each image (N, ...)."""


def beside_from(given: Any, count: int) -> dict[str, Tensor]:
    """Further inputs as tensors; nothing if None is given.

    Args:
        given: keyword -> array with one row for each image: numbers (N,) or (N, n), a second view (N, C, *spatial).
        count: images.

    Raises:
        InputError: it is no table of arrays of finite numbers, or an array has another number of rows.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError(f"inputs: it is of type {type(given).__name__}. {_DICT}")
    found = {str(name): _array(str(name), values) for name, values in given.items()}
    for name, values in found.items():
        if len(values) != count:
            _refuse(name, values, f"{count}")
    return found


def _array(name: str, given: Any) -> Tensor:
    try:
        values = given.detach() if isinstance(given, Tensor) else torch.from_numpy(np.asarray(given, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InputError(f"inputs: '{name}' is no array of numbers. Give a number for each word.") from error
    if values.ndim == 0:
        raise InputError(f"inputs: '{name}' has one number. Give one row for each image.")
    if not bool(values.isfinite().all()):
        raise InputError(f"inputs: '{name}' holds NaN or infinity. Fill it in, or leave these images out.")
    return values.clone() if values.is_inference() else values


def _refuse(name: str, values: Tensor, count: str) -> NoReturn:
    raise InputError(f"inputs: '{name}' has {len(values)} rows, and there are {count} images. Give one row for each.")


@dataclass(frozen=True)
class Rows:
    """The further inputs of all images of a loader.

    Attributes:
        whole: rows for all of them, in order; empty if each batch has its own.
        keys: names in batches that are dicts.
    """

    whole: Beside
    keys: tuple[str, ...]

    @classmethod
    def of(cls, given: Any, data: Any) -> Rows:
        """What a user gave: a dict of rows, or names of keys; raises InputError if rows cannot follow the loader."""
        if given is None or (isinstance(given, (list, tuple)) and all(isinstance(one, str) for one in given)):
            return cls({}, tuple(given or ()))
        if not isinstance(given, Mapping):
            raise InputError(
                f"inputs: it is of type {type(given).__name__}. {_DICT} Or, for a loader of dicts, name keys: "
                "inputs=['age']."
            )
        if is_shuffled(data):
            raise InputError(
                "inputs: the loader gives its images in random order, so they cannot be told whose rows these are. Let "
                "each batch have its own: (x, y, {'age': age})."
            )
        return cls({str(name): _array(str(name), values) for name, values in given.items()}, ())

    def of_batch(self, own: Any, start: int, count: int) -> dict[str, Tensor]:
        """The inputs of a batch that begins at image `start`; raises InputError if some are missing."""
        if self.whole and own is not None:
            raise InputError(
                "inputs: each batch has its own already. Leave them out, or give pairs of images and labels."
            )
        if not self.whole:
            return beside_from(own, count)
        for name, values in self.whole.items():
            if len(values) < start + count:
                _refuse(name, values, f"{'at least ' if start else ''}{start + count}")
        return {name: values[start : start + count] for name, values in self.whole.items()}

    def require_all(self, count: int) -> None:
        """Refuse rows that are left over after all images; raises InputError."""
        for name, values in self.whole.items():
            if len(values) != count:
                _refuse(name, values, f"{count}")


def parts(inputs: Beside, count: int, size: int) -> Iterator[slice]:
    """The images 0 to `count` in parts of at most `size`, each with equal inputs; images keep their order."""
    start = 0
    for stop in range(1, count + 1):
        full = stop - start == size
        if stop == count or full or any(not torch.equal(v[stop], v[start]) for v in inputs.values()):
            yield slice(start, stop)
            start = stop


def show(victim: Victim, inputs: Beside, part: slice) -> None:
    """From now on, the images that the model is shown are these, whose inputs are equal.

    Raises:
        InputError: an input is an image, which windows or flips of the model's inferer would not follow.
    """
    for name, values in inputs.items():
        if values.ndim > 2 and victim.inferer is not None:
            raise InputError(
                f"inputs: '{name}' has rows of shape {list(values.shape[1:])}, which would not follow the windows and "
                "flips of the inferer. Leave the inferer out, or give both images as channels of one."
            )
    for shown in shown_by(victim.module) if inputs else ():
        shown.set({name: values[part.start : part.start + 1] for name, values in inputs.items()})

"""Models that draw random numbers, evaluated in expectation: the mean of several draws, the same ones every time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.tensors import Tree, leaves, mapped

DRAWS = 16
"""Draws of a pass where nothing else is said."""
SEARCHED, JUDGED = 1, 10_001
"""First seed of the draws that a search climbs, and of those that decide."""
NOTICED = 1e-3
"""Outputs that differ by more than this share of the largest one differ by more than rounding."""


def expected(run: Callable[[Tensor], Tree], images: Tensor, first: int, draws: int) -> Tree:
    """The mean output of each image over draws with the seeds `first`, `first + 1` ...; differentiable.

    Each image is evaluated alone, so that its random numbers do not depend on the rest of the batch.

    Raises:
        InputError: outputs of one image have other shapes from draw to draw, so they have no mean.
    """
    rows = []
    with kept_random_state(images.device):
        for place in range(len(images)):
            row, outputs = images[place : place + 1], []
            for seed in range(first, first + draws):
                seed_everything(seed)
                outputs.append(run(row))
            rows.append(mean_of(outputs))
    return mapped(lambda *parts: torch.cat(parts), *rows)


def difference(one: Tree, other: Tree) -> float:
    """The largest difference of two outputs of the same form."""
    pairs = zip(leaves(one), leaves(other), strict=True)
    return max((float((_wide(a) - _wide(b)).abs().max()) for a, b in pairs if a.numel()), default=0.0)


def _wide(tensor: Tensor) -> Tensor:
    # Complex outputs are refused later, with a sentence of their own.
    return tensor if tensor.is_complex() else tensor.double()


def size(outputs: Tree) -> float:
    """The largest absolute output, at least 1."""
    return max(1.0, *(float(tensor.abs().max()) for tensor in leaves(outputs) if tensor.numel()))


def mean_of(outputs: Sequence[Tree]) -> Tree:
    """The mean of several outputs of one form; InputError if their shapes differ."""
    shapes = {tuple(tensor.shape for tensor in leaves(output)) for output in outputs}
    if len(shapes) > 1:
        raise InputError(
            "model: it draws random numbers, and the shape of its output changes from draw to draw, so it has no mean. "
            "Let it return the same number of candidates each time, or switch its random numbers off."
        )
    return mapped(lambda *parts: torch.stack(parts).mean(0), *outputs)


def seed_torch(seed: int) -> None:
    """Seed torch's generators: that of the CPU and of each kind of device that is in use."""
    # For a device that is not in use, torch.manual_seed keeps the call and a stack trace for later: milliseconds, and
    # memory that is never given back.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
    if torch.xpu.is_initialized():  # type: ignore[no-untyped-call]
        torch.xpu.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


def seed_everything(seed: int) -> None:
    """Seed every generator that a model is likely to use."""
    seed_torch(seed)
    random.seed(seed)
    np.random.seed(seed)


@contextmanager
def kept_random_state(device: torch.device) -> Iterator[None]:
    """The states of these generators, restored afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)

"""Batch norms in training: frozen ones, batches of one image, and how far their running statistics move."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from palpate.hardening.loop.weights import Weights

_EPS = nn.BatchNorm2d(1).eps


def has_norms(module: nn.Module) -> bool:
    """Whether it has a batch norm with running statistics."""
    return any(True for _ in _norms(module))


@contextmanager
def fit_for(module: nn.Module, images: int, *, frozen: bool = False) -> Iterator[None]:
    """Inside the block, batch norms can train on so many images.

    A frozen batch norm uses its running statistics, and does not change them. So does one that sees a single image,
    which has no statistics of a batch.
    """
    still = [part for _, part in _norms(module) if part.training] if frozen or images == 1 else []
    for part in still:
        part.training = False
    try:
        yield
    finally:
        for part in still:
            part.training = True


def drift(module: nn.Module, before: Weights, now: Weights) -> float:
    """The largest change of running means and standard deviations, in standard deviations of before; 0 without any.

    For each channel of each batch norm, with s = sqrt(variance + eps):

        max(|mean_now - mean_before|, |s_now - s_before|) / s_before
    """
    largest = 0.0
    for name, part in _norms(module):
        place = f"{name}." if name else ""

        def of(weights: Weights, what: str, place: str = place) -> Tensor:
            return weights[f"{place}{what}"].double().cpu()

        # A traced program does not say its eps: then it is torch's default.
        eps = getattr(part, "eps", _EPS)
        old, new = ((of(weights, "running_var") + eps).sqrt() for weights in (before, now))
        moved = (of(now, "running_mean") - of(before, "running_mean")).abs()
        change = torch.maximum(moved, (new - old).abs()) / old
        largest = max(largest, float(change.max())) if change.numel() else largest
    return largest


def _norms(module: nn.Module) -> Iterator[tuple[str, Any]]:
    for name, part in module.named_modules():
        # A part of TorchScript only knows the name of the class that it was made of.
        norm = isinstance(part, _BatchNorm) or "BatchNorm" in getattr(part, "original_name", "")
        if norm and getattr(part, "running_mean", None) is not None:
            yield name, part

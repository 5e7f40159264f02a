"""Training on windows: a network that the clinic slides over images is trained on windows of the same size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from palpate.annotations import Masks
from palpate.contracts import Limits
from palpate.hardening.data.augment import Sample
from palpate.models.nnunet.patches import Patch
from palpate.models.nnunet.pipeline import NnUNet
from palpate.tensors import Tree
from palpate.victim import Inferer
from palpate.victim.inference import Flips, SlidingWindow

_ON_STRUCTURE = 0.5
"""Share of the windows that are centred on an annotated pixel."""


def window_of(inferer: object) -> SlidingWindow | None:
    """The sliding window of an inferer, with or without flips around it; None if there is none."""
    inner = inferer.inner if isinstance(inferer, Flips) else inferer
    return inner if isinstance(inner, SlidingWindow) else None


def trained_inferer(inferer: Inferer | None, batch: int) -> Inferer | None:
    """How the network is evaluated in training: the sliding window without flips, `batch` windows at once.

    An image of one window is one pass, padded as in the clinic. Larger ones are blended, with the graph of all windows.
    An nnU-Net is trained on patches of its plan's grid.
    """
    if isinstance(inferer, NnUNet):
        return Patch(inferer.windows)
    if isinstance(inferer, Flips):
        inferer = inferer.inner
    return replace(inferer, inner=None, batch=batch) if isinstance(inferer, SlidingWindow) else inferer


def corner(sample_targets: Tree, spatial: Sequence[int], size: Sequence[int], generator: torch.Generator) -> list[int]:
    """Where a window of `size` starts in an image: half of them are centred on an annotated pixel, if there is one."""
    room = [max(length - window, 0) for length, window in zip(spatial, size, strict=True)]
    centred = bool(torch.rand(1, generator=generator) < _ON_STRUCTURE)
    if centred and isinstance(sample_targets, Masks):
        labels = sample_targets.labels[0]
        marked = ((labels > 0) & (labels < 255)).reshape(-1, *spatial).any(0).nonzero()
        if len(marked):
            chosen = marked[int(torch.randint(len(marked), (1,), generator=generator))].tolist()
            return [min(max(c - w // 2, 0), r) for c, w, r in zip(chosen, size, room, strict=True)]
    return [int(torch.randint(most + 1, (1,), generator=generator)) for most in room]


def cut(sample: Sample, size: Sequence[int], generator: torch.Generator) -> Sample:
    """One random window of a sample; an axis that is shorter than the window stays whole."""
    spatial = sample.image.shape[2:]
    start = corner(sample.targets, spatial, size, generator)
    place: tuple[Any, ...] = tuple(
        slice(low, low + min(window, length)) for low, window, length in zip(start, size, spatial, strict=True)
    )
    targets, limits = sample.targets, sample.limits
    if isinstance(targets, Masks):
        targets = targets._replace(labels=targets.labels[(..., *place)].long())
    if limits.region is not None:
        limits = Limits(limits.region[(..., *place)], *limits[1:])
    return Sample(sample.image[(..., *place)], targets, limits)

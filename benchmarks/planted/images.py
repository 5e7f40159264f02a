"""Synthetic images for the planted victims: a bright shape on a noisy background, with its class, mask or findings."""

from __future__ import annotations

import torch
from torch import Tensor

SIZE = 20
SHAPES = ("disc", "ring", "bar")
FINDINGS = ("left", "middle", "right")
_LEVEL, _NOISE = 110.0, 6.0


def _field(count: int, generator: torch.Generator) -> Tensor:
    return _LEVEL + _NOISE * torch.randn(count, 1, SIZE, SIZE, generator=generator)


def _contrast(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """How much brighter a shape is: 10 to 60 stored values, so that a radius of 8 hides the faint ones only."""
    return 10 + 50 * torch.rand(shape, generator=generator)


def _offsets(count: int, generator: torch.Generator, low: float = 6, high: float = 14) -> tuple[Tensor, Tensor]:
    """Distances (count, SIZE, SIZE) of each pixel from a random centre, down and to the right."""
    centre = low + (high - low) * torch.rand(count, 2, 1, 1, generator=generator)
    places = torch.arange(SIZE, dtype=torch.float32)
    return places[None, :, None] - centre[:, 0], places[None, None, :] - centre[:, 1]


def classes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images (count, 1, SIZE, SIZE) of whole stored values and their class: disc, ring or bar."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(count) % len(SHAPES)
    down, right = _offsets(count, generator)
    far = (down**2 + right**2).sqrt()
    drawn = torch.stack([far < 4, (far > 3) & (far < 5), (down.abs() < 1.5) & (right.abs() < 6)])
    shape = drawn[label, torch.arange(count)].float()[:, None]
    images = _field(count, generator) + _contrast((count, 1, 1, 1), generator) * shape
    return images.round().clamp(0, 255), label


def masks(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images and their masks (count, SIZE, SIZE): one disc."""
    generator = torch.Generator().manual_seed(seed)
    down, right = _offsets(count, generator)
    radius = 3.5 + 2 * torch.rand(count, 1, 1, generator=generator)
    mask = (down**2 + right**2).sqrt() < radius
    images = _field(count, generator) + _contrast((count, 1, 1, 1), generator) * mask.float()[:, None]
    return images.round().clamp(0, 255), mask.long()


def findings(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images and their findings (count, 3): a spot in the left, middle or right third, each present or not."""
    generator = torch.Generator().manual_seed(seed)
    present = (torch.rand(count, len(FINDINGS), generator=generator) < 0.5).float()
    images = _field(count, generator)
    places = torch.arange(SIZE, dtype=torch.float32)
    for index in range(len(FINDINGS)):
        down = places[None, :, None] - (4 + 12 * torch.rand(count, 1, 1, generator=generator))
        right = places[None, None, :] - (3.0 + 6.5 * index)
        spot = ((down**2 + right**2) < 6).float()[:, None]
        images += _contrast((count, 1, 1, 1), generator) * spot * present[:, index].reshape(-1, 1, 1, 1)
    return images.round().clamp(0, 255), present.long()

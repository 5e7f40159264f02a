"""Small models whose weakest point is known in closed form, for checking attacks."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import torch
from torch import Tensor, nn

from palpate.annotations import Candidates

LEVEL = 110.0
"""Mean of every image of `level_images`."""


class Linear(nn.Module):
    """Two logits (m / 2, -m / 2) with m = scale * (<w, x - LEVEL> + offset): margin m for label 0.

    The smallest beating change is offset / ||w||_1 in L-inf and offset / ||w||_2 in L2.
    """

    def __init__(self, weights: Tensor, offset: float, scale: float = 1.0):
        super().__init__()
        self.weights = nn.Parameter(weights)
        self.offset, self.scale = offset, scale

    def forward(self, images: Tensor) -> Tensor:
        """(B, 2)."""
        centred = (images - LEVEL).flatten(1)
        margin = self.scale * ((centred * self.weights.flatten()).sum(1, keepdim=True) + self.offset)
        return torch.cat([margin, -margin], dim=1) / 2


class Wave(nn.Module):
    """Label 0 is lost in narrow bands: m = level + cos(rate * (mean - LEVEL)), so an iterate can win and then lose."""

    def __init__(self, rate: float, level: float = 0.6):
        super().__init__()
        self.rate, self.level = rate, level

    def forward(self, images: Tensor) -> Tensor:
        """(B, 2)."""
        change = images.flatten(1).mean(1, keepdim=True) - LEVEL
        # The small slope gives a gradient at the clean image, where that of the cosine is zero.
        margin = self.level + torch.cos(self.rate * change) - 0.05 * change
        return torch.cat([margin, -margin], dim=1) / 2


class PixelLinear(nn.Module):
    """One logit per pixel, mean over channels of x - LEVEL + offset, so that every pixel changes separately.

    In L-inf a pixel with offset d > 0 is found until its change reaches -d.
    """

    def __init__(self, offsets: Tensor):
        super().__init__()
        self.offsets = nn.Parameter(offsets)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, *spatial)."""
        return images.mean(1, keepdim=True) - LEVEL + self.offsets


class SmallMasks(nn.Module):
    """A small network with one logit per pixel and class, in 2D or 3D, for stored values from 0 to 255."""

    def __init__(self, channels: int = 3, classes: int = 3, spatial: int = 2):
        super().__init__()
        convolution = (nn.Conv2d, nn.Conv3d)[spatial - 2]
        self.features = nn.Sequential(convolution(channels, 8, 3, padding=1), nn.Tanh())
        self.head = convolution(8, classes, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, classes, *spatial)."""
        logits: Tensor = self.head(self.features(images / 127.5 - 1))
        return logits * 10


class SmallBoxes(nn.Module):
    """A small detector with one candidate in every cell of two by two pixels; boxes depend on the image too."""

    def __init__(self, channels: int = 3, classes: int = 2):
        super().__init__()
        self.masks = SmallMasks(channels, classes + 4)
        self.classes = classes

    def forward(self, images: Tensor) -> Candidates:
        """Candidates for cells in row-major order."""
        maps = nn.functional.avg_pool2d(self.masks(images), 2)
        rows, columns = maps.shape[2:]
        cells = maps.flatten(2).transpose(1, 2)
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centre = torch.stack([(x.flatten() + 0.5) / columns, (y.flatten() + 0.5) / rows], 1).to(cells)
        corners = torch.cat([centre - 0.12, centre + 0.12], 1) + 0.02 * cells[..., self.classes :].tanh()
        return Candidates(cells[..., : self.classes] * 2, corners)


class SmallNet(nn.Module):
    """An ordinary small network with batch norm and dropout, in 2D or 3D, for stored values of a given range."""

    def __init__(self, channels: int = 3, classes: int = 4, spatial: int = 2, low: float = 0.0, high: float = 255.0):
        super().__init__()
        convolution = (nn.Conv2d, nn.Conv3d)[spatial - 2]
        norm = (nn.BatchNorm2d, nn.BatchNorm3d)[spatial - 2]
        self.low, self.high = low, high
        self.features = nn.Sequential(
            convolution(channels, 8, 3, padding=1),
            norm(8),
            nn.ReLU(),
            nn.Dropout(0.2),
            convolution(8, 8, 3, stride=2, padding=1),
            norm(8),
            nn.ReLU(),
        )
        self.head = nn.Linear(8, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, classes)."""
        scaled = (images - self.low) / (self.high - self.low) * 2 - 1
        logits: Tensor = self.head(self.features(scaled).flatten(2).mean(2))
        return logits * 20


def small_net(
    channels: int = 3, classes: int = 4, spatial: int = 2, bounds: tuple[float, float] = (0.0, 255.0)
) -> SmallNet:
    """A `SmallNet` with fixed random weights and non-trivial batch norms, in evaluation mode.

    Its logits are centred over random images, so that every class is decided and margins are small.
    """
    return deepcopy(_small_net(channels, classes, spatial, bounds))


@cache
def _small_net(channels: int, classes: int, spatial: int, bounds: tuple[float, float]) -> SmallNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SmallNet(channels, classes, spatial, *bounds)
        with torch.no_grad():
            drawn = torch.rand(64, channels, *[8] * spatial) * (bounds[1] - bounds[0]) + bounds[0]
            for _ in range(8):
                network(drawn)
            network.eval()
            network.head.bias.sub_(network(drawn).mean(0) / 20)
    return network


def small_masks(channels: int = 3, classes: int = 3, spatial: int = 2) -> SmallMasks:
    """A `SmallMasks` with fixed random weights, centred over random images so that every class is decided."""
    return deepcopy(_small_masks(channels, classes, spatial))


@cache
def _small_masks(channels: int, classes: int, spatial: int) -> SmallMasks:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SmallMasks(channels, classes, spatial).eval()
        with torch.no_grad():
            drawn = torch.rand(64, channels, *[8] * spatial) * 255
            centred = network.head.bias - network(drawn).transpose(0, 1).flatten(1).mean(1) / 10
            network.head.bias = nn.Parameter(centred)
    return network


def small_boxes(channels: int = 3, classes: int = 2) -> SmallBoxes:
    """A `SmallBoxes` with the weights of `small_masks`: about half of its candidates are detections."""
    network = SmallBoxes(channels, classes)
    network.masks = small_masks(channels, classes + 4)
    return network.eval()


def images(
    count: int = 6, channels: int = 3, spatial: int = 2, bounds: tuple[float, float] = (0.0, 255.0), seed: int = 1
) -> Tensor:
    """Whole stored values (count, channels, 8, 8[, 8]); the first two touch the faces of the box."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(count, channels, *[8] * spatial, generator=generator)
    drawn[0, :, :4], drawn[min(1, count - 1), :, 4:] = 0.0, 1.0
    return (drawn * (bounds[1] - bounds[0]) + bounds[0]).round()


def level_images(count: int = 6) -> Tensor:
    """Images (count, 3, 8, 8) in float64 well inside 0..255, all with the same mean `LEVEL`."""
    drawn = images(count).double() * 0.1
    return drawn - drawn.flatten(1).mean(1).reshape(-1, 1, 1, 1) + LEVEL

"""The network of this example: "Little W-Net", two small U-Nets in a row, rebuilt from a description in words.

We did not train it. Its authors trained it on the vessels of DRIVE; prepare.py turns their arrays into safetensors.

Source: Galdran et al., "State-of-the-art retinal vessel segmentation with minimalistic models", Scientific Reports
12, 6174 (2022); weights: github.com/agaldran/lwnet, experiments/wnet_drive (MIT).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIZE = (512, 512)
"""Of the image, cut to the field of view."""
THRESHOLD = 0.42
"""Probability from which a pixel is a vessel."""


class Block(nn.Module):
    """Twice a 3x3 convolution, ReLU and batch norm, and in parallel a 1x1 convolution with batch norm."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.block = nn.Sequential(*_convolution(channels, width), *_convolution(width, width))
        self.shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, width, H, W)."""
        joined: Tensor = self.block(inputs) + self.shortcut(inputs)
        return joined


class Wrapped(nn.Module):
    """Layers under the names that the weights use."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.block = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Tensor:
        """The layers, in order."""
        outputs: Tensor = self.block(inputs)
        return outputs


class Up(nn.Module):
    """Twice the size by a transposed convolution, joined with the skip after its bridge, then a block."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.up_layer = Wrapped(nn.ConvTranspose2d(channels, width, 2, stride=2))
        self.conv_layer = Block(2 * width, width)
        self.conv_bridge_layer = Wrapped(*_convolution(width, width))

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        """(B, channels, H, W) and its skip (B, width, 2H, 2W) to (B, width, 2H, 2W)."""
        joined: Tensor = self.conv_layer(torch.cat([self.up_layer(deep), self.conv_bridge_layer(skip)], 1))
        return joined


class SmallUNet(nn.Module):
    """A U-Net of three levels, 8, 16 and 32 channels wide; one logit."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = Block(channels, 8)
        self.down_path = nn.ModuleList([Block(8, 16), Block(16, 32)])
        self.up_path = nn.ModuleList([Up(32, 16), Up(16, 8)])
        self.final = nn.Conv2d(8, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, 1, H, W); H and W multiples of 4."""
        levels = [self.first(images)]
        for down in self.down_path:
            levels.append(down(nn.functional.max_pool2d(levels[-1], 2)))
        deep = levels.pop()
        for up in self.up_path:
            deep = up(deep, levels.pop())
        logit: Tensor = self.final(deep)
        return logit


class LittleWNet(nn.Module):
    """The second U-Net sees the image and the first one's logit, and its logit counts."""

    def __init__(self) -> None:
        super().__init__()
        self.unet1 = SmallUNet(3)
        self.unet2 = SmallUNet(4)

    def forward(self, images: Tensor) -> Tensor:
        """One logit (B, 1, H, W) from RGB images (B, 3, H, W) in 0..1."""
        logit: Tensor = self.unet2(torch.cat([images, self.unet1(images)], 1))
        return logit


def build() -> nn.Module:
    """The network without its weights."""
    return LittleWNet()


def _convolution(channels: int, width: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(width)

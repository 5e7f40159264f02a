"""The networks of the demo in plain torch: a small residual network and a small U-Net.

They compute what MONAI's `ResNet` and `UNet` of these settings compute, and their weights have MONAI's names, so either
can read the other's. The demo is for a first look, and importing MONAI takes longer than a third of its audits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class _Block(nn.Module):
    """Two convolutions of 3x3 and a shortcut around them."""

    def __init__(self, before: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.act = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or before != planes:
            self.downsample = nn.Sequential(nn.Conv2d(before, planes, 1, stride), nn.BatchNorm2d(planes))

    def forward(self, x: Tensor) -> Tensor:
        out = self.act(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        changed: Tensor = self.act(out)
        return changed


class ResidualNetwork(nn.Module):
    """Logits (batch, classes) of images (batch, 3, height, width): one block for each stage, each half the size.

    Args:
        planes: channels of the four stages.
        classes: number of logits.
    """

    def __init__(self, planes: Sequence[int], classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, planes[0], 5, 2, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(planes[0])
        self.act = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(_Block(planes[0], planes[0], 1))
        self.layer2 = nn.Sequential(_Block(planes[0], planes[1], 2))
        self.layer3 = nn.Sequential(_Block(planes[1], planes[2], 2))
        self.layer4 = nn.Sequential(_Block(planes[2], planes[3], 2))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(planes[3], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of normalised images."""
        x = self.act(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def _normed(convolution: nn.Module, channels: int, *, bare: bool = False) -> nn.Sequential:
    """A convolution, then batch norm and a PReLU unless it is `bare`."""
    parts = OrderedDict(conv=convolution)
    if not bare:
        parts["adn"] = nn.Sequential(OrderedDict(N=nn.BatchNorm2d(channels), A=nn.PReLU()))
    return nn.Sequential(parts)


class _Residual(nn.Module):
    """One convolution and a shortcut around it."""

    def __init__(self, before: int, channels: int, stride: int, *, bare: bool = False) -> None:
        super().__init__()
        unit = _normed(nn.Conv2d(before, channels, 3, stride, padding=1), channels, bare=bare)
        self.conv = nn.Sequential(OrderedDict(unit0=unit))
        self.residual: nn.Module = nn.Identity()
        if stride != 1:
            self.residual = nn.Conv2d(before, channels, 3, stride, padding=1)
        elif before != channels:
            self.residual = nn.Conv2d(before, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.residual(x) + self.conv(x)
        return changed


class _Skip(nn.Module):
    """What goes in, and what a part makes of it, side by side."""

    def __init__(self, submodule: nn.Module) -> None:
        super().__init__()
        self.submodule = submodule

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.submodule(x)], dim=1)


def _level(before: int, after: int, channels: Sequence[int], *, top: bool) -> nn.Sequential:
    """Down by two, the levels below, and up again."""
    own, below = channels[0], channels[1]
    deeper = len(channels) > 2
    inner: nn.Module = _level(own, own, channels[1:], top=False) if deeper else _Residual(own, below, 1)
    up = nn.ConvTranspose2d(own + (own if deeper else below), after, 3, 2, padding=1, output_padding=1)
    return nn.Sequential(
        _Residual(before, own, 2),
        _Skip(inner),
        nn.Sequential(_normed(up, after), _Residual(after, after, 1, bare=top)),
    )


class SmallUNet(nn.Module):
    """Logits (batch, outputs, height, width) of images (batch, 1, height, width); sides are multiples of 8.

    Args:
        channels: of each level, the top one first.
        outputs: number of maps.
    """

    def __init__(self, channels: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.model = _level(1, outputs, channels, top=True)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of normalised images."""
        logits: Tensor = self.model(x)
        return logits

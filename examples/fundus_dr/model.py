"""The network of this example: a ResNet-18 of MONAI, half as wide, for five grades at 112 x 112 pixels."""

from __future__ import annotations

from monai.networks.nets import resnet18
from torch import nn

CLASSES = 5
SIZE = (112, 112)
MEAN, STD = 127.5, 63.0
"""In stored values 0..255; the same numbers are in plan.toml."""


def build() -> nn.Module:
    """Five logits from images normalised with MEAN and STD."""
    network: nn.Module = resnet18(
        spatial_dims=2, n_input_channels=3, num_classes=CLASSES, conv1_t_stride=2, widen_factor=0.5
    )
    return network

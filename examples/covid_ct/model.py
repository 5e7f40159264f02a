"""The network of this example: a small U-Net of MONAI, one logit for infection, at 160 x 160 pixels."""

from __future__ import annotations

from monai.networks.nets import UNet
from torch import nn

SIZE = (160, 160)
MEAN, STD = 127.5, 63.0
"""In stored values 0..255; the same numbers are in plan.toml."""


def build() -> nn.Module:
    """One logit map (B, 1, H, W) from grey images normalised with MEAN and STD; H and W multiples of 16."""
    network: nn.Module = UNet(
        spatial_dims=2,
        in_channels=1,
        out_channels=1,
        channels=(16, 32, 64, 128, 256),
        strides=(2, 2, 2, 2),
        num_res_units=1,
        norm="instance",
    )
    return network

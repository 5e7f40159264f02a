"""The network of this example: a small U-Net of MONAI, one logit for infection, at 160 x 160 pixels."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.nets import UNet
from torch import Tensor, nn

SIZE = (160, 160)
MEAN, STD = 127.5, 63.0
"""In stored values 0..255; the same numbers are in plan.toml."""


_DESIGN: dict[str, Any] = {
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": 1,
    "channels": (16, 32, 64, 128, 256),
    "strides": (2, 2, 2, 2),
    "num_res_units": 1,
    "norm": "instance",
}


def build() -> nn.Module:
    """One logit map (B, 1, H, W) from grey images normalised with MEAN and STD; H and W multiples of 16."""
    network: nn.Module = UNet(**_DESIGN)
    return network


class Upright(UNet):  # type: ignore[misc]
    """The same network for upright slices: turned as the data set's slices are, segmented, and turned back."""

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 1, H, W) of images (B, 1, H, W) with the patient's front at the top."""
        logits: Tensor = super().forward(torch.rot90(images, 1, (2, 3)))
        return torch.rot90(logits, -1, (2, 3))


def build_upright() -> nn.Module:
    """The network of `build`, with the same names of weights, for the slices that hounsfield.py writes."""
    network: nn.Module = Upright(**_DESIGN)
    return network

"""The network of this example: a small 3D U-Net of MONAI for the anterior and posterior hippocampus, in 1 mm voxels."""

from __future__ import annotations

from monai.networks.nets import UNet
from torch import nn

STRUCTURES = ("anterior", "posterior")
WINDOW = (32, 32, 32)
OVERLAP = 0.5
"""Of the sliding windows; the same numbers are in plan.toml."""


def build() -> nn.Module:
    """Three logit maps (B, 3, D, H, W), background first, from volumes in stored values; sizes multiples of 8.

    Scanners write T1 on scales of their own, so the network standardises each input, which is a window, by the input's
    own mean and deviation. That is part of the network: an attack's gradient runs through it.
    """
    return nn.Sequential(
        nn.InstanceNorm3d(1),
        UNet(
            spatial_dims=3,
            in_channels=1,
            out_channels=len(STRUCTURES) + 1,
            channels=(16, 32, 64, 128),
            strides=(2, 2, 2),
            num_res_units=1,
            norm="instance",
        ),
    )

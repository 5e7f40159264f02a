"""The networks of this example: lungs on chest X-rays, trained here, and the shipped thorax network slice by slice."""

from __future__ import annotations

from monai.networks.nets import UNet
from torch import Tensor, nn

from palpate.models.demo import thorax as demo_thorax
from palpate.preprocess import Chain, Normalise, PerImage, Resize

SIZE = (128, 128)
PREPARE = Chain((PerImage("percentile", 1.0, 99.0), Resize(SIZE), Normalise((0.5,), (0.25,))))
"""Preprocessing of X-rays in training; the same steps are in the plans. It uses percentiles, so that 8 or 16 bits and
the range of a detector have no effect."""


def build_lungs() -> nn.Module:
    """One logit map (B, 1, H, W) of lungs from grey images that PREPARE has seen; H and W multiples of 16."""
    network: nn.Module = UNet(
        spatial_dims=2,
        in_channels=1,
        out_channels=1,
        channels=(16, 32, 64, 128, 256),
        strides=(2, 2, 2, 2),
        num_res_units=1,
        norm="batch",
    )
    return network


class SliceBySlice(nn.Module):
    """A network of slices on whole volumes: (B, C, D, H, W) -> (B, K, D, H, W), slices folded into the batch."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, volumes: Tensor) -> Tensor:
        """Logits of every slice, in its place."""
        slices = volumes.transpose(1, 2).flatten(0, 1)
        logits: Tensor = self.network(slices)
        return logits.unflatten(0, (len(volumes), -1)).transpose(1, 2)


def build_thorax() -> nn.Module:
    """The thorax network of palpate's demo, trained on slices of phantoms, for a series of slices."""
    return SliceBySlice(demo_thorax.load())

"""Weights that come with the package: half precision on disk, float32 in use."""

from __future__ import annotations

from importlib import resources

from safetensors.torch import load as read_safetensors
from torch import nn


def load_shipped(network: nn.Module, name: str) -> nn.Module:
    """`network` with the weights of the package's file `name`, in eval mode, float32, on the CPU."""
    stored = read_safetensors(resources.files("palpate.models.demo").joinpath(name).read_bytes())
    network.load_state_dict(
        {key: value.float() if value.is_floating_point() else value for key, value in stored.items()}
    )
    return network.eval()

"""The numbers of a module by name: copied, put back, compared, hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Weights = Mapping[str, Tensor]
"""Name -> parameter or buffer, also of buffers that are no part of the state dict; shared ones once."""


def live(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers themselves, detached: writing to them changes the module."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: tensor.detach() for name, tensor in named}


def copied(module: nn.Module) -> dict[str, Tensor]:
    """A copy of all of them, where they are."""
    return {name: tensor.clone() for name, tensor in live(module).items()}


def stored(weights: Weights) -> dict[str, Tensor]:
    """A copy on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()}


@torch.no_grad()
def put(module: nn.Module, weights: Weights) -> None:
    """Write `weights` into the module, in place; what they do not name stays, such as buffers outside a state dict."""
    for name, tensor in live(module).items():
        if name in weights:
            tensor.copy_(weights[name])


@contextmanager
def wearing(module: nn.Module, weights: Weights | None) -> Iterator[None]:
    """Inside the block the module has `weights`; afterwards its own again. None leaves it as it is."""
    if weights is None:
        yield
        return
    own = copied(module)
    put(module, weights)
    try:
        yield
    finally:
        put(module, own)


@contextmanager
def left_as_found(module: nn.Module) -> Iterator[None]:
    """After the block the module has its own weights, modes and switches again, and no gradients."""
    own = copied(module)
    modes = [(part, part.training) for part in module.modules()]
    switches = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    try:
        yield
    finally:
        put(module, own)
        for part, training in modes:
            part.training = training
        for parameter, wanted in switches:
            parameter.requires_grad_(wanted)
            parameter.grad = None


def all_finite(weights: Weights) -> str | None:
    """The name of a tensor with NaN or infinity; None if there is none."""
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            return name
    return None


def digest(weights: Weights) -> str:
    """SHA-256 of names, types, shapes and bytes, in the order of the names."""
    found = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        found.update(f"{name}\x1f{tensor.dtype}\x1f{tuple(tensor.shape)}\x1f".encode())
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        found.update(plain.view(torch.uint8).numpy().tobytes() if plain.numel() else b"")
    return found.hexdigest()

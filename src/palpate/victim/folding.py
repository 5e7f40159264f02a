"""Fold batch norms into the convolutions before them: the same function in evaluation mode, computed faster."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from palpate.memory import out_of_memory
from palpate.tensors import leaves

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_TOLERANCE = 1e-4


def fold_batch_norms(network: nn.Module, example: Tensor) -> nn.Module:
    """A copy of `network` (evaluation mode) whose batch norms are folded where one directly follows a convolution.

    The pairs are found by watching one forward pass of `example`, so any control flow works. The copy's outputs
    are compared with the original's on the example. If they differ by more than 1e-4 of the largest output (for
    example because the output of a convolution is used twice), or can no longer be computed (code that reads the
    norm's weights), a plain copy is returned. A network that cannot be copied is returned itself.
    """
    folded = copied(network)
    if folded is network:
        return network
    try:
        for convolution, norm in _adjacent_pairs(folded, example):
            fused = fuse_conv_bn_eval(convolution, norm)
            _replace(folded, convolution, fused)
            _replace(folded, norm, nn.Identity())
        with torch.no_grad():
            pairs = zip(leaves(network(example)), leaves(folded(example)), strict=True)
        if all((before - after).abs().max() <= _TOLERANCE * before.abs().max().clamp(min=1) for before, after in pairs):
            return folded
    # Folding is only for speed. An error of the user's code is raised again when the model is evaluated.
    except Exception as error:
        if out_of_memory(error):
            raise
    return copied(network)


def copied(network: nn.Module) -> nn.Module:
    """A copy of a network; the network itself if a part cannot be copied: locks, files, computed tensors."""
    try:
        return copy.deepcopy(network)
    except Exception as error:
        if out_of_memory(error):
            raise
        return network


def _adjacent_pairs(network: nn.Module, example: Tensor) -> list[tuple[Any, Any]]:
    made: dict[int, tuple[nn.Module, Tensor, int]] = {}
    pairs: list[tuple[Any, Any]] = []
    calls: dict[nn.Module, int] = {}

    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls[module] = calls.get(module, 0) + 1
        if type(module) in _CONVOLUTIONS:
            # The tensor is kept alive so that its id stays unique; its version shows whether it was
            # changed in place (for example by an activation) before the norm saw it.
            made[id(output)] = (module, output, output._version)
        elif id(inputs[0]) in made:
            convolution, tensor, version = made[id(inputs[0])]
            if tensor._version == version:
                pairs.append((convolution, module))

    parts = [m for m in network.modules() if type(m) in _CONVOLUTIONS or (type(m) in _NORMS and not m.training)]
    handles = [part.register_forward_hook(watch) for part in parts]
    try:
        with torch.no_grad():
            network(example)
    finally:
        for handle in handles:
            handle.remove()
    # A norm that the network's own code switched to training normalises by the batch, which cannot be folded.
    pairs = [(c, n) for c, n in pairs if not (c.training or n.training)]
    return [(c, n) for c, n in pairs if calls[c] == 1 and calls[n] == 1 and n.running_mean is not None]


def _replace(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for parent in network.modules():
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)

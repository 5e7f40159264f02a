"""Adversarial weight perturbation: the weights at which a batch has a higher loss, for one training step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from palpate.hardening.recipes.starts import check_positive

_TINY = 1e-20


@contextmanager
def perturbed(module: nn.Module, loss: Callable[[], Tensor], size: float) -> Iterator[None]:
    """Inside this block the weights are those at which `loss` is higher; afterwards they are as before, to the bit.

        v_l = size * |w_l| / |grad_l| * grad_l    of every layer l with two or more axes,   w_l + v_l inside

    One step along the gradient, which the published code takes too. Biases and the weights of norms stay as they are.
    Inside, compute the training loss and its gradients; step the optimiser after the block, from the weights before.
    The pass that finds v touches neither the gradients that the module has, nor its buffers (running statistics), nor
    the state of random numbers.

    Costs one pass forward and one backward.

    Reference: Wu, Xia, Wang, Adversarial Weight Perturbation Helps Robust Generalization, NeurIPS 2020
    (arXiv:2004.05884).

    Args:
        module: the bare module; parameters that need no gradient stay as they are.
        loss: the mean training loss of the batch, computed through `module`.
        size: relative length of the change of each layer, the paper's gamma (0.005 to 0.01); 0 changes nothing.

    Raises:
        InputError: the size is below 0.
    """
    check_positive("weight_perturbation", size, zero=True)
    if not size:
        yield
        return
    weights = [weight for weight in module.parameters() if weight.requires_grad and weight.ndim > 1]
    with _untouched(module):
        gradients = torch.autograd.grad(loss(), weights, allow_unused=True)
    before = [weight.detach().clone() for weight in weights]
    try:
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                if gradient is not None and bool(torch.isfinite(gradient).all()):
                    weight.add_(gradient * (size * weight.norm() / gradient.norm().clamp(min=_TINY)))
        yield
    finally:
        with torch.no_grad():
            for weight, old in zip(weights, before, strict=True):
                weight.copy_(old)


@contextmanager
def _untouched(module: nn.Module) -> Iterator[None]:
    """Buffers and the random state are as before afterwards, so that only one pass of the step counts."""
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    devices = sorted({weight.device.index or 0 for weight in module.parameters() if weight.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):
        yield
    with torch.no_grad():
        for buffer, old in buffers:
            buffer.copy_(old)

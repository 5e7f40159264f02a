"""The gradient of a strided convolution of the image itself, computed by a dense convolution: the same, but faster."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from itertools import product
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
_FEW, _SMALL = 4, 2**14
"""Input channels up to which it is faster, since the usual gradient is slow where a convolution reads few channels; and
values of a batch up to which it is not, since it then only adds calls."""


def ease_strided_inputs(network: nn.Module) -> None:
    """Speed up the gradient of strided convolutions that read few channels: in practice, a network's first layer.

    A stem of stride 2 takes a seventh of a ResNet-18's step, two thirds of it for the gradient with respect to the
    image. Convolutions that are grouped, dilated, of stride 1 or on another device than a CPU stay as they are, and
    so does every gradient with respect to weights. `network` is changed in place; its outputs are the same, its
    gradients are equal up to rounding.
    """
    for part in network.modules():
        if type(part) in _CONVOLUTIONS and _is_slow(part):
            part.forward = partial(_convolved, part)


def _is_slow(convolution: Any) -> bool:
    weight = convolution.weight
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and convolution.in_channels <= _FEW
        and convolution.groups == 1
        and max(convolution.stride) > 1
        and max(convolution.dilation) == 1
        and convolution.padding_mode == "zeros"
        and not isinstance(convolution.padding, str)
    )


def _convolved(convolution: Any, images: Tensor) -> Tensor:
    weight = convolution.weight
    searched = images.requires_grad and torch.is_grad_enabled() and not weight.requires_grad
    if not searched or images.numel() < _SMALL or images.ndim != weight.ndim:
        return cast(Tensor, type(convolution).forward(convolution, images))
    arguments = (images, weight, convolution.bias, convolution.stride, convolution.padding)
    return cast(Tensor, _Strided.apply(*arguments))  # type: ignore[no-untyped-call]


class _Strided(torch.autograd.Function):
    """A convolution with fixed weights."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.stride, ctx.padding, ctx.size, ctx.dtype = stride, padding, images.shape[2:], images.dtype
        return _convolution(weight)(images, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        (weight,) = ctx.saved_tensors
        wanted = input_gradient(gradient, weight.to(gradient.dtype), ctx.size, ctx.stride, ctx.padding)
        return wanted.to(ctx.dtype), None, None, None, None


def input_gradient(
    gradient: Tensor, weight: Tensor, size: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]
) -> Tensor:
    """Gradient of a convolution with respect to its input, by phases of the stride.

    Forward, per axis: `out[t] = sum_j weight[j] in[s t + j - p]`. So with `u = s q + r`, `0 <= r < s`:
    `grad_in[s q + r] = sum_a grad_out[q + a] weight[r + p - s a]`, a dense convolution of `grad_out` for each phase
    `r`. All phases are computed as channels of one convolution and then put in their places.

    Args:
        gradient: with respect to the output, (B, O, *out).
        weight: (O, C, *kernel).
        size: the spatial size of the input.
        stride: per axis.
        padding: zeros on both sides, per axis.

    Returns:
        The gradient with respect to the input, (B, C, *size).
    """
    axes = range(len(size))
    channels = weight.shape[1]
    index, first, taps = _phases(tuple(weight.shape[2:]), stride, padding)
    # One value more than the kernel has: the zero of the taps that a phase lacks.
    values = F.pad(weight.flatten(2), (0, 1))[..., index]
    kernels = values.movedim(0, 1 + len(size)).reshape(-1, len(weight), *taps)
    periods = [-(-size[axis] // stride[axis]) for axis in axes]
    # Zeros that the first and the last period read beside the gradient. A convolution pads both sides equally.
    before = [-first[axis] for axis in axes]
    after = [periods[axis] + taps[axis] - 1 - before[axis] - gradient.shape[2 + axis] for axis in axes]
    pads = [max(before[axis], after[axis], 0) for axis in axes]
    dense = _convolution(weight)(gradient, kernels.contiguous(), None, 1, pads)
    for axis in axes:
        dense = dense.narrow(2 + axis, pads[axis] - before[axis], periods[axis])
    dense = dense.reshape(-1, channels, *stride, *periods)
    order = [place for axis in axes for place in (2 + len(size) + axis, 2 + axis)]
    whole = dense.permute(0, 1, *order).reshape(len(gradient), channels, *(periods[a] * stride[a] for a in axes))
    for axis in axes:
        whole = whole.narrow(2 + axis, 0, size[axis])
    return whole


def _convolution(weight: Tensor) -> Callable[..., Tensor]:
    return F.conv2d if weight.ndim == 4 else F.conv3d


@lru_cache(maxsize=32)
def _phases(
    kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]
) -> tuple[Tensor, list[int], list[int]]:
    """Where each tap of each phase lies in the kernel (*phases, *taps), the first tap, and their number per axis."""
    sizes = list(zip(kernel, stride, padding, strict=True))
    first = [-((k - 1 - p) // s) for k, s, p in sizes]
    taps = [(s - 1 + p) // s - low + 1 for (_, s, p), low in zip(sizes, first, strict=True)]
    absent = torch.Size(kernel).numel()
    index = torch.full((*stride, *taps), absent)
    for place in product(*map(range, (*stride, *taps))):
        phase, tap = place[: len(kernel)], place[len(kernel) :]
        at = [r + p - s * (a + low) for r, a, low, (_, s, p) in zip(phase, tap, first, sizes, strict=True)]
        if all(0 <= j < k for j, k in zip(at, kernel, strict=True)):
            flat = 0
            for j, k in zip(at, kernel, strict=True):
                flat = flat * k + j
            index[place] = flat
    return index, first, taps

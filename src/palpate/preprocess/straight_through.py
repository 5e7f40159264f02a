"""Pass a gradient through a map that blocks it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.preprocess.resampling import resized

Map = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def passed_through(apply: Map, image: Tensor, affine: Tensor) -> tuple[Tensor, Tensor]:
    """`apply(image, affine)`; if its own gradient is missing or zero, that of a replacement (BPDA).

    The replacement is the identity; linear interpolation if the spatial shape changes, and the mean of the channels
    if their number does.
    """
    held = [affine]

    def moved(values: Tensor) -> Tensor:
        result, held[0] = apply(values, affine)
        return result

    result: Tensor = _PassThrough.apply(image, moved)  # type: ignore[no-untyped-call]
    return result, held[0]


class _PassThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, moved: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.place = image.detach().requires_grad_()
        try:
            with torch.enable_grad():
                ctx.result = moved(ctx.place)
        except InputError:
            # It may write into its input; without a graph it runs as in the clinic, or raises its own error.
            ctx.result = moved(image.detach())
        value: Tensor = ctx.result.detach()
        return value.clone() if value.is_floating_point() else value.to(image.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        own = None
        if ctx.result.requires_grad:
            # A transform that overwrote what its own backward pass needs blocks too.
            with suppress(RuntimeError):
                (own,) = torch.autograd.grad(
                    ctx.result, ctx.place, gradient.to(ctx.result.dtype), retain_graph=True, allow_unused=True
                )
        return (own if own is not None and bool(own.any()) else _through_stand_in(gradient, ctx.place)), None


def _through_stand_in(gradient: Tensor, place: Tensor) -> Tensor:
    with torch.enable_grad():
        image = torch.zeros_like(place, requires_grad=True)
        standing = image if image.shape[0] == gradient.shape[0] else image.mean(0, keepdim=True)
        if image.ndim == gradient.ndim:
            standing = resized(standing[None], tuple(gradient.shape[1:]))[0]
            return torch.autograd.grad(standing.expand_as(gradient), image, gradient.to(image.dtype))[0]
    raise InputError(
        f"preprocess.straight_through: a transform turns images of {image.ndim - 1} spatial dimensions into "
        f"{gradient.ndim - 1}, and palpate cannot pass a gradient straight through it. Replace that transform."
    )

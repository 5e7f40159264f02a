"""Small things that every attack needs of tensors whose first axis is the sample."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def spread(values: Tensor, like: Tensor) -> Tensor:
    """Reshape per-sample `values` (B,) to (B, 1, ..., 1) so that they broadcast over `like` (B, ...)."""
    return values.reshape(-1, *([1] * (like.ndim - 1))).to(like)


def take(tree: Any, rows: Tensor) -> Any:
    """The given rows of every tensor in a (nested, named) tuple; None and plain values pass through.

    Raises:
        TypeError: a container other than a tuple, whose rows would silently stay behind.
    """
    if isinstance(tree, Tensor):
        return tree.index_select(0, rows)
    if isinstance(tree, tuple):
        parts = [take(part, rows) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    if isinstance(tree, (list, dict, set)):
        raise TypeError(f"per-sample state must be made of tensors and tuples, not {type(tree).__name__}")
    return tree


def lengths(delta: Tensor, norm: str) -> Tensor:
    """Per-sample length (B,) of `delta` (B, ...) in `linf`, `l2` or `l1`, accumulated in float64."""
    flat = delta.flatten(1)
    if norm == "linf":
        return flat.abs().amax(1).double()
    if norm == "l2":
        return flat.double().square().sum(1).sqrt()
    return flat.double().abs().sum(1)

"""Small things that every attack needs of tensors whose first axis is the sample, and of tuples of such tensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor

Tree = Any
"""A tensor whose first axis is the sample, or a (nested, named) tuple of such; None and plain values pass through."""

_FEW = 8


def spread(values: Tensor, like: Tensor) -> Tensor:
    """Reshape per-sample `values` (B,) to (B, 1, ..., 1) so that they broadcast over `like` (B, ...)."""
    return values.reshape(-1, *([1] * (like.ndim - 1))).to(like)


def mapped(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """`function` of every tensor of a tree, given with the tensors at the same places of `others`.

    Raises:
        TypeError: a container other than a tuple, whose tensors would silently be passed over.
    """
    if isinstance(tree, Tensor):
        return function(tree, *others)
    if isinstance(tree, tuple):
        parts = [mapped(function, *places) for places in zip(tree, *others, strict=True)]
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    if isinstance(tree, (list, dict, set)):
        raise TypeError(f"per-sample state must be made of tensors and tuples, not {type(tree).__name__}")
    return tree


def take(tree: Tree, rows: Tensor) -> Tree:
    """The given rows of every tensor of a tree."""
    return mapped(lambda tensor: tensor.index_select(0, rows), tree)


def leaves(tree: Tree) -> list[Tensor]:
    """The tensors of a tree, in order."""
    found: list[Tensor] = []
    mapped(found.append, tree)
    return found


def shown(returned: object) -> str:
    """What a model returned, in words: its kind, the names or places of its parts, and their shapes."""
    if isinstance(returned, Mapping):
        return f"a dict with {_parts(returned.items())}"
    if isinstance(returned, (tuple, list)):
        return f"a {'tuple' if isinstance(returned, tuple) else 'list'} with {_parts(enumerate(returned))}"
    return _short(returned)


def what_to_name(returned: object) -> str:
    """What to do about a model that returned several things: which line of a plan names the first tensor of them."""
    named: Iterable[tuple[object, object]] = returned.items() if isinstance(returned, Mapping) else ()
    if isinstance(returned, (tuple, list)):
        named = enumerate(returned)
    names = [name for name, value in named if isinstance(value, Tensor)]
    if boxes := [name for name in names if "box" in str(name).lower()]:
        return f"Return palpate.annotations.Candidates(logits=..., boxes=...), with the boxes of '{boxes[0]}'."
    such = f", such as output = {json.dumps(names[0])} in [model]" if names else ""
    return f"Name the right part in model.output{such}, or wrap the model in a module that returns it."


def _parts(named: Iterable[tuple[object, object]]) -> str:
    texts = [f"{name}: {_short(value)}" for name, value in named]
    return ", ".join(texts[:_FEW]) + (f" and {len(texts) - _FEW} more" if len(texts) > _FEW else "")


def _short(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)}"
    kind = type(value).__name__
    return f"{kind} of {len(value)}" if isinstance(value, (tuple, list, Mapping)) else kind


def finite(tree: Tree) -> Tensor:
    """Per sample (B,), whether every floating-point value of a tree is finite."""
    values = [tensor for tensor in leaves(tree) if tensor.is_floating_point()]
    good = values[0].reshape(len(values[0]), -1).isfinite().all(1)
    for tensor in values[1:]:
        good = good & tensor.reshape(len(tensor), -1).isfinite().all(1)
    return good


def lengths(delta: Tensor, norm: str) -> Tensor:
    """Per-sample length (B,) of `delta` (B, ...) in `linf`, `l2` or `l1`, accumulated in float64."""
    flat = delta.flatten(1)
    if norm == "linf":
        return flat.abs().amax(1).double()
    if norm == "l2":
        return flat.double().square().sum(1).sqrt()
    return flat.double().abs().sum(1)

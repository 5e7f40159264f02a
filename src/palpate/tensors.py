"""Small things that every attack needs of tensors whose first axis is the sample, and of tuples of such tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

Tree = Any
"""A tensor whose first axis is the sample, or a (nested, named) tuple of such; None and plain values pass through."""

VOLUME = 1 << 20
"""Values of one sample from which on memory matters more than a few passes over them."""
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


def readable(tensor: Tensor) -> bool:
    """Whether reading values back costs nothing: on the processor; elsewhere it waits for the device."""
    return tensor.device.type == "cpu"


def every(rows: Tensor, count: int) -> bool:
    """Whether `rows` are all of `count` rows in their order, so that a copy of them is not needed.

    Only on the processor: elsewhere the question would wait for the device, and the answer is False.
    """
    return readable(rows) and len(rows) == count and bool(torch.equal(rows, torch.arange(count)))


def still(tensor: Tensor) -> Tensor:
    """The tensor without its graph; the same one if it has none."""
    return tensor.detach() if tensor.requires_grad else tensor


def all_above_zero(values: Tensor) -> bool:
    """Whether all values (B,) are finite and above 0.

    Only on the processor, where reading them costs less than one step on a tensor: elsewhere the question would wait
    for the device, and the answer is False.
    """
    return readable(values) and all(0 < value < math.inf for value in values.tolist())


def leaves(tree: Tree) -> list[Tensor]:
    """The tensors of a tree, in order."""
    found: list[Tensor] = []
    mapped(found.append, tree)
    return found


def shown(returned: object) -> str:
    """What a model returned, in words: its kind, the names or places of its parts, and their shapes."""
    if isinstance(returned, Mapping):
        return f"a dict with {_parts(returned.items())}"
    if isinstance(returned, (tuple, list)) and not hasattr(returned, "_fields"):
        return f"a {'tuple' if isinstance(returned, tuple) else 'list'} with {_parts(enumerate(returned))}"
    if names := _attributes(returned):
        return f"{type(returned).__name__} with {_parts(names.items())}"
    return _short(returned)


def _attributes(value: object) -> dict[str, object]:
    """The fields of a dataclass or a named tuple."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in fields(value)}
    return dict(value._asdict()) if isinstance(value, tuple) and hasattr(value, "_asdict") else {}


def part_named(returned: object, depth: int = 3) -> str | int | None:
    """What names the first tensor of scores among the parts of what a model returned.

    A name, a place, or several of them joined by dots (`out.logits`); None where there is no such part.
    """
    if isinstance(returned, Mapping):
        named: list[tuple[object, object]] = [*returned.items()]
    elif attributes := _attributes(returned):
        named = [*attributes.items()]
    else:
        named = [*enumerate(returned)] if isinstance(returned, (tuple, list)) else []
    for name, value in named:
        if isinstance(value, Tensor) and value.ndim and value.is_floating_point():
            return name if isinstance(name, int) else str(name)
    for name, value in named if depth > 1 else []:
        if (inner := part_named(value, depth - 1)) is not None:
            return f"{name}.{inner}"
    return None


def not_read(returned: object, reads: str) -> str:
    """The sentence on what a model returned where `reads` is read: what it is, and the fix that fits."""
    text = f"model: it returned {shown(returned)}, and {reads}."
    if _proposes_boxes(returned):
        return (
            f"{text} A detector is wrapped in an adapter of palpate.models.detectors, which gives the "
            "candidates before their suppression."
        )
    part = part_named(returned)
    if isinstance(returned, Mapping) and (boxes := [name for name in returned if "box" in str(name).lower()]):
        return f"{text} Return palpate.annotations.Candidates(logits=..., boxes=...), with the boxes of '{boxes[0]}'."
    if part is None:
        return f"{text} Return one tensor of logits."
    named = part if isinstance(part, int) else f'"{part}"'
    return (
        f"{text} Name the right part in model.output, such as output = {named} in [model] (output={named} in "
        "palpate.attack), or wrap the model in a module that returns it."
    )


def _proposes_boxes(returned: object) -> bool:
    """Whether it is what a detector of torchvision gives: a table for each image."""
    held = returned[0] if isinstance(returned, (tuple, list)) and returned else None
    return isinstance(held, Mapping) and any("box" in str(name).lower() for name in held)


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

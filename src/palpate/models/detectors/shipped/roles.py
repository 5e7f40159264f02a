"""Which part of an answer has the boxes, the scores, the labels: by their names, or by their shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from torch import Tensor

from palpate.errors import InputError
from palpate.tensors import shown

_SCORES = ("score", "conf", "prob", "logit")
_LABELS = ("label", "class", "cls", "categor")
_NUMBERS = ("num",)


class Roles(NamedTuple):
    """The parts of an answer.

    Attributes:
        boxes: (B, N, 4), or (N, 4) of one image.
        scores: (B, N), or (B, N, C) of every class.
        labels: (B, N); None if scores are those of every class.
        numbers: (B,) or (B, 1), how many of the N are real; None if all are.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor | None
    numbers: Tensor | None


def roles_of(held: Any) -> Roles | None:
    """The parts of a dict, an object with fields, a tuple or a list; None if it has no boxes.

    Raises:
        InputError: there are boxes without scores.
    """
    parts = _parts(held)
    boxes = next((part for name, part in parts.items() if _is_boxes(part) and _named(name, ("box",))), None)
    if boxes is None:
        return _by_shape(parts, held)
    others = {name: part for name, part in parts.items() if part is not boxes and not _named(name, ("box",))}
    scores = _first(others, _SCORES)
    left = {name: part for name, part in others.items() if part is not scores and not _named(name, _SCORES)}
    if scores is None:
        raise InputError(f"model: it returned {shown(held)}: boxes without scores. Return the score of each box too.")
    return Roles(boxes, scores, _first(left, _LABELS), _first(left, _NUMBERS))


def _parts(held: Any) -> dict[str, Tensor]:
    if isinstance(held, Mapping):
        found = dict(held.items())
    elif is_dataclass(held) and not isinstance(held, type):
        found = {field.name: getattr(held, field.name, None) for field in fields(held)}
    elif hasattr(held, "_asdict"):
        found = dict(held._asdict())
    else:
        found = dict(enumerate(held)) if isinstance(held, (tuple, list)) else {}
    # The raw boxes of TensorFlow's exports come beside the decided ones.
    return {
        str(name): part
        for name, part in found.items()
        if isinstance(part, Tensor) and not str(name).lower().startswith("raw_")
    }


def _is_boxes(part: Tensor) -> bool:
    return part.ndim in (2, 3) and part.shape[-1] == 4 and part.is_floating_point()


def _named(name: str, words: tuple[str, ...]) -> bool:
    return any(word in name.lower() for word in words)


def _first(parts: dict[str, Tensor], words: tuple[str, ...]) -> Tensor | None:
    return next((part for name, part in parts.items() if _named(name, words)), None)


def _by_shape(parts: dict[str, Tensor], held: Any) -> Roles | None:
    """The parts of a plain tuple: boxes have four numbers, labels are whole, the rest is the scores."""
    boxes = next((part for part in parts.values() if _is_boxes(part)), None)
    if boxes is None:
        return None
    rows = boxes.shape[:-1]
    alike = [part for part in parts.values() if part is not boxes and part.shape[: len(rows)] == rows]
    numbers = next((part for part in parts.values() if _counts(part, boxes)), None)
    every = next((part for part in alike if part.ndim == boxes.ndim and part.is_floating_point()), None)
    flat = [part for part in alike if part.ndim == len(rows)]
    labels = next((part for part in flat if not part.is_floating_point()), None)
    if labels is None and len(flat) > 1:
        # Numbers of classes may be stored as floating point; scores are hardly ever whole.
        labels = next((part for part in flat if bool((part == part.round()).all())), None)
    scores = next((part for part in flat if part is not labels and part.is_floating_point()), None)
    if scores is None:
        scores = every
    if scores is None:
        raise InputError(f"model: it returned {shown(held)}: boxes without scores. Return the score of each box too.")
    return Roles(boxes, scores, labels if scores is not every else None, numbers)


def _counts(part: Tensor, boxes: Tensor) -> bool:
    return not part.is_floating_point() and boxes.ndim == 3 and part.numel() == len(boxes) and part.ndim <= 2

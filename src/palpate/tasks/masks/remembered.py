"""What an attack needs of annotated masks at every step, computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

_REMEMBERED: Any = WeakTensorKeyDictionary()
"""What was computed from a tensor of labels, while that tensor exists."""


def remembered(labels: Tensor, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
    """What `make` returns for these labels (B, ...), computed once per tensor and key. Labels are never written to."""
    known: dict[Hashable, Tensor] = _REMEMBERED.setdefault(labels, {})
    if key not in known:
        known[key] = make()
    return known[key]


def carry(labels: Tensor, taken: Tensor, rows: Tensor) -> None:
    """Cache for `taken`, some rows of `labels`, what is cached for `labels`."""
    if labels in _REMEMBERED:
        _REMEMBERED[taken] = {key: made.index_select(0, rows) for key, made in _REMEMBERED[labels].items()}

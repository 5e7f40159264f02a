"""Which steps of an ascent wait for the device, seen without a device: what reads a value back is counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from palpate import tensors
from palpate.attacks import ascent, best_so_far
from palpate.attacks.ascent import Climb

_READ_BACK = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::unique"}
"""Operations whose result, or its size, must be known before anything else can be given to the device."""


class Waits(TorchDispatchMode):
    """Notes every operation that a GPU would be waited for, by the step of the ascent; -1 before the first one."""

    def __init__(self) -> None:
        super().__init__()
        self.step = -1
        self.seen: dict[int, list[str]] = defaultdict(list)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        masks = args[1] if name in ("aten::index", "aten::index_put_", "aten::index_put") else ()
        if name in _READ_BACK or any(mask is not None and mask.dtype == torch.bool for mask in masks):
            self.seen[self.step].append(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def as_on_a_gpu(patch: pytest.MonkeyPatch) -> Any:
    """What the ascent does where it is not on a CPU; `Waits` inside it knows the step."""
    waits = Waits()
    enter: Callable[[Climb, int], None] = Climb._enter

    def entered(climb: Climb, step: int) -> None:
        waits.step = step
        enter(climb, step)

    patch.setattr(Climb, "_enter", entered)
    patch.setattr(ascent, "_CHECK_EVERY", {})
    for module in (tensors, ascent, best_so_far):
        patch.setattr(module, "readable", lambda tensor: False)
    with waits:
        yield waits

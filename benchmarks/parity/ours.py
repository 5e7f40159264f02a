"""palpate's attacks of the parity table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.parity.compare import OURS, STRONGEST, Contender
from palpate import Classification, Victim, catalog
from palpate.threats.ball import BALLS

SINGLE: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "pgd": (("linf", "l2", "l1"), {"steps": 100}),
    "apgd-ce": (("linf", "l2", "l1"), {"steps": 100}),
    "apgd-margin": (("linf", "l2", "l1"), {"steps": 100}),
    "fmn": (("linf", "l2", "l1"), {"steps": 100}),
    "ddn": (("l2",), {"steps": 100}),
    "square": (("linf", "l2"), {"queries": 1000}),
    STRONGEST: (("linf", "l2", "l1"), {}),
}
QUICK = ("pgd", "apgd-margin", STRONGEST)


def contenders(norm: str, eps: float, classes: int, quick: bool) -> list[Contender]:
    """The attacks of this norm."""

    def bound(name: str, settings: dict[str, Any]) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
        def run(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            attack = catalog.make(name, BALLS[norm](eps), **settings)
            streams = torch.Generator().manual_seed(0)
            return attack(Victim(model, (0, 1)), Classification(classes), images, labels, generator=streams).images

        return run

    return [
        Contender(name, OURS, bound(name, settings))
        for name, (norms, settings) in SINGLE.items()
        if norm in norms and (name in QUICK or not quick)
    ]

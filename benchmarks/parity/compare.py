"""Attacks on one victim, image by image: what each one beats and spends, judged and counted the same way for all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from palpate.tensors import lengths

OURS, PEER = "palpate", "peer"
STRONGEST = "strongest"
_SLACK = 1e-4
"""By which share of the radius a change may be longer, for the rounding of other libraries."""


class Counted(nn.Module):
    """A network that counts the images that pass through it forwards and backwards, whoever attacks it."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model, self.forwards, self.backwards = model, 0, 0

    def forward(self, images: Tensor) -> Any:
        """Outputs of the network."""
        self.forwards += len(images)
        if images.requires_grad:
            # A tensor of this pass alone: one that is passed again would be counted again for each earlier pass.
            images = images.view_as(images)
            images.register_hook(self._back)
        return self.model(images)

    def _back(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)


@dataclass(frozen=True)
class Contender:
    """One attack: its name, whose it is, and what it makes of (model, images, labels)."""

    name: str
    side: str
    run: Callable[[nn.Module, Tensor, Tensor], Tensor]


def inside(images: Tensor, changed: Tensor, norm: str, eps: float) -> Tensor:
    """Which changed images are in the ball and in [0, 1] (B,)."""
    far = lengths((changed - images).double(), norm)
    within = ((changed >= -1e-6) & (changed <= 1 + 1e-6)).flatten(1).all(1)
    return (far <= eps * (1 + _SLACK)) & within


def measure(
    contender: Contender,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    allowed: Callable[[Tensor], Tensor],
    lost: Callable[[Tensor], Tensor],
) -> dict[str, Any]:
    """Run one attack: which images it beats, passes per image, seconds of the processor; or why it gave nothing.

    `lost` says which outputs (B, ...) the attacker wanted, `allowed` which images may count.
    """
    counted = Counted(model).eval()
    torch.manual_seed(0)
    np.random.seed(0)
    begin = time.process_time()
    try:
        made = contender.run(counted, images.clone(), labels.clone()).detach()
    except Exception as error:  # a peer may raise anything, and the table says what
        return {"side": contender.side, "error": f"{type(error).__name__}: {error}".splitlines()[0][:160]}
    seconds = time.process_time() - begin
    with torch.no_grad():
        beaten = lost(model(made)) & allowed(made)
    return {
        "side": contender.side,
        "beaten": beaten.tolist(),
        "forwards": counted.forwards / len(images),
        "backwards": counted.backwards / len(images),
        "seconds": seconds,
    }


@dataclass(frozen=True)
class Row:
    """One attack of the table: images that it beats, beats alone, and beats while `strongest` does not."""

    name: str
    side: str
    beaten: int
    alone: int
    missed: int
    forwards: float
    backwards: float
    seconds: float


def rows(attacks: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """One row for each attack that ran, in the order given."""
    won = {name: np.array(one["beaten"], bool) for name, one in attacks.items() if "beaten" in one}
    times = np.sum(list(won.values()), axis=0)
    found = []
    for name, beaten in won.items():
        one = attacks[name]
        found.append(
            Row(
                name,
                one["side"],
                int(beaten.sum()),
                int((beaten & (times == 1)).sum()),
                int((beaten & ~won[STRONGEST]).sum()),
                one["forwards"],
                one["backwards"],
                one["seconds"],
            )
        )
    return found


def missed(attacks: Mapping[str, Mapping[str, Any]], side: str) -> list[int]:
    """Images that some attack of `side` beats and `strongest` does not, by their position."""
    others = [one["beaten"] for one in attacks.values() if one["side"] == side and "beaten" in one]
    union = np.any(np.array(others, bool), axis=0) if others else np.zeros(len(attacks[STRONGEST]["beaten"]), bool)
    return np.flatnonzero(union & ~np.array(attacks[STRONGEST]["beaten"], bool)).tolist()


def cost_ratio(attacks: Mapping[str, Mapping[str, Any]], other: str) -> float | None:
    """Passes of `strongest` over those of another attack; None if that one did not run."""
    peer = attacks.get(other, {})
    if "beaten" not in peer:
        return None
    mine = attacks[STRONGEST]
    return float((mine["forwards"] + mine["backwards"]) / (peer["forwards"] + peer["backwards"]))


def ratios(table: Sequence[Mapping[str, Any]], other: str) -> list[float]:
    """`cost_ratio` of every victim and norm where the other attack ran."""
    found = [cost_ratio(one["attacks"], other) for one in table]
    return [ratio for ratio in found if ratio is not None]

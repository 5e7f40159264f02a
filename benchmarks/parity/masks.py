"""Masks in the parity table: two small networks for one structure, attacked in L-inf by palpate and by the peers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.parity.compare import OURS, PEER, STRONGEST, Contender
from benchmarks.parity.peers import adv_lib
from benchmarks.parity.victims import Victim
from benchmarks.planted import images as drawn
from benchmarks.planted.networks import trained
from palpate import Linf, catalog
from palpate import Victim as Tested
from palpate.tasks.segmentation import Segmentation

TASK = Segmentation(1)
FLOOR = TASK.floor
STEPS = 100
SEED = 77
RADII = {"discs, plain": 4.5 / 255, "discs, adversarial": 12 / 255}
SINGLE = {"pgd": STEPS, "apgd-margin": STEPS, "cospgd": STEPS, "dice-pgd": STEPS, "alma-prox": 200, STRONGEST: None}
QUICK = ("pgd", STRONGEST)


class TwoScores(nn.Module):
    """A network with one logit per pixel of stored values, as one with two scores per pixel of values in [0, 1]."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """(B, 2, *spatial)."""
        logits = self.network(images * 255)
        return torch.cat([torch.zeros_like(logits), logits], 1)


def victims(count: int) -> list[Victim]:
    """The networks of the planted victims for masks, and validation images whose Dice is above the floor."""
    found = []
    for name, eps in RADII.items():
        model = TwoScores(trained("segmentation", "adversarial" in name)).eval().requires_grad_(False)
        images, labels = drawn.masks(4 * count, SEED)
        images = images / 255
        right = (~lost(labels, model(images))).nonzero().flatten()[:count]
        found.append(Victim(name, 2, {"linf": eps}, model, images[right], labels[right]))
    return found


def lost(labels: Tensor, outputs: Tensor) -> Tensor:
    """Where the Dice of the structure is at or below the floor (B,), computed here and not by palpate."""
    decided, truth = outputs.argmax(1).flatten(1) == 1, labels.flatten(1) == 1
    overlap = (decided & truth).sum(1)
    return 2 * overlap <= FLOOR * (decided.sum(1) + truth.sum(1))


def _torchattacks(model: nn.Module, images: Tensor, labels: Tensor, eps: float) -> Tensor:
    import torchattacks

    found: Tensor = torchattacks.PGD(model, eps=eps, alpha=2.5 * eps / STEPS, steps=STEPS)(images, labels)
    return found


def _adv_lib(name: str, model: nn.Module, images: Tensor, labels: Tensor, eps: float) -> Tensor:
    """A search for the smallest change that breaks two thirds of the structure's pixels: a Dice of a half or less."""
    adv_lib()
    from adv_lib.attacks import segmentation

    settings: dict[str, dict[str, Any]] = {
        "alma_prox": {"num_steps": 200},
        "dag": {"max_iter": 200, "γ": 0.003},
        "pdpgd": {"norm": float("inf"), "num_steps": 200},
    }
    attack: Callable[..., Tensor] = getattr(segmentation, name)
    return attack(model, images, labels, masks=labels == 1, adv_threshold=2 / 3, **settings[name])


PEERS: dict[str, tuple[str, Callable[[nn.Module, Tensor, Tensor, float], Tensor]]] = {
    "torchattacks PGD": ("torchattacks", _torchattacks),
    "adv_lib ALMA-prox": ("adv_lib", partial(_adv_lib, "alma_prox")),
    "adv_lib DAG": ("adv_lib", partial(_adv_lib, "dag")),
    "adv_lib PDPGD": ("adv_lib", partial(_adv_lib, "pdpgd")),
}


def contenders(eps: float, quick: bool) -> list[Contender]:
    """Peers that are installed, then palpate's attacks."""

    def theirs(run: Callable[[nn.Module, Tensor, Tensor, float], Tensor]) -> Callable[..., Tensor]:
        return lambda model, images, labels: run(model, images, labels, eps)

    def ours(name: str, steps: int | None) -> Callable[..., Tensor]:
        def run(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            attack = catalog.make(name, Linf(eps), **({} if steps is None else {"steps": steps}))
            streams = torch.Generator().manual_seed(0)
            return attack(Tested(model, (0, 1)), TASK, images, labels, generator=streams).images

        return run

    installed = {name: run for name, (package, run) in PEERS.items() if importlib.util.find_spec(package)}
    peers = [Contender(name, PEER, theirs(run)) for name, run in installed.items()]
    mine = [Contender(name, OURS, ours(name, steps)) for name, steps in SINGLE.items() if name in QUICK or not quick]
    return [*(peers[:1] if quick else peers), *mine]

"""The attacks of the study and of the ablation, and what a step of each costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import nn

from benchmarks.smia_study.ground import Metered
from palpate import Classification, Linf, catalog
from palpate.attacks.ascent import Ascent
from palpate.audit.plan.identity import digest

STEPS, PASSES = 20, 40
TRIAL_STEPS, TRIAL_PASSES = 10, 30
"""Of the ablation: with three passes a step, a detached SMIA has ten steps in both."""
MODES = ("steps", "passes")
SEEDS = (0, 1, 2)
Parameters = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Peer:
    """One attack of the study.

    Attributes:
        name: what the study calls it.
        recipe: its row of the catalog.
        parameters: its parameters except the threat and the steps.
        kinds: kinds of task that it is run on; empty: all.
        tier: when its turn comes, 0 first; those of tier 0 run at all radii of a benchmark, the others at the largest.
        random_start: start at random points although the recipe does not.
        modes: equal steps, equal passes.
    """

    name: str
    recipe: str
    parameters: Parameters = ()
    kinds: tuple[str, ...] = ()
    tier: int = 1
    random_start: bool = False
    modes: tuple[str, ...] = MODES

    @property
    def draws(self) -> bool:
        """Whether the outcome depends on the seed."""
        return self.random_start or catalog.find(self.recipe).random

    @property
    def slug(self) -> str:
        """The name as files have it."""
        return self.name.replace(",", "").replace("/", "x").replace(" ", "-")

    def build(self, eps: float, steps: int) -> Ascent:
        """The attack at a radius; every sample runs to the end."""
        entry = catalog.find(self.recipe)
        settings = dict(self.parameters)
        if "steps" in catalog.parameters(entry):
            settings["steps"] = steps
        attack: Ascent = catalog.make(self.recipe, Linf(eps), **settings)
        return replace(attack, run_to_end=True, random_start=attack.random_start or self.random_start)

    def steps_of(self, mode: str, steps: int = STEPS, passes: int = PASSES) -> int:
        """Steps in a mode: the given number, or as many as the passes allow."""
        if "steps" not in catalog.parameters(catalog.find(self.recipe)):
            return 1
        return steps if mode == "steps" else max(1, passes // sum(cost(self)))


@cache
def cost(peer: Peer) -> tuple[int, int]:
    """Forward and backward passes of one step: what a second step adds on a small network.

    A backward pass is counted for every forward pass whose graph it runs through.
    """
    if "steps" not in catalog.parameters(catalog.find(peer.recipe)):
        return 1, 1
    one, two = (_spent(peer.build(1.0, steps)) for steps in (1, 2))
    return two[0] - one[0], two[1] - one[1]


def _spent(attack: Ascent) -> tuple[int, int]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        victim = Metered(nn.Sequential(nn.Flatten(), nn.Linear(256, 3)), (0, 255))
        images = torch.rand(1, 1, 16, 16) * 255
    with victim:
        label = victim.judge(images).argmax(1)
    before = victim.forwards
    attack(victim, Classification(3), images, label)
    return victim.forwards - before, victim.graphs


def family(smooth: str, agreement: str, through: bool, weight: float, size: int = 3, sigma: float = 1.0) -> Parameters:
    """A point of the SMIA family."""
    return (
        ("agreement", agreement),
        ("sigma", sigma),
        ("size", size),
        ("smooth", smooth),
        ("through", through),
        ("weight", weight),
    )


DENSE = ("segmentation", "detection")
MASKS = ("segmentation",)
STUDY = (
    Peer("bim", "bim", tier=0),
    Peer("pgd", "pgd", tier=0),
    Peer("smia", "smia", tier=0),
    Peer("dice-pgd", "dice-pgd", kinds=MASKS, tier=0),
    Peer("apgd-margin", "apgd-margin", tier=0),
    Peer("steadfast", "steadfast", tier=0),
    Peer("smia, step label detached", "smia", family("step", "label", False, 0.5), tier=0),
    Peer("smia, perturbation distribution through", "smia", family("perturbation", "distribution", True, 1.0), tier=0),
    Peer(
        "smia, perturbation distribution detached", "smia", family("perturbation", "distribution", False, 0.5), tier=1
    ),
    Peer("fgsm", "fgsm", tier=1),
    Peer("cospgd", "cospgd", kinds=DENSE, tier=1),
    Peer("segpgd", "segpgd", kinds=DENSE, tier=1),
    Peer("apgd-ce", "apgd-ce", tier=1),
    Peer("mi", "mi", tier=1),
    Peer("ti", "ti", tier=1),
    Peer("di", "di", tier=1),
    Peer("bim, random start", "bim", random_start=True, modes=("steps",), tier=1),
    Peer("smia, random start", "smia", random_start=True, modes=("steps",), tier=1),
)
TRACED = (
    "bim",
    "smia",
    "smia, step label detached",
    "smia, perturbation distribution detached",
    "smia, perturbation distribution through",
    "steadfast",
)
"""Attacks whose paths are traced."""
SCAN = (Peer("bim", "bim", modes=("steps",)),)


def study() -> tuple[Peer, ...]:
    """The attacks of the study that this palpate has."""
    known = catalog.attacks()
    return tuple(peer for peer in STUDY if peer.recipe in known)


def peer_of(name: str) -> Peer:
    """The attack of the study with this name or slug."""
    return {key: peer for peer in STUDY for key in (peer.name, peer.slug)}[name]


def settings_of(peer: Peer) -> dict[str, Any]:
    """All parameters of the recipe, those left at their defaults too."""
    known = catalog.parameters(catalog.find(peer.recipe))
    return {key: parameter.default for key, parameter in known.items()} | dict(peer.parameters)


def fingerprint(attack: Ascent, seed: int) -> str:
    """Hash of what an attack does to an image: two cells of one fingerprint are one computation."""
    return digest({"attack": attack, "seed": seed})

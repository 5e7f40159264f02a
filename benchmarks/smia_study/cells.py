"""Cells of the study: one attack at one radius on one world in one mode with one seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.smia_study import ablation
from benchmarks.smia_study.attacks import (
    MODES,
    PASSES,
    SCAN,
    SEEDS,
    STEPS,
    TRACED,
    TRIAL_PASSES,
    TRIAL_STEPS,
    Peer,
    cost,
    fingerprint,
    study,
)
from benchmarks.smia_study.transfer_networks import CACHE
from benchmarks.smia_study.worlds import World
from palpate.attacks.ascent import Ascent

STAGES = ("scan", "ablation", "study", "trace")
"""In the order in which they run; the first two on validation images."""
FOLDERS = {"scan": "scan", "ablation": "validation", "study": "rows", "trace": "rows"}


@dataclass(frozen=True)
class Cell:
    """One row of the study.

    Attributes:
        stage: one of `STAGES`.
        world: where it runs.
        peer: the attack's row in the list.
        eps: radius in stored values.
        mode: `steps` (equal steps) or `passes` (equal passes).
        seed: root of its random numbers.
        steps: gradient steps.
        asked: passes that it is asked to keep to; None where steps are what is equal.
        source: name of the cell whose rows these are: its own, or of an earlier one that is the same computation.
        order: when its turn comes.
    """

    stage: str
    world: World
    peer: Peer
    eps: float
    mode: str
    seed: int
    steps: int
    asked: int | None
    source: str = ""
    order: tuple[int, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """Stem of its files."""
        if self.stage == "trace":
            return f"trace_{self.peer.slug}"
        return f"{self.peer.slug}_eps{self.eps:g}_{self.mode}_seed{self.seed}"

    @property
    def key(self) -> str:
        """What `--only` takes."""
        return f"{self.world.name}/{self.peer.slug}/eps{self.eps:g}/{self.mode}/seed{self.seed}"

    @property
    def split(self) -> str:
        """Which images it runs on: those of test, some of validation, or for the scan all of validation."""
        return {"rows": "test"}.get(FOLDERS[self.stage], FOLDERS[self.stage])

    @property
    def command(self) -> str:
        """What reruns it."""
        return f"python -m benchmarks.smia_study --stage {self.stage} --only {self.key}"

    @property
    def attack(self) -> Ascent:
        """The attack itself."""
        return self.peer.build(self.eps, self.steps)

    @property
    def linked(self) -> bool:
        """Whether its rows are another cell's."""
        return self.source != self.name

    @property
    def passes(self) -> int:
        """Forward and backward passes of its steps."""
        return self.steps * sum(cost(self.peer))

    @property
    def seconds(self) -> float:
        """What it should take one quiet thread."""
        images = {"test": self.world.images, "scan": ALL}.get(self.split, self.world.trials)
        runs = 1.0
        if self.stage == "trace":
            images, runs = min(images, TRACED_IMAGES), 1.5 * (TRACED_STARTS if self.peer.draws else 1)
        return 0.0 if self.linked else images * runs * (self.passes + len(self.world.handlings)) * self.per_pass

    @property
    def per_pass(self) -> float:
        """Seconds of a pass of one image."""
        return self.world.milliseconds / 2000

    def file(self, suffix: str, root: Path = CACHE, name: str = "") -> Path:
        """Its file in the cache."""
        return root / FOLDERS[self.stage] / self.world.name / f"{name or self.name}{suffix}"


TRACED_IMAGES, TRACED_STARTS = 16, 3
ALL = 100
"""About as many validation images as a world has; only for estimates."""


def cells(stage: str, worlds: Sequence[World], peers: Sequence[Peer] | None = None) -> list[Cell]:
    """All cells of a stage, the most valuable first; those that are one computation point to the first of them.

    Args:
        stage: one of `STAGES`.
        worlds: where.
        peers: the attacks; those of the stage unless told.
    """
    found: list[Cell] = []
    for place, world in enumerate(worlds):
        seen: dict[str, str] = {}
        for cell in _of_world(stage, world, place, _peers(stage) if peers is None else tuple(peers)):
            name = seen.setdefault(fingerprint(cell.attack, cell.seed), cell.name)
            found.append(replace(cell, source=name))
    return sorted(found, key=lambda cell: cell.order)


def _peers(stage: str) -> tuple[Peer, ...]:
    if stage == "scan":
        return SCAN
    if stage == "ablation":
        return ablation.peers()
    return tuple(peer for peer in study() if stage == "study" or peer.name in TRACED)


def _of_world(stage: str, world: World, place: int, peers: tuple[Peer, ...]) -> Iterator[Cell]:
    kind = KINDS.get(world.folder.name, "segmentation")
    chosen = [peer for peer in peers if not peer.kinds or kind in peer.kinds]
    if stage == "ablation" and world.name not in ablation.WORLDS:
        return
    for rank, peer in enumerate(chosen):
        for eps in _radii(stage, world, peer):
            for mode in peer.modes if stage in ("study", "ablation") else MODES[:1]:
                for seed in _seeds(stage, world, peer, eps):
                    yield _cell(stage, world, peer, eps, mode, seed, (place, rank))


def _seeds(stage: str, world: World, peer: Peer, eps: float) -> tuple[int, ...]:
    """Several for attacks that draw, at the main radius, as many as the world affords; elsewhere one."""
    if stage != "study":
        return SEEDS[:1]
    afforded = world.seeds[peer.tier]
    return SEEDS[: afforded if peer.draws and eps == world.eps[-1] else min(afforded, 1)]


def _cell(stage: str, world: World, peer: Peer, eps: float, mode: str, seed: int, turn: tuple[int, int]) -> Cell:
    place, rank = turn
    steps, passes = (STEPS, PASSES) if stage in ("study", "trace") else (TRIAL_STEPS, TRIAL_PASSES)
    # The study: first the attacks that matter most, on the first worlds, at the largest radius, with the first seed;
    # then their other seeds, the other attacks, and the other radii.
    turns = world.turn + (seed > 0) + 2 * peer.tier + 3 * (eps != world.eps[-1])
    own, paid = (peer.steps_of(one, steps, passes) for one in MODES)
    # The ablation: what the rule reads first, which is what is run at equal passes.
    order = (
        (turns, place, rank, seed) if stage == "study" else (mode == "steps" and own != paid, rank // 8, place, rank)
    )
    return Cell(
        stage, world, peer, eps, mode, seed, peer.steps_of(mode, steps, passes), passes if mode == "passes" else None,
        order=order,
    )  # fmt: skip


def _radii(stage: str, world: World, peer: Peer) -> tuple[float, ...]:
    if stage == "scan":
        return world.scan
    if stage == "study" and peer.tier == 0:
        return (*reversed(world.eps), *world.beyond)
    return world.eps[-1:]


KINDS = {"fundus_dr": "classification", "polyp_boxes": "detection"}
"""Kinds of task of the examples that are not masks."""

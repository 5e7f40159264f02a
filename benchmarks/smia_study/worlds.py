"""The worlds of the study: a victim, its images and what is measured on them, built from the examples' own plans."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.smia_study.prepare import prepare
from benchmarks.smia_study.transfer_networks import EXAMPLES, NAMES, network_of
from palpate.audit.identity import encode
from palpate.audit.items import items
from palpate.audit.plan import Plan, load_plan
from palpate.audit.saving import as_stored
from palpate.audit.subject import Subject, load_subject
from palpate.contracts import Task
from palpate.handling import Handling, parse
from palpate.models.loading import weights_digest
from palpate.tensors import Tree
from palpate.victim import Tuning, Victim

FLAT = ("8bit", "jpeg90", "jpeg75", "half", "blur1")
VOLUMES = ("8bit", "half", "blur1")


@dataclass(frozen=True)
class World:
    """One victim on one set of images.

    Attributes:
        name: what the study calls it.
        folder: folder of the example's `plan.toml`.
        words: what is shown of it in tables.
        eps: the study's radii in stored values, rising; the ablation uses the last one.
        scan: radii of the scan on validation images from which `eps` was chosen.
        images: at most so many test images.
        trials: at most so many validation images.
        batch: images attacked at once.
        milliseconds: of one thread for a forward and a backward pass of one image; only for estimates.
        tuning: how searches evaluate the victim; fixed, since timing could choose differently in two runs.
        handlings: what happens to images after the attack.
        test: lines of the table that are tested on.
        validation: lines that choices are made on.
        splits: splits that validation takes in where lines cannot say it: of CT the training slices too.
        victim: the network that is attacked: the example's own, or its second one.
        second: whether adversarial images are shown to the other network of the example.
        image: what one image is called.
        turn: when its turn comes, 0 first.
    """

    name: str
    folder: Path
    words: str
    eps: tuple[float, ...]
    scan: tuple[float, ...]
    images: int
    trials: int
    batch: int
    milliseconds: float
    tuning: Tuning = Tuning(layout="channels_last", fold=True)
    handlings: tuple[str, ...] = FLAT
    test: tuple[tuple[str, str], ...] = (("split", "test"),)
    validation: tuple[tuple[str, str], ...] = (("split", "val"),)
    splits: tuple[str, ...] = ()
    victim: str = "first"
    second: bool = False
    image: str = "image"
    turn: int = 0


_PLAIN = Tuning(fold=True)
_HALF = Tuning(layout="channels_last", fold=True, search="bfloat16", glance="bfloat16")
_FUNDUS_SCAN = (0.25, 0.5, 0.75, 1.0)
WORLDS = (
    World(
        "fundus_dr",
        EXAMPLES / "fundus_dr",
        "DR grades, ResNet-18",
        eps=(0.25, 0.5),
        scan=_FUNDUS_SCAN,
        images=239,
        trials=40,
        batch=20,
        milliseconds=7.7,
        second=True,
    ),
    World(
        "covid_ct",
        EXAMPLES / "covid_ct",
        "CT infection, U-Net",
        eps=(2.0, 4.0),
        scan=(1.0, 2.0, 4.0, 5.0, 6.0, 8.0),
        images=48,
        trials=16,
        batch=8,
        milliseconds=21,
        validation=(),
        splits=("val", "train"),
        second=True,
        image="slice",
    ),
    World(
        "polyps",
        EXAMPLES / "polyps",
        "polyp masks, U-Net",
        eps=(0.5, 1.0),
        scan=(0.25, 0.5, 1.0, 2.0),
        images=50,
        trials=30,
        batch=16,
        milliseconds=10,
        second=True,
    ),
    World(
        "polyp_boxes",
        EXAMPLES / "polyp_boxes",
        "polyp boxes, detector",
        eps=(0.5, 1.0),
        scan=(0.25, 0.5, 1.0, 2.0),
        images=40,
        trials=40,
        batch=10,
        milliseconds=20,
        tuning=_PLAIN,
        turn=1,
    ),
    World(
        "hippocampus",
        EXAMPLES / "hippocampus",
        "hippocampus volumes, 3D U-Net",
        eps=(6.0,),
        scan=(1.0, 3.0, 6.0, 12.0),
        images=12,
        trials=7,
        batch=4,
        milliseconds=120,
        tuning=_PLAIN,
        handlings=VOLUMES,
        image="volume",
        turn=1,
    ),
    World(
        "fundus_dr_densenet",
        EXAMPLES / "fundus_dr",
        "DR grades, DenseNet",
        eps=(0.5,),
        scan=_FUNDUS_SCAN,
        images=60,
        trials=40,
        batch=20,
        milliseconds=9,
        victim="second",
        second=True,
        turn=2,
    ),
    World(
        "vessels",
        EXAMPLES / "vessels",
        "vessels, foreign W-Net",
        eps=(1.0,),
        scan=(0.5, 1.0, 2.0),
        images=4,
        trials=4,
        batch=2,
        milliseconds=350,
        tuning=_HALF,
        test=(("dataset", "DRIVE"), ("split", "test")),
        validation=(("dataset", "CHASE_DB1"),),
        turn=3,
    ),
)
"""In the order of their worth; `fundus_dr_densenet` is the second network of `fundus_dr` as a victim of its own."""


def world_of(name: str) -> World:
    """The world of this name."""
    return {world.name: world for world in WORLDS}[name]


class Metered(Victim):
    """A victim that also counts the images whose forward pass is kept for a backward pass.

    One gradient through two branches costs two backward passes; the plain counter books it once.
    """

    graphs = 0

    def search(self, images: Tensor) -> Tree:
        """As `Victim.search`, counted apart where the images ask for a gradient."""
        if torch.is_grad_enabled() and images.requires_grad:
            self.graphs += len(images)
        return super().search(images)


@dataclass
class Ground:
    """A world that is loaded: victim, images, task, and what clean images come to.

    Attributes:
        world: what it was made of.
        subject: victim and images.
        task: what outputs mean.
        rows: the rows of the table that are attacked.
        handlings: what happens to images after the attack.
        second: the other network; None where there is none.
        second_weights: hash of its weights.
    """

    world: World
    subject: Subject
    task: Task
    rows: tuple[int, ...]
    handlings: tuple[Handling, ...]
    second: Victim | None = None
    second_weights: str = ""
    _clean: dict[tuple[int, ...], dict[str, list[float]]] = field(default_factory=dict)

    @property
    def victim(self) -> Metered:
        """The network that is attacked."""
        victim = self.subject.victim
        assert isinstance(victim, Metered)
        return victim

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What decides figures beside the attack, as JSON."""
        return {
            "subject": self.subject.identity(self.rows),
            "task": encode(self.task),
            "tuning": encode_tuning(self.victim.tuning),
            "handlings": [encode(one) for one in self.handlings],
            "second": self.second_weights,
        }

    def batches(self) -> list[tuple[int, ...]]:
        """The rows in the batches in which they are attacked."""
        return list(self.subject.batches(self.rows, self.world.batch))

    def clean(self, rows: tuple[int, ...], images: Tensor, targets: Tree) -> dict[str, list[float]]:
        """Columns of the clean images of one batch, worked out once."""
        if rows not in self._clean:
            self._clean[rows] = self.columns("clean_", rows, images, targets)
        return self._clean[rows]

    def columns(self, prefix: str, rows: Sequence[int], images: Tensor, targets: Tree) -> dict[str, list[float]]:
        """Margin and score of images after each handling, and on the other network."""
        columns: dict[str, list[float]] = {}
        held = as_stored(self.subject, rows, images) if self.handlings else images
        for handling in self.handlings:
            margins, scores = self.judged(self.victim, handling(held), targets)
            columns[f"{prefix}handled_margin_{handling.name}"] = margins
            columns[f"{prefix}handled_score_{handling.name}"] = scores
        if self.second is not None:
            # Spacing-aware preprocessing was set for these rows when their images were read.
            self.second.preprocess = self.victim.preprocess
            margins, scores = self.judged(self.second, images, targets)
            columns[f"transfer_{prefix}margin"], columns[f"transfer_{prefix}score"] = margins, scores
        return columns

    def judged(self, victim: Victim, images: Tensor, targets: Tree) -> tuple[list[float], list[float]]:
        """Margins and scores of images by a network as it was given."""
        with victim, torch.no_grad():
            outputs = victim.judge(images)
            return self.task.margin(outputs, targets).tolist(), self.task.score(outputs, targets).tolist()


def encode_tuning(tuning: Tuning) -> dict[str, str | bool]:
    """A tuning as JSON."""
    return {"layout": tuning.layout, "fold": tuning.fold, "search": tuning.search, "glance": tuning.glance}


def load(world: World, split: str, data: Path) -> Ground:
    """Load a world with its `test` or `validation` images; absent data and weights are prepared first."""
    prepare(world.folder, data)
    plan = load_plan(world.folder / "plan.toml")
    limit = world.images if split == "test" else world.trials
    where = dict(world.test if split == "test" else world.validation)
    chosen = {"where": where, "limit": None if split != "test" and world.splits else limit}
    plan = plan.model_copy(update={"data": plan.data.model_copy(update=chosen)})
    subject = load_subject(plan)
    rows = tuple(range(len(subject.table)))
    if split != "test" and world.splits:
        rows = _rows_of(plan, subject, world.splits)[:limit]
    first, second = _networks(world, subject)
    victim = Metered(
        first,
        subject.victim.bounds,
        preprocess=subject.victim.preprocess,
        inferer=subject.victim.inferer,
        tuning=world.tuning,
    )
    subject = replace(subject, victim=victim, weights=weights_digest(first))
    names = world.handlings if split == "test" else [name for name in world.handlings if name in TRIED]
    return Ground(
        world=world,
        subject=subject,
        task=items(plan, subject.grid)[0].task,
        rows=rows,
        handlings=tuple(parse(name, subject.scale) for name in names),
        second=None if second is None else Victim(second, victim.bounds, inferer=victim.inferer),
        second_weights="" if second is None else weights_digest(second),
    )


TRIED = ("8bit", "jpeg90", "blur1")
"""Handlings of validation images."""
Load = Callable[[World, str, Path], Ground]


def _networks(world: World, subject: Subject) -> tuple[nn.Module, nn.Module | None]:
    """The network that is attacked, and the other one."""
    own = subject.victim.module
    if not world.second:
        return own, None
    other = network_of(world.folder.name)
    return (own, other) if world.victim == "first" else (other, own)


def _rows_of(plan: Plan, subject: Subject, splits: Sequence[str]) -> tuple[int, ...]:
    """Rows of some splits, in the order of the splits."""
    with (plan.root / str(plan.data.table)).open(newline="") as lines:
        split = {line[plan.data.file]: line["split"] for line in csv.DictReader(lines)}
    return tuple(row for one in splits for row in range(len(subject.table)) if split[subject.table[row].name] == one)


def second_name(world: World) -> str | None:
    """What the network is called to which attacks transfer."""
    if not world.second:
        return None
    return NAMES[world.folder.name] if world.victim == "first" else "ResNet-18"

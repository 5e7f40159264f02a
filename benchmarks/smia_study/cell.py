"""A cell of the study: one attack at one radius on one benchmark in one mode with one seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.smia_study.attacks import Peer, cost
from benchmarks.smia_study.suite import Benchmark
from benchmarks.smia_study.transfer_networks import CACHE
from palpate.attacks.ascent import Ascent

STAGES = ("scan", "ablation", "study", "trace")
"""In the order in which they run; the first two on validation images."""
FOLDERS = {"scan": "scan", "ablation": "validation", "study": "rows", "trace": "rows"}
TRACED_IMAGES, TRACED_STARTS = 16, 3
ALL = 100
"""About as many validation images as a benchmark has; only for estimates."""


@dataclass(frozen=True)
class Cell:
    """One row of the study.

    Attributes:
        stage: one of `STAGES`.
        benchmark: where it runs.
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
    benchmark: Benchmark
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
        return f"{self.benchmark.name}/{self.peer.slug}/eps{self.eps:g}/{self.mode}/seed{self.seed}"

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
        images = {"test": self.benchmark.images, "scan": ALL}.get(self.split, self.benchmark.trials)
        runs = 1.0
        if self.stage == "trace":
            images, runs = min(images, TRACED_IMAGES), 1.5 * (TRACED_STARTS if self.peer.draws else 1)
        return 0.0 if self.linked else images * runs * (self.passes + len(self.benchmark.handlings)) * self.per_pass

    @property
    def per_pass(self) -> float:
        """Seconds of a pass of one image."""
        return self.benchmark.milliseconds / 2000

    def file(self, suffix: str, root: Path = CACHE, name: str = "") -> Path:
        """Its file in the cache."""
        return root / FOLDERS[self.stage] / self.benchmark.name / f"{name or self.name}{suffix}"

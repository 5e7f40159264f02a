"""A benchmark that is loaded: the victim with its passes counted, the images, and what clean images come to."""

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
from benchmarks.smia_study.suite import Benchmark
from benchmarks.smia_study.transfer_networks import network_of
from palpate.audit.plan.identity import encode
from palpate.audit.plan.items import items
from palpate.audit.plan.plan import Plan, load_plan
from palpate.audit.subject.subject import Subject, load_subject
from palpate.audit.work.saving import as_stored
from palpate.contracts import Task
from palpate.models.loading import weights_digest
from palpate.postprocessing import PostProcessing, parse
from palpate.tensors import Tree
from palpate.victim import Tuning, Victim

TRIED = ("8bit", "jpeg90", "blur1")
"""Handlings of validation images."""
Load = Callable[[Benchmark, str, Path], "Ground"]


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
    """A benchmark that is loaded: victim, images, task, and what clean images come to.

    Attributes:
        benchmark: what it was made of.
        subject: victim and images.
        task: what outputs mean.
        rows: the rows of the table that are attacked.
        handlings: what happens to images after the attack.
        second: the other network; None where there is none.
        second_weights: hash of its weights.
    """

    benchmark: Benchmark
    subject: Subject
    task: Task
    rows: tuple[int, ...]
    handlings: tuple[PostProcessing, ...]
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
        """Everything except the attack that decides figures, as JSON."""
        return {
            "subject": self.subject.identity(self.rows),
            "task": encode(self.task),
            "tuning": encode_tuning(self.victim.tuning),
            "handlings": [encode(one) for one in self.handlings],
            "second": self.second_weights,
        }

    def batches(self) -> list[tuple[int, ...]]:
        """The rows in the batches in which they are attacked."""
        return list(self.subject.batches(self.rows, self.benchmark.batch))

    def clean(self, rows: tuple[int, ...], images: Tensor, targets: Tree) -> dict[str, list[float]]:
        """Columns of the clean images of one batch, worked out once."""
        if rows not in self._clean:
            self._clean[rows] = self.columns("clean_", rows, images, targets)
        return self._clean[rows]

    def columns(self, prefix: str, rows: Sequence[int], images: Tensor, targets: Tree) -> dict[str, list[float]]:
        """Margin and score of images after each post-processing step, and on the other network."""
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
    return {"layout": tuning.layout, "fold": tuning.fold, "search": tuning.search, "glance": tuning.forward_no_grad}


def load(benchmark: Benchmark, split: str, data: Path) -> Ground:
    """Load a benchmark with its `test` images, some of `validation`, or for the `scan` all; make what is absent."""
    prepare(benchmark.folder, data)
    plan = load_plan(benchmark.folder / "plan.toml")
    limit = {"test": benchmark.images, "validation": benchmark.trials}.get(split)
    where = dict(benchmark.test if split == "test" else benchmark.validation)
    chosen = {"where": where, "limit": None if split != "test" and benchmark.splits else limit}
    plan = plan.model_copy(update={"data": plan.data.model_copy(update=chosen)})
    subject = load_subject(plan)
    rows = tuple(range(len(subject.table)))
    if split != "test" and benchmark.splits:
        rows = _rows_of(plan, subject, benchmark.splits)[:limit]
    first, second = _networks(benchmark, subject)
    victim = Metered(
        first,
        subject.victim.bounds,
        preprocess=subject.victim.preprocess,
        inferer=subject.victim.inferer,
        tuning=benchmark.tuning,
    )
    subject = replace(subject, victim=victim, weights=weights_digest(first))
    tried = [name for name in benchmark.handlings if name in TRIED]
    names = {"test": benchmark.handlings, "validation": tried}.get(split, ())
    return Ground(
        benchmark=benchmark,
        subject=subject,
        task=items(plan, subject.grid)[0].task,
        rows=rows,
        handlings=tuple(parse(name, subject.scale) for name in names),
        second=None if second is None else Victim(second, victim.bounds, inferer=victim.inferer),
        second_weights="" if second is None else weights_digest(second),
    )


def _networks(benchmark: Benchmark, subject: Subject) -> tuple[nn.Module, nn.Module | None]:
    """The network that is attacked, and the other one."""
    own = subject.victim.module
    if not benchmark.second:
        return own, None
    other = network_of(benchmark.folder.name)
    return (own, other) if benchmark.victim == "first" else (other, own)


def _rows_of(plan: Plan, subject: Subject, splits: Sequence[str]) -> tuple[int, ...]:
    """Rows of some splits, in the order of the splits."""
    with (plan.root / str(plan.data.table)).open(newline="") as lines:
        split = {line[plan.data.file]: line["split"] for line in csv.DictReader(lines)}
    return tuple(row for one in splits for row in range(len(subject.table)) if split[subject.table[row].name] == one)

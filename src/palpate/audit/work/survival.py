"""Whether attacks survive post-processing in a hospital, and how close their images are to the clean ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from palpate.attacks.budgets import Budget
from palpate.audit.plan.identity import digest, encode
from palpate.audit.plan.items import Item
from palpate.audit.subject.subject import Subject
from palpate.audit.work.clean import CleanMeasures
from palpate.audit.work.saving import Saver, as_stored, note_of
from palpate.audit.work.verdicts import Verdicts
from palpate.errors import InputError
from palpate.measures.quality import psnr, ssim
from palpate.postprocessing import PostProcessing, parse
from palpate.seeds import derive
from palpate.tensors import Tree, lengths
from palpate.victim.draws import seed_torch

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

SAVED = "saved"
_SAVED_WORDS = "written in the format that it came in, and read again"


@dataclass
class Survival:
    """Measures survival for the shards of one start of an audit.

    Measured are images that the attack beat: with the others there is nothing that could survive. Clean images are
    processed once for all attacks of a task. Steps that give the same images share one verdict. If a budget has the
    same image as the smaller budget, it is not measured again.

    Attributes:
        subject: the model and the images.
        steps: post-processing steps, in the order of the records; `saved`, if asked for, comes before them.
        saver: writes and reads files; None if the plan does not ask for it.
        everything: measure images that withstood, too.
        measured: measures of the clean images themselves.
    """

    subject: Subject
    steps: tuple[PostProcessing, ...]
    saver: Saver | None
    everything: bool = False
    measured: CleanMeasures = field(default_factory=CleanMeasures)
    _clean: dict[tuple[str, int], tuple[list[float], list[float]]] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan, subject: Subject, root: Path) -> Survival:
        """As the plan asks for it, with temporary files below `root`.

        Raises:
            InputError: a post-processing step does not exist or does not fit the images.
        """
        try:
            steps = tuple(parse(name, subject.scale) for name in plan.survival.after)
        except InputError as error:
            raise InputError(f"survival.after: {error}") from error
        saver = Saver(subject, root) if plan.survival.saved else None
        return cls(subject, steps, saver, plan.survival.images == "all")

    @property
    def refused(self) -> dict[str, int]:
        """Why images could not be saved, and how many."""
        return self.saver.refused if self.saver else {}

    @property
    def described(self) -> list[dict[str, str]]:
        """Name and description of each step, in the order of the records."""
        saved = [{"name": SAVED, "words": _SAVED_WORDS}] if self.saver else []
        return saved + [{"name": one.name, "words": one.describe()} for one in self.steps]

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that decide the records, as JSON."""
        more = {"images": "all"} if self.everything else {}
        return {"saved": self.saver is not None, "after": [encode(one) for one in self.steps], **more}

    def columns(
        self, item: Item, rows: Sequence[int], images: Tensor, targets: Tree, budgets: Sequence[Budget]
    ) -> list[dict[str, list[Any]]]:
        """For each budget the columns of the records about closeness to the clean image and about survival."""
        asked = [budget.result.eligible & (budget.result.success | self.everything) for budget in budgets]
        if self.everything or bool(torch.stack(asked).any()):
            clean = self._of_clean(item, rows, images, targets)
        else:
            clean = [([math.nan] * len(self.described),) * 2] * len(rows)
        columns: list[dict[str, list[Any]]] = []
        for place, budget in enumerate(budgets):
            before = budgets[place - 1].result.images if place else None
            found = budget.result.images
            fresh = [
                index
                for index in range(len(rows))
                if bool(budget.result.eligible[index])
                and (before is None or not torch.equal(found[index], before[index]))
            ]
            last = columns[-1] if columns else self._unmeasured(len(rows))
            column = {name: list(values) for name, values in last.items()}
            if fresh:
                self._closeness(images, found, fresh, column)
            if wanted := [index for index in fresh if bool(asked[place][index])]:
                self._measure(item, rows, images, targets, budget, wanted, column)
            column["clean_handled"] = [margins for margins, _ in clean]
            column["clean_handled_scores"] = [scores for _, scores in clean]
            columns.append(column)
        return columns

    def _unmeasured(self, count: int) -> dict[str, list[Any]]:
        none = [math.nan] * len(self.described)
        figures: dict[str, list[Any]] = {name: [math.nan] * count for name in ("psnr", "saved_linf")}
        return {**figures, "ssim": [math.nan] * count, "handled": [none] * count, "handled_scores": [none] * count}

    def _closeness(self, clean: Tensor, found: Tensor, fresh: Sequence[int], column: dict[str, list[Any]]) -> None:
        places, bounds = torch.tensor(fresh, device=clean.device), self.subject.victim.bounds
        for name, measure in (("psnr", psnr), ("ssim", ssim)):
            _put(column[name], fresh, measure(found[places], clean[places], bounds).tolist())

    def _measure(
        self,
        item: Item,
        rows: Sequence[int],
        images: Tensor,
        targets: Tree,
        budget: Budget,
        wanted: Sequence[int],
        column: dict[str, list[Any]],
    ) -> None:
        places = torch.tensor(wanted, device=images.device)
        found = budget.result.images[places]
        left = [rows[index] for index in wanted]
        self._seed("adversarial", item.identity, left, budget.eps)
        margins, scores, saved_linf = self._after(item, left, found, item.task.take(targets, places), budget.eps)
        _put(column["saved_linf"], wanted, saved_linf)
        _put(column["handled"], wanted, margins)
        _put(column["handled_scores"], wanted, scores)

    def _of_clean(
        self, item: Item, rows: Sequence[int], images: Tensor, targets: Tree
    ) -> list[tuple[list[float], list[float]]]:
        task = digest(encode(item.task))
        missing = [index for index, row in enumerate(rows) if (task, row) not in self._clean]
        if missing:
            places = torch.tensor(missing, device=images.device)
            left = [rows[index] for index in missing]
            self._seed("clean", task, left, 0.0)
            margins, scores, _ = self._after(item, left, images[places], item.task.take(targets, places), None)
            self._clean |= {(task, row): both for row, *both in zip(left, margins, scores, strict=True)}  # type: ignore[misc]
        return [self._clean[task, row] for row in rows]

    def _seed(self, *what: object) -> None:
        # A model that draws random numbers draws the same ones, in any order of the shards.
        seed_torch(derive(0, *map(str, what)))

    def _after(
        self, item: Item, rows: Sequence[int], images: Tensor, targets: Tree, eps: float | None
    ) -> tuple[list[list[float]], list[list[float]], list[float]]:
        """Margins and scores of each image after each step, and the change by saving; clean images: `eps` is None."""
        margins, scores = [], []
        verdicts = Verdicts(self.subject.victim, item.task, targets)
        saved_linf = [math.nan] * len(rows)
        if self.saver:
            notes = [note_of(self.subject, item, row, eps or 0.0) for row in rows]
            saved = (self.saver.read if eps is None else self.saver.saved)(rows, images, notes)
            saved_linf = lengths(saved - images, "linf").tolist()
            whole = saved.flatten(1).isfinite().all(1)
            judged = torch.where(whole.reshape(-1, *[1] * (images.ndim - 1)), saved, images)
            found = verdicts.of(judged)
            margins.append(found[0].masked_fill(~whole, math.nan))
            scores.append(found[1].masked_fill(~whole, math.nan))
        stored = as_stored(self.subject, rows, images) if self.steps else images
        for step in self.steps:
            found = verdicts.of(step(stored))
            margins.append(found[0])
            scores.append(found[1])
        if not margins:
            return [[]] * len(rows), [[]] * len(rows), saved_linf
        return torch.stack(margins, 1).tolist(), torch.stack(scores, 1).tolist(), saved_linf


def _put(values: list[Any], places: Sequence[int], fresh: Sequence[Any]) -> None:
    for place, value in zip(places, fresh, strict=True):
        values[place] = value

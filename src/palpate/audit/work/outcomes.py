"""The results of an attack for each image, as records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from palpate.attacks.budgets import Budget
from palpate.audit.plan.items import Item
from palpate.audit.work.clean import CleanMeasures
from palpate.audit.work.survival import Survival
from palpate.contracts import AttackResult
from palpate.storage.records import Record
from palpate.tasks.classification import Classification
from palpate.tasks.screening import answer_of
from palpate.tensors import Tree, lengths, mapped


@dataclass(frozen=True)
class ImageOutcome:
    """The result of an attack for one image: its records, smallest budget first, and the image that is shown.

    Attributes:
        records: one per budget.
        images: adversarial image (C, *spatial) at each budget.
        best: index of the budget that is shown: the smallest that won, or the largest.
        prediction: the decision at that budget.
        clean_prediction: the decision for the image as stored.
    """

    records: tuple[Record, ...]
    images: tuple[Tensor, ...]
    best: int
    prediction: Tree
    clean_prediction: Tree

    @property
    def shown(self) -> Tensor:
        """The adversarial image that is shown."""
        return self.images[self.best]


def outcomes(
    survival: Survival,
    item: Item,
    rows: Sequence[int],
    seeds: Sequence[int],
    images: Tensor,
    targets: Tree,
    budgets: Sequence[Budget],
    disease: Sequence[int],
) -> Iterator[ImageOutcome]:
    """The results of an attack for some rows of one shape, in their order."""
    subject = survival.subject
    measured = survival.columns(item, rows, images, targets, budgets)
    columns = [
        _columns(item, rows, images, targets, budget, disease, survival.measured) | after
        for budget, after in zip(budgets, measured, strict=True)
    ]
    won = torch.stack([budget.result.success for budget in budgets]).cpu()
    for place, (row, seed) in enumerate(zip(rows, seeds, strict=True)):
        case = subject.table[row]
        records = tuple(
            Record(
                image=case.name,
                row=row,
                group=case.group,
                site=case.site,
                scanner=case.scanner,
                spacing=subject.spacing_of(row) or (),
                label=case.label,
                attack=item.name,
                item=item.identity,
                goal=item.goal,
                norm=item.attack.threat.norm,
                eps=budget.eps,
                evidence=budget.evidence[place],
                seed=seed,
                **{name: values[place] for name, values in column.items()},
            )
            for budget, column in zip(budgets, columns, strict=True)
        )
        best = int(won[:, place].int().argmax()) if bool(won[:, place].any()) else len(budgets) - 1
        result = budgets[best].result
        decided = (_row(result.prediction, place), _row(result.clean_prediction, place))
        found = tuple(budget.result.images[place] for budget in budgets)
        yield ImageOutcome(records, found, best, *decided)


def _row(tree: Tree, place: int) -> Tree:
    return mapped(lambda tensor: tensor[place], tree)


def _columns(
    item: Item,
    rows: Sequence[int],
    images: Tensor,
    targets: Tree,
    budget: Budget,
    disease: Sequence[int],
    measured: CleanMeasures,
) -> dict[str, list[Any]]:
    result, change = budget.result, budget.result.images - images
    tensors = {
        "clean_prediction": _class(item, result.clean_prediction, len(images)),
        "clean_right": item.task.right(result.clean_outputs, targets),
        "clean_score": item.task.score(result.clean_outputs, targets).double(),
        "clean_margin": result.clean_margin.double(),
        "clean_disease_score": _disease_score(item, result.clean_outputs, disease, len(images)),
        "eligible": result.eligible,
        "prediction": _class(item, result.prediction, len(images)),
        "score": item.task.score(result.outputs, targets).double(),
        "margin": result.margin.double(),
        "disease_score": _disease_score(item, result.outputs, disease, len(images)),
        "success": result.success,
        "first_success": result.first_success,
        "linf": lengths(change, "linf"),
        "l2": lengths(change, "l2"),
        "l1": lengths(change, "l1"),
        "forwards": result.forwards,
        "backwards": result.backwards,
        "zero_gradient": result.zero_gradient,
        "blocked_gradient": result.blocked_gradient,
        "non_finite": result.non_finite,
    }
    lists = {
        "truth": item.reader.truth(targets),
        "clean_found": item.reader.found(result.clean_outputs),
        "found": item.reader.found(result.outputs),
        "clean_measures": measured.of(item, rows, result.clean_outputs, targets),
        "measures": item.reader.measure(result.outputs, targets),
        **_stages(item, result),
    }
    return {name: values.tolist() for name, values in tensors.items()} | lists


def _stages(item: Item, result: AttackResult) -> dict[str, list[Any]]:
    """Which stage won each image, and what each stage spent on it."""
    count = len(result.margin)
    if result.stages is None:
        return {"stage": [""] * count, "stage_passes": [()] * count}
    names = (*item.stages, "")  # -1, no stage, is the last one
    passes = (result.stages.forwards + result.stages.backwards).double()
    return {"stage": [names[place] for place in result.stages.won.tolist()], "stage_passes": passes.tolist()}


def _class(item: Item, prediction: Tree, count: int) -> Tensor:
    if isinstance(item.task, Classification):
        decided: Tensor = prediction
        return decided
    return torch.full((count,), -1)


def _disease_score(item: Item, outputs: Tree, disease: Sequence[int], count: int) -> Tensor:
    if not disease or not isinstance(item.task, Classification):
        return torch.full((count,), torch.nan, dtype=torch.float64)
    return item.task.probabilities(answer_of(outputs).double())[:, list(disease)].sum(1)

"""One attack on some images: the unit that is finished, stored and found again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from palpate.attacks.budgets import Budget
from palpate.attacks.curve import curve
from palpate.audit.identity import digest
from palpate.audit.items import Item
from palpate.audit.subject import Subject
from palpate.errors import InputError
from palpate.records import SCHEMA_VERSION, Record
from palpate.seeds import derive
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.tensors import Tree, lengths, mapped

if TYPE_CHECKING:
    from palpate.audit.plan import Plan


@dataclass(frozen=True)
class Shard:
    """One attack on some rows of the table.

    Attributes:
        item: the attack.
        rows: positions in the table, rising.
        identity: hash of all that decides the records; names the stored file.
    """

    item: Item
    rows: tuple[int, ...]
    identity: str

    def words(self) -> str:
        """For progress: `pgd, images 33 to 64`."""
        return f"{self.item.name}, images {self.rows[0] + 1} to {self.rows[-1] + 1}"


@dataclass(frozen=True)
class Found:
    """What an attack found for one image: its records, smallest budget first, and the image that goes on show.

    Attributes:
        records: one per budget.
        shown: adversarial image (C, *spatial) at the smallest budget that won, or at the largest.
        prediction: the decision for it.
        clean_prediction: the decision for the image as stored.
    """

    records: tuple[Record, ...]
    shown: Tensor
    prediction: Tree
    clean_prediction: Tree


def shards_of(plan: Plan, subject: Subject, items: Sequence[Item]) -> tuple[Shard, ...]:
    """All shards of a plan, attack by attack. Batch size, device and layout do not enter their identities."""
    size, count = plan.run.shard, len(subject.table)
    chunks = [tuple(range(start, min(start + size, count))) for start in range(0, count, size)]
    common = {
        "schema": SCHEMA_VERSION,
        "seed": plan.seed,
        "precision": plan.run.precision,
        "curve": plan.curve,
        "disease": list(plan.task.disease_indices),
        "tolerance": getattr(plan.task, "tolerance", None),
    }
    measures = {item.identity: [asdict(measure) for measure in item.reader.measures] for item in items}
    subjects = [subject.identity(rows) for rows in chunks]
    return tuple(
        Shard(item, rows, digest({**common, **identified, "item": item.identity, "measures": measures[item.identity]}))
        for item in items
        for rows, identified in zip(chunks, subjects, strict=True)
    )


def run_shard(plan: Plan, subject: Subject, shard: Shard) -> Iterator[Found]:
    """Attack the rows of a shard, a batch at a time; what it yields is in the order of the rows.

    To be called inside `with subject.victim:`, which restores the global random state.

    Raises:
        InputError: the attack cannot run on this model, or a batch does not fit into memory.
    """
    item = shard.item
    for rows in subject.batches(shard.rows, plan.run.batch):
        seeds = [derive(plan.seed, item.identity, subject.table[row].name) for row in rows]
        images, targets = subject.images(rows), subject.targets(rows)
        # A model that draws random numbers draws the same ones whenever this batch is attacked.
        torch.manual_seed(seeds[0])
        with _said(len(rows)):
            budgets = curve(
                item.attack,
                subject.victim,
                item.task,
                images,
                targets,
                item.eps,
                order=plan.curve,
                generator=Streams(seeds),
            )
        yield from _found(subject, item, rows, seeds, images, targets, budgets, plan.task.disease_indices)


@contextmanager
def _said(images: int) -> Iterator[None]:
    """What the user's model raises is the user's to read: one sentence instead of a traceback into palpate."""
    try:
        yield
    except RuntimeError as error:
        what = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in what:
            raise InputError(
                f"run.batch: {images} images at once do not fit into memory. Lower it and go on with "
                "`palpate audit --update`; what is finished is kept."
            ) from error
        raise InputError(f"model: it fails under attack: {type(error).__name__}: {what}.") from error


def _found(
    subject: Subject,
    item: Item,
    rows: Sequence[int],
    seeds: Sequence[int],
    images: Tensor,
    targets: Tree,
    budgets: Sequence[Budget],
    disease: Sequence[int],
) -> Iterator[Found]:
    columns = [_columns(item, images, targets, budget, disease) for budget in budgets]
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
                spacing=(),
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
        yield Found(records, result.images[place], *decided)


def _row(tree: Tree, place: int) -> Tree:
    return mapped(lambda tensor: tensor[place], tree)


def _columns(item: Item, images: Tensor, targets: Tree, budget: Budget, disease: Sequence[int]) -> dict[str, list[Any]]:
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
        "clean_measures": item.reader.measure(result.clean_outputs, targets),
        "measures": item.reader.measure(result.outputs, targets),
    }
    unknown = [float("nan")] * len(images)
    figures = dict.fromkeys(("psnr", "ssim", "saved_linf"), unknown)
    none = dict.fromkeys(("clean_handled", "clean_handled_scores", "handled", "handled_scores"), [()] * len(images))
    return {name: values.tolist() for name, values in tensors.items()} | lists | figures | none


def _class(item: Item, prediction: Tree, count: int) -> Tensor:
    if isinstance(item.task, Classification):
        decided: Tensor = prediction
        return decided
    return torch.full((count,), -1)


def _disease_score(item: Item, outputs: Tree, disease: Sequence[int], count: int) -> Tensor:
    if not disease or not isinstance(item.task, Classification):
        return torch.full((count,), torch.nan, dtype=torch.float64)
    return item.task.probabilities(outputs.double())[:, list(disease)].sum(1)

"""One attack on some images: the unit that is finished, stored and found again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch

from palpate.attacks.curve import curve
from palpate.audit.identity import digest
from palpate.audit.items import Item
from palpate.audit.outcomes import Found, outcomes
from palpate.audit.survival import Survival
from palpate.errors import InputError
from palpate.records import SCHEMA_VERSION
from palpate.seeds import derive
from palpate.streams import Streams

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


def shards_of(plan: Plan, survival: Survival, items: Sequence[Item]) -> tuple[Shard, ...]:
    """All shards of a plan, attack by attack. Batch size, device and layout do not enter their identities."""
    subject = survival.subject
    size, count = plan.run.shard, len(subject.table)
    chunks = [tuple(range(start, min(start + size, count))) for start in range(0, count, size)]
    common = {
        "schema": SCHEMA_VERSION,
        "seed": plan.seed,
        "precision": plan.run.precision,
        "curve": plan.curve,
        "disease": list(plan.task.disease_indices),
        "survival": survival.identity,
        "tolerance": getattr(plan.task, "tolerance", None),
    }
    measures = {item.identity: [asdict(measure) for measure in item.reader.measures] for item in items}
    subjects = [subject.identity(rows) for rows in chunks]
    return tuple(
        Shard(item, rows, digest({**common, **identified, "item": item.identity, "measures": measures[item.identity]}))
        for item in items
        for rows, identified in zip(chunks, subjects, strict=True)
    )


def run_shard(plan: Plan, survival: Survival, shard: Shard) -> Iterator[Found]:
    """Attack the rows of a shard, a batch at a time; what it yields is in the order of the rows.

    To be called inside `with subject.victim:`, which restores the global random state.

    Raises:
        InputError: the attack cannot run on this model, or a batch does not fit into memory.
    """
    item, subject = shard.item, survival.subject
    for rows in subject.batches(shard.rows, plan.run.batch):
        seeds = [derive(plan.seed, item.identity, subject.table[row].name) for row in rows]
        images, targets, limits = subject.images(rows), subject.targets(rows), subject.limits(rows)
        # A model that draws random numbers draws the same ones whenever this batch is attacked.
        torch.manual_seed(seeds[0])
        with said(
            f"run.batch: {len(rows)} images at once do not fit into memory. Lower it and go on with "
            "`palpate audit --update`; what is finished is kept."
        ):
            budgets = curve(
                item.attack,
                subject.victim,
                item.task,
                images,
                targets,
                item.eps,
                order=plan.curve,
                generator=Streams(seeds),
                limits=limits,
            )
            found = list(outcomes(survival, item, rows, seeds, images, targets, budgets, plan.task.disease_indices))
        yield from found


@contextmanager
def said(too_large: str) -> Iterator[None]:
    """What the user's model raises is the user's to read: one sentence instead of a traceback into palpate.

    Args:
        too_large: the sentence for what the memory does not hold.
    """
    try:
        yield
    except RuntimeError as error:
        what = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in what:
            raise InputError(too_large) from error
        raise InputError(f"model: it fails under attack: {type(error).__name__}: {what}.") from error

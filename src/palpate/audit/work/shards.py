"""Shards: one attack on some images, which are finished, stored and found again together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from palpate.attacks.bisection import pilot_of
from palpate.attacks.budgets import Budget
from palpate.attacks.curve import curve
from palpate.attacks.universal.attack import Universal
from palpate.audit.plan.identity import digest
from palpate.audit.plan.items import Item
from palpate.audit.subject.room import Room
from palpate.audit.subject.subject import Subject
from palpate.audit.work.learning import learning_identity
from palpate.audit.work.outcomes import ImageOutcome, outcomes
from palpate.audit.work.questions import Questions
from palpate.audit.work.survival import Survival
from palpate.contracts import Limits
from palpate.errors import InputError
from palpate.memory import out_of_memory
from palpate.seeds import derive
from palpate.storage.frames import Frame
from palpate.storage.questions import QuestionFile
from palpate.storage.records import IDENTITY_SCHEMA, Record
from palpate.storage.runs import RunFolder
from palpate.streams import Streams
from palpate.usercode import ModelError, said
from palpate.victim.draws import seed_torch

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan


@dataclass(frozen=True)
class Shard:
    """One attack on some rows of the table.

    Attributes:
        item: the attack.
        rows: positions in the table, rising.
        identity: hash of everything that decides the records; it is the name of the stored file.
    """

    item: Item
    rows: tuple[int, ...]
    identity: str

    def describe(self) -> str:
        """For progress: `pgd, images 33 to 64`."""
        return f"{self.item.name}, images {self.rows[0] + 1} to {self.rows[-1] + 1}"


def chunks_of(plan: Plan, subject: Subject) -> list[tuple[int, ...]]:
    """The rows of each shard of one attack."""
    size, count = plan.run.shard, len(subject.table)
    return [tuple(range(start, min(start + size, count))) for start in range(0, count, size)]


def shards_of(
    plan: Plan, survival: Survival, items: Sequence[Item], chunks: Sequence[tuple[int, ...]] | None = None
) -> tuple[Shard, ...]:
    """The shards of some attacks, attack by attack: all of the plan, or those of some `chunks` of rows.

    Batch size, device, layout and engine are not part of their identities.
    """
    subject = survival.subject
    chunks = chunks_of(plan, subject) if chunks is None else chunks
    common = {
        "schema": IDENTITY_SCHEMA,
        "seed": plan.seed,
        "precision": plan.run.precision,
        "disease": list(plan.task.disease_indices),
        "survival": survival.identity,
        "tolerance": getattr(plan.task, "tolerance", None),
        **({"draws": subject.victim.draws} if subject.victim.draws > 1 else {}),
    }
    measures = {item.identity: [asdict(measure) for measure in item.reader.measures] for item in items}
    subjects = [subject.identity(rows) for rows in chunks]
    owns = [
        {
            "curve": item.curve,
            "item": item.identity,
            "measures": measures[item.identity],
            **_other(plan, survival, item),
        }
        for item in items
    ]
    return tuple(
        Shard(item, rows, digest({**common, **identified, **own}))
        for item, own in zip(items, owns, strict=True)
        for rows, identified in zip(chunks, subjects, strict=True)
    )


def _other(plan: Plan, survival: Survival, item: Item) -> dict[str, Any]:
    """What else identifies the records of some attacks: the other model of the plan, and what is learned before."""
    surrogate = survival.subject.surrogate
    if surrogate is not None and item.entry.surrogate:
        return {"surrogate": surrogate.identity}
    return {"learned": learning_identity(plan, survival.subject, item)} if isinstance(item.attack, Universal) else {}


class Complete:
    """The records of the attacks whose shards are all stored: read once for all that follows the attacks of a start.

    Args:
        run: the run folder.
        shards: those of the plan, in its order.
    """

    def __init__(self, run: RunFolder, shards: Sequence[Shard]):
        self.run, self._shards = run, shards
        self._read: tuple[list[str], Frame] | None = None

    @property
    def shards(self) -> list[Shard]:
        """The shards of these attacks, in the plan's order."""
        short = {shard.item.name for shard in self._shards if not self.run.has(shard.identity)}
        return [shard for shard in self._shards if shard.item.name not in short]

    @property
    def items(self) -> list[Item]:
        """These attacks, in the plan's order."""
        return list({shard.item.name: shard.item for shard in self.shards}.values())

    def frame(self) -> Frame:
        """Their records as columns.

        Raises:
            StorageError: a shard cannot be read.
        """
        identities = [shard.identity for shard in self.shards]
        if self._read is None or self._read[0] != identities:
            self._read = None  # before others are held
            self._read = identities, self.run.records(identities)
        return self._read[1]


@contextmanager
def questions_of(plan: Plan, run: RunFolder, shard: Shard) -> Iterator[Questions | None]:
    """What an unfinished shard has asked; None where questions are not limited: no service, and no `query_budget`.

    Raises:
        StorageError: the file cannot be read.
    """
    service = plan.model.endpoint is not None
    if shard.item.query_budget is None and not service:
        yield None
        return
    file = QuestionFile(run.questions(shard.identity))
    with closing(file):
        yield Questions(file, together=1 if service else None)


def run_shard(
    plan: Plan, survival: Survival, shard: Shard, room: Room | None = None, questions: Questions | None = None
) -> Iterator[list[ImageOutcome]]:
    """Attack the rows of a shard; gives the outcomes of each batch, in the order of the rows.

    Call it inside `with subject.victim:`, which restores the global random state.

    Args:
        plan: the plan.
        survival: model, images, and the post-processing afterwards.
        shard: the attack and the rows.
        room: how many images fit into memory, as known from earlier shards.
        questions: what the shard has asked before.

    Raises:
        InputError: the attack cannot run on this model, or one image alone does not fit into memory.
    """
    room = room or Room(plan.run.batch)
    # The pilot belongs to the shard and not to the batch, so that records do not depend on the size of batches.
    first = pilot_of(len(shard.rows), len(shard.item.eps)) if shard.item.curve == "bisect" else 0
    pilot: list[tuple[Record, ...]] = []
    for part in (shard.rows[:first], shard.rows[first:]):
        work = partial(_attacked, plan, survival, shard.item, questions, _fell_first(pilot))
        for rows in survival.subject.batches(part, plan.run.batch):
            for _, found in room.each(rows, work):
                pilot += [one.records for one in found] if len(pilot) < first else []
                yield found


def _fell_first(pilot: Sequence[Sequence[Record]]) -> tuple[int, ...]:
    """How many of these images fell first at each budget, and behind them how many at none; empty without images."""
    eligible = [records for records in pilot if records[0].eligible]
    stood = [sum(not record.success for record in records) for records in eligible]
    return tuple(stood.count(place) for place in range(len(eligible[0]) + 1)) if eligible else ()


def _attacked(
    plan: Plan,
    survival: Survival,
    item: Item,
    questions: Questions | None,
    pilot: Sequence[int],
    rows: Sequence[int],
) -> list[ImageOutcome]:
    subject = survival.subject
    seeds = [derive(plan.seed, item.identity, subject.table[row].name) for row in rows]
    images, targets, limits = subject.images(rows), subject.targets(rows), subject.limits(rows)
    attack: Any = item.attack
    if item.entry.surrogate and subject.surrogate is not None:
        attack = replace(attack, surrogate=subject.surrogate.victim)
        first = torch.zeros(1, dtype=torch.int64, device=images.device)
        subject.surrogate.check(item.task, images[:1], item.task.take(targets, first))
    if isinstance(attack, Universal):
        limits = limits._replace(samples=torch.tensor(rows))
    if item.query_budget is not None:
        limits = limits._replace(queries=torch.full((len(rows),), item.query_budget, device=images.device))

    def attacked(limits: Limits) -> list[Budget]:
        # A model that draws random numbers draws the same ones whenever this batch is attacked.
        seed_torch(seeds[0])
        return curve(
            attack,
            subject.victim,
            item.task,
            images,
            targets,
            item.eps,
            order=item.curve,
            generator=Streams(seeds),
            limits=limits,
            pilot=pilot,
        )

    with under_attack():
        budgets = attacked(limits) if questions is None else questions.run(subject.victim, rows, limits, attacked)
        return list(outcomes(survival, item, rows, seeds, images, targets, budgets, plan.task.disease_indices))


@contextmanager
def under_attack() -> Iterator[None]:
    """Errors of the user's model become one sentence instead of a traceback into palpate.

    Outputs that torch cannot compute with raise a RuntimeError outside the model's own code.
    """
    try:
        yield
    except (ModelError, RuntimeError) as error:
        if out_of_memory(error):
            raise
        cause = error.cause if isinstance(error, ModelError) else error
        raise InputError(f"model: it fails under attack: {said(cause)}.") from error

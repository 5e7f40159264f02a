"""Trace the attacks of an audit on a few images: which images, which budget, which identity, and what is stored.

Traces come after all attacks and do not change their records. An attack is traced on the first images that are
eligible in its records, from all classes in turn, at the middle one of the plan's budgets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from palpate.attacks.ascent import Ascent
from palpate.attacks.budgets import at
from palpate.audit.plan.identity import digest
from palpate.audit.plan.items import Item
from palpate.audit.subject.room import Room
from palpate.audit.subject.subject import Subject
from palpate.audit.work.shards import Complete, under_attack
from palpate.audit.work.trace_maps import Map, gathered, maps_of
from palpate.seeds import derive
from palpate.stability import Trace, stabilisation, trace, trace_rows
from palpate.storage.frames import Frame
from palpate.storage.runs import RunFolder
from palpate.storage.traces import TRACE_VERSION, TraceRow
from palpate.streams import Streams
from palpate.victim.draws import seed_torch
from palpate.victim.forms import is_opaque

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

SHARE = 0.05
"""What the trace of an attack may cost by default, as a share of the attack; one image is always traced once."""
FULL = 32
"""A step of a small network takes about as long on one image as on so many."""
FEW = 2
"""A step of a large network takes up to so many times as long for each of a few images as for each of many."""
MEMORY = 2**28
"""Bytes for the steps of the images that are traced together; one image is always traced, even if it needs more."""


@dataclass(frozen=True)
class TraceJob:
    """One attack, to be traced on some images.

    Attributes:
        item: the attack: a gradient ascent, or one of several stages whose first climb is traced.
        rows: positions in the table, rising; the attack can win each of them.
        starts: independent starts of each.
        identity: hash of everything that decides the trace; it is the name of the stored files.
    """

    item: Item
    rows: tuple[int, ...]
    starts: int
    identity: str

    @property
    def steps(self) -> int:
        """Steps that the attack takes, from each start."""
        return climb(self.item).steps

    def describe(self) -> str:
        """For progress: `pgd, step by step on 4 images`."""
        return f"{self.item.name}, step by step on {len(self.rows)} image{'' if len(self.rows) == 1 else 's'}"


def traceable(item: Item, blind: bool = False) -> bool:
    """Whether an attack takes steps along a gradient; other attacks have no steps to trace.

    Args:
        item: the attack; of several stages, the first that climbs is traced.
        blind: the model gives no gradient.
    """
    return item.climb is not None and not (blind and item.stages)


def climb(item: Item) -> Ascent:
    """The ascent that is traced."""
    assert item.climb is not None and isinstance(item.climb.attack, Ascent)
    return item.climb.attack


def budget(plan: Plan) -> float:
    """The budget that is traced, in values: the middle one, of an even number the lower of the two."""
    return plan.radii[(len(plan.radii) - 1) // 2]


def trace_jobs(plan: Plan, subject: Subject, complete: Complete) -> tuple[TraceJob, ...]:
    """The traces to make, in the plan's order: each attack whose records are complete and that can win any image.

    Raises:
        StorageError: a shard cannot be read.
    """
    section, run, blind = plan.stability, complete.run, is_opaque(subject.victim.module)
    wanted = [item for item in complete.items if traceable(item, blind)] if section.images else []
    frame, found = complete.frame() if wanted else {}, []
    for item in wanted:
        winnable, spent = _seen(frame, item)
        if winnable:
            whole = _job(plan, subject, item, winnable, section.images, section.starts)
            less = affordable(plan, climb(item).steps, spent)
            # What an earlier palpate traced stays.
            small = less != (section.images, section.starts) and not run.has_trace(whole.identity)
            found.append(_job(plan, subject, item, winnable, *less) if small else whole)
    return tuple(found)


def affordable(plan: Plan, steps: int, spent: int) -> tuple[int, int]:
    """How many images are traced at most, and from how many starts.

    As the plan says, if it names either; by default as many as `SHARE` of the attack pays for, whatever the network: a
    start is paid as if it had `FULL` images. What does not pay for one start pays for single images, `FEW` times each.

    Args:
        plan: the plan.
        steps: of the attack, from each start.
        spent: passes of the attack on all images at all budgets.
    """
    section = plan.stability
    if section.model_fields_set & {"images", "starts"}:
        return section.images, section.starts
    paid = SHARE * spent / (steps * (3 if section.smoothed else 2))
    if paid >= max(FULL, section.images):
        return section.images, min(section.starts, int(paid / max(FULL, section.images)))
    return max(1, min(section.images, int(paid / FEW))), 1


def _job(plan: Plan, subject: Subject, item: Item, winnable: Sequence[int], images: int, starts: int) -> TraceJob:
    rows = subject.spread(winnable, images)
    decides = {
        "trace": TRACE_VERSION,
        "item": item.identity,
        "eps": budget(plan),
        "starts": starts,
        "smoothed": plan.stability.smoothed,
        "seed": plan.seed,
        "precision": plan.run.precision,
    }
    return TraceJob(item, rows, starts, digest({**decides, **subject.identity(rows)}))


def _seen(frame: Frame, item: Item) -> tuple[list[int], int]:
    """The rows that are eligible in the records of an attack, rising, and the passes that it spent."""
    mine = frame["attack"] == item.name
    rows = np.unique(frame["row"][mine & frame["eligible"]])
    return [int(row) for row in rows], sum(int(frame[name][mine].sum()) for name in ("forwards", "backwards"))


def kept(run: RunFolder, job: TraceJob) -> bool:
    """Whether the trace is stored; its rows get the current name of the attack.

    Raises:
        StorageError: it cannot be read.
    """
    if not run.has_trace(job.identity):
        return False
    stored = run.read_trace(job.identity)
    if set(stored["attack"].unique().to_pylist()) - {job.item.name}:
        run.write_trace(job.identity, [replace(TraceRow(**row), attack=job.item.name) for row in stored.to_pylist()])
    return True


def run_trace_job(plan: Plan, subject: Subject, run: RunFolder, job: TraceJob) -> None:
    """Trace one attack and store the trace.

    Images of one shape are traced together, as many as have their steps in `MEMORY`. The first start has the random
    numbers of the attack at its smallest budget. Call it inside `with subject.victim:`.

    Raises:
        InputError: the model fails, or the steps on one image do not fit into memory.
        StorageError: the disk is full or does not accept the file.
    """
    rows: list[TraceRow] = []
    maps: list[Map] = []
    draws = False
    # Its steps take more memory than an attack, so the number that fits here does not change run.batch.
    room = Room(min(plan.run.batch, _together(subject, job)))
    batches = (
        traced
        for batch in subject.batches(job.rows, room.wanted)
        for traced in room.each(batch, lambda part: _traced(plan, subject, job, part))
    )
    for batch, (found, seen) in batches:
        cases = [subject.table[row] for row in batch]
        draws |= found.draws
        maps += seen
        rows += trace_rows(
            found,
            images=[case.name for case in cases],
            rows=batch,
            groups=[case.group for case in cases],
            attack=job.item.name,
            item=job.item.identity,
            goal=job.item.goal,
            eps=budget(plan),
        )
    run.write_trace(job.identity, rows, gathered(maps, draws=draws))


def _traced(plan: Plan, subject: Subject, job: TraceJob, rows: Sequence[int]) -> tuple[Trace, list[Map]]:
    """One batch, and its maps."""
    item = job.item
    seeds = [derive(plan.seed, item.identity, subject.table[row].name) for row in rows]
    images, targets = subject.images(rows), subject.targets(rows)
    # A model that draws random numbers draws the same ones whenever this batch is traced.
    seed_torch(seeds[0])
    with under_attack():
        found = trace(
            at(climb(item), budget(plan)),
            subject.victim,
            item.task,
            images,
            targets,
            generator=Streams(seeds),
            limits=subject.limits(rows),
            starts=job.starts,
            smoothed=plan.stability.smoothed,
        )
        return found, maps_of(subject, item, rows, images, targets, found)


def _together(subject: Subject, job: TraceJob) -> int:
    """How many images are traced together: their changes at every step and the outputs for them are kept in memory."""
    largest = max(math.prod(subject.shape_of(row)) for row in job.rows)
    outputs = 1 + int(getattr(job.item.task, "structures", 0))
    images = (job.steps + 1) * (1 + outputs)
    return max(1, MEMORY // (4 * largest * images))


def described(
    plan: Plan,
    items: Sequence[Item],
    done: Sequence[TraceJob],
    run: RunFolder,
    seconds: dict[str, float],
    blind: bool = False,
) -> dict[str, Any] | None:
    """The part of `run.json` about the stored traces; None if the plan switches them off.

    Args:
        plan: the plan.
        items: its attacks.
        done: the traces that are stored.
        run: the run folder.
        seconds: identity of a trace -> how long it took.
        blind: the model gives no gradient.

    Raises:
        StorageError: the maps of a trace cannot be read.
    """
    if not plan.stability.images:
        return None
    return {
        **plan.stability.model_dump(),
        # What was traced: as many as the plan says, or fewer after cheap attacks.
        **({"images": max(len(job.rows) for job in done), "starts": max(job.starts for job in done)} if done else {}),
        "eps": budget(plan),
        "items": [
            {
                "attack": job.item.name,
                "stage": job.item.climb.name if job.item.climb is not None and job.item.stages else "",
                "item": job.item.identity,
                "identity": job.identity,
                "draws": _draws(run, job),
                "weight": _weight(job.item),
                "seconds": seconds.get(job.identity),
            }
            for job in done
        ],
        "untraced": [item.name for item in items if not traceable(item, blind)],
    }


def _draws(run: RunFolder, job: TraceJob) -> bool:
    found = run.trace_maps(job.identity).get("draws")
    if found is None or found.size != 1:
        raise run.foreign_maps(job.identity)
    return bool(found)


def _weight(item: Item) -> float | None:
    """Weight of the stabilisation term; None if the objective has none."""
    found = stabilisation(climb(item).objective)
    return None if found is None else found.weight

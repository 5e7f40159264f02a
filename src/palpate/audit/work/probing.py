"""Probe the attacks of an audit on a few images that none of them beat: which images, and what is stored.

Probes come after all attacks and do not change their records. What they find is a part of `run.json`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from palpate.attacks.ascent import Ascent
from palpate.audit.plan.identity import digest
from palpate.audit.plan.items import Item
from palpate.audit.subject.room import Room
from palpate.audit.subject.subject import Subject
from palpate.audit.work.shards import Shard, under_attack
from palpate.metrics.panel import arrange
from palpate.metrics.validity.survivors import Survivors, survivors
from palpate.quality import PROBES, Probed, Setting, probe
from palpate.seeds import derive
from palpate.storage.runs import RunFolder

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

PROBE_VERSION = 1
"""It increases when probes give other results."""


@dataclass(frozen=True)
class ProbeJob:
    """The probes of one goal.

    Attributes:
        goal: the goal in words.
        base: the strongest gradient attack of the goal; None if none ran.
        like: an attack of the goal, for its task.
        left: the budget, and the images that no attack beat there.
        rows: those that are probed.
        identity: hash of everything that decides the result.
    """

    goal: str
    base: Item | None
    like: Item
    left: Survivors
    rows: tuple[int, ...]
    identity: str

    def describe(self) -> str:
        """For progress: `untargeted, probed on 8 images`."""
        return f"{self.goal}, probed on {len(self.rows)} image{'' if len(self.rows) == 1 else 's'}"


def probe_jobs(plan: Plan, subject: Subject, run: RunFolder, shards: Sequence[Shard]) -> tuple[ProbeJob, ...]:
    """The goals to probe, in the plan's order: those with an attack whose records are complete.

    Raises:
        StorageError: a shard cannot be read.
    """
    wanted = plan.quality.images
    if not wanted or (plan.model.endpoint is not None and "quality" not in plan.model_fields_set):
        return ()
    own: dict[str, list[Shard]] = {}
    for shard in shards:
        own.setdefault(shard.item.name, []).append(shard)
    complete = {name for name, parts in own.items() if all(run.has(shard.identity) for shard in parts)}
    stored = {shard.identity for name in complete for shard in own[name]}
    if not stored:
        return ()
    panel = arrange(run.frame(stored.__contains__))
    named = {shard.item.name: shard.item for shard in shards if shard.item.name in complete}
    found = []
    for goal in dict.fromkeys(item.goal for item in named.values()):
        items = [item for item in named.values() if item.goal == goal]
        outcomes = [one for one in panel.outcomes if one.goal == goal]
        left = survivors(panel.images, outcomes, wanted)
        base = _base(items, {one.attack: int(one.success.sum()) for one in outcomes})
        rows = subject.spread(left.rows, wanted)
        decides = {
            "probe": PROBE_VERSION,
            "probes": list(PROBES),
            "base": None if base is None else base.identity,
            "like": items[0].identity,
            "eps": left.eps,
            "left": len(left.rows),
            "seed": plan.seed,
            "precision": plan.run.precision,
        }
        identity = digest({**decides, **subject.identity(rows)})
        found.append(ProbeJob(goal, base, items[0], left, rows, identity))
    return tuple(found)


def _base(items: Sequence[Item], wins: dict[str, int]) -> Item | None:
    """The gradient attack of several steps that won most often; a plain ascent rather than others, the first of equals.

    Attacks that leave the ball are left out: their images are not within the budget. So is one change for many images.
    """
    own = [item for item in items if not (item.entry.own_threat or item.entry.learned)]
    climbs = [item for item in own if item.entry.gradient and item.entry.projected]
    most = [item for item in climbs if not (isinstance(item.attack, Ascent) and item.attack.steps == 1)]
    ranked = most or climbs
    return max(ranked, key=lambda item: (isinstance(item.attack, Ascent), wins.get(item.name, 0)), default=None)


def run_probe_job(plan: Plan, subject: Subject, job: ProbeJob) -> dict[str, Any]:
    """Probe one goal; gives its entry of `run.json`. Call it inside `with subject.victim:`.

    Raises:
        InputError: the model fails, or one image alone does not fit into memory.
    """
    begin = time.perf_counter()
    tallies = {name: _Tally(name) for name in PROBES}
    room = Room(plan.run.batch)
    for batch in subject.batches(job.rows, room.wanted):
        for rows, found in room.each(batch, lambda part: _probed(plan, subject, job, part)):
            for one in found:
                tallies[one.probe].add(one, rows)
    return {
        "goal": job.goal,
        "identity": job.identity,
        "eps": job.left.eps,
        "survivors": len(job.left.rows),
        "silent": len(job.left.silent),
        "blocked": len(job.left.blocked),
        "rows": list(job.rows),
        "gradients": job.base is not None,
        "probes": [tally.entry() for tally in tallies.values() if tally.attack],
        "seconds": round(time.perf_counter() - begin, 6),
    }


class _Tally:
    """One probe over all batches."""

    def __init__(self, name: str):
        self.name, self.attack = name, ""
        self.tried: list[int] = []
        self.won: list[int] = []
        self.passes = [0, 0]

    def add(self, one: Probed, rows: Sequence[int]) -> None:
        self.attack = one.attack
        self.tried += [rows[place] for place in one.tried]
        self.won += [rows[place] for place in one.won]
        self.passes = [self.passes[0] + one.forwards, self.passes[1] + one.backwards]

    def entry(self) -> dict[str, Any]:
        return {
            "probe": self.name,
            "attack": self.attack,
            "tried": len(self.tried),
            "won": sorted(self.won),
            "forwards": self.passes[0],
            "backwards": self.passes[1],
        }


def _probed(plan: Plan, subject: Subject, job: ProbeJob, rows: Sequence[int]) -> list[Probed]:
    seeds = [derive(plan.seed, "quality", job.goal, subject.table[row].name) for row in rows]
    images, targets = subject.images(rows), subject.targets(rows)
    low, high = subject.victim.bounds
    base = None if job.base is None else job.base.attack
    name = "" if job.base is None else job.base.name
    setting = Setting(base, plan.threat.build(job.left.eps), high - low, name)
    # A model that draws random numbers draws the same ones whenever this batch is probed.
    torch.manual_seed(seeds[0])
    with under_attack():
        return probe(setting, subject.victim, job.like.task, images, targets, seeds, subject.limits(rows))

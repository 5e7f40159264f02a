"""Probe the attacks of an audit on a few images that none of them beat: which images, and what is stored.

Probes come after all attacks and do not change their records. What they find is a part of `run.json`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from palpate.attacks.ascent import Ascent
from palpate.attacks.cascade.stages import Cascade
from palpate.audit.plan.identity import digest
from palpate.audit.plan.items import Item
from palpate.audit.subject.room import Room
from palpate.audit.subject.subject import Subject
from palpate.audit.work.shards import Complete, under_attack
from palpate.contracts import Attack
from palpate.metrics.panel import Images, Outcome, Panel, arrange
from palpate.metrics.stages import least_passes
from palpate.metrics.validity.quality import SEVERAL
from palpate.metrics.validity.survivors import Survivors, survivors
from palpate.quality import PROBES, Probed, Setting, planned, probe
from palpate.quality.probes import FREE, QUERIES, STARTS
from palpate.seeds import derive
from palpate.victim.draws import seed_torch

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

PROBE_VERSION = 2
"""It increases when probes give other results."""
FEWEST, ONCE, WHOLE = SEVERAL, 4, 1.0
"""Images that are probed whatever that costs: so many that an indicator can fire. An earlier palpate probed `ONCE`, and
at the default share `WHOLE`."""
OTHERS = 3
"""Stages with gradients that replace a climb from other starts."""


@dataclass(frozen=True)
class ProbeJob:
    """The probes of one goal.

    Attributes:
        goal: the goal in words.
        setting: what the probes need to know of the attacks of the goal.
        like: an attack of the goal, for its task.
        left: the budget, and the images that no attack beat there.
        rows: those that are probed.
        identity: hash of everything that decides the result.
        spent: passes of the attacks of the goal.
        each: passes that are planned for one image.
        by: the attack whose stages make some probes needless; empty without one.
    """

    goal: str
    setting: Setting
    like: Item
    left: Survivors
    rows: tuple[int, ...]
    identity: str
    spent: int
    each: int
    by: str

    def describe(self) -> str:
        """For progress: `untargeted, probed on 8 images`."""
        return f"{self.goal}, probed on {len(self.rows)} image{'' if len(self.rows) == 1 else 's'}"


def probe_jobs(plan: Plan, subject: Subject, complete: Complete, known: Collection[str] = ()) -> tuple[ProbeJob, ...]:
    """The goals to probe, in the plan's order: those with an attack whose records are complete.

    Args:
        plan: the plan.
        subject: the model and the images.
        complete: those records.
        known: identities of the probes that were made; those of an earlier palpate stay.

    Raises:
        StorageError: a shard cannot be read.
    """
    wanted = plan.quality.images
    if not wanted or (plan.model.endpoint is not None and "quality" not in plan.model_fields_set):
        return ()
    made = complete.items
    if not made:
        return ()
    panel = arrange(complete.frame())
    own_items = [[item for item in made if item.goal == goal] for goal in dict.fromkeys(item.goal for item in made)]
    return tuple(_job(plan, subject, items, panel, known) for items in own_items)


def _job(plan: Plan, subject: Subject, items: Sequence[Item], panel: Panel, known: Collection[str]) -> ProbeJob:
    """The probes of one goal.

    They are planned to spend at most a share of the passes of the attacks, but `FEWEST` images are always probed: cheap
    attacks are those that most likely missed something.
    """
    goal, wanted = items[0].goal, plan.quality.images
    outcomes = {one.attack: one for one in panel.of(goal)}
    left = survivors(panel.images, list(outcomes.values()), wanted)
    item, low, high = _base(items, outcomes), *subject.victim.bounds
    made = {one.name: _done(one, outcomes[one.name], left, panel.images) for one in items}
    by = max(made, key=lambda name: len(made[name]))
    base, name = _climb(item)
    setting = Setting(base, plan.threat.build(left.eps), high - low, name, made[by])
    spent = sum(int(one.forwards.sum() + one.backwards.sum()) for one in outcomes.values())
    each = planned(setting)
    decides = {
        "probe": PROBE_VERSION,
        "probes": [one for one in PROBES if one not in made[by]],
        "base": None if item is None else item.identity,
        "like": items[0].identity,
        "eps": left.eps,
        "left": len(left.rows),
        "seed": plan.seed,
        "precision": plan.run.precision,
    }
    for count in _counts(plan, spent / each):
        rows = subject.spread(left.rows, min(wanted, count))
        identity = digest({**decides, **subject.identity(rows)})
        if identity in known:
            break
    return ProbeJob(goal, setting, items[0], left, rows, identity, spent, each, by if made[by] else "")


def _counts(plan: Plan, paid: float) -> tuple[int, int]:
    """How many images an earlier palpate would have probed, and how many are probed now.

    Args:
        plan: the plan.
        paid: images that all passes of the attacks of the goal would pay for.
    """
    before = plan.quality.share if "share" in plan.quality.model_fields_set else WHOLE
    return max(ONCE, int(before * paid)), max(FEWEST, int(plan.quality.share * paid))


def _base(items: Sequence[Item], outcomes: Mapping[str, Outcome]) -> Item | None:
    """An attack of several stages, or the gradient attack of several steps that won most often.

    A plain ascent comes before others, and the first of equals. Attacks that leave the ball are left out: their images
    are not within the budget; so are attacks of several stages on a model without gradients, and one change for many.
    """
    own = [item for item in items if not (item.entry.own_threat or item.entry.learned)]
    climbs = [item for item in own if item.entry.gradient and item.entry.projected]
    climbs = [item for item in climbs if not isinstance(item.attack, Cascade) or outcomes[item.name].backwards.any()]
    most = [item for item in climbs if not (isinstance(item.attack, Ascent) and item.attack.steps == 1)]

    def rank(item: Item) -> tuple[bool, bool, int]:
        won = int(outcomes[item.name].success.sum())
        return isinstance(item.attack, Cascade), isinstance(item.attack, Ascent), won

    return max(most or climbs, key=rank, default=None)


def _climb(item: Item | None) -> tuple[Attack | None, str]:
    """The attack that is repeated with more steps, and its name: of several stages, the longest climb of one start."""
    if item is None:
        return None, ""
    climbs = [(stage.attack, stage.name) for stage in item.climbs if isinstance(stage.attack, Ascent)]
    if not climbs:
        return item.attack, item.name
    attack, stage = max(climbs, key=lambda climb: (-climb[0].restarts, climb[0].steps))
    # What is beaten at the large radius does not have to go on.
    return replace(attack, run_to_end=False), f"{item.name}'s stage '{stage}'" if item.stages else item.name


def _done(item: Item, outcome: Outcome, left: Survivors, images: Images) -> tuple[str, ...]:
    """The probes that the stages of an attack have made on all images that are left, as its records show.

    Climbs of other objectives and a search for the smallest change start and end elsewhere, as other starts do.
    """
    if not left.rows or not item.stages or outcome.stage_passes.shape[2] != len(item.stages):
        return ()
    least = least_passes(outcome, left.eps, np.searchsorted(images.row, left.rows))
    spent = dict(zip(item.stages, least.tolist(), strict=True))
    guided = [name for name, passes in spent.items() if passes and name not in item.searches]
    searched = max((spent[name] for name in item.searches), default=0)
    return (*((STARTS,) if len(guided) >= OTHERS else ()), *((FREE,) if searched >= QUERIES else ()))


def run_probe_job(
    plan: Plan, subject: Subject, job: ProbeJob, said: Callable[[str], None] = lambda name: None
) -> dict[str, Any]:
    """Probe one goal; gives its entry of `run.json`. Call it inside `with subject.victim:`.

    Args:
        plan: the plan.
        subject: the model and the images.
        job: what to probe.
        said: called with the name of each probe before it runs.

    Raises:
        InputError: the model fails, or one image alone does not fit into memory.
    """
    begin = time.perf_counter()
    tallies = {name: _Tally(name) for name in PROBES}
    room = Room(plan.run.batch)
    for batch in subject.batches(job.rows, room.wanted):
        for rows, found in room.each(batch, lambda part: _probed(plan, subject, job, part, said)):
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
        "gradients": job.setting.base is not None,
        "spent": job.spent,
        "each": job.each,
        "done": list(job.setting.done),
        "by": job.by,
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


def _probed(
    plan: Plan, subject: Subject, job: ProbeJob, rows: Sequence[int], said: Callable[[str], None]
) -> list[Probed]:
    seeds = [derive(plan.seed, "quality", job.goal, subject.table[row].name) for row in rows]
    images, targets = subject.images(rows), subject.targets(rows)
    # A model that draws random numbers draws the same ones whenever this batch is probed.
    seed_torch(seeds[0])
    with under_attack():
        return probe(job.setting, subject.victim, job.like.task, images, targets, seeds, subject.limits(rows), said)

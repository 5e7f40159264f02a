"""What an audit would do, from the plan and the table alone: the model is not loaded, and no image is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from palpate.attacks.ascent import Ascent
from palpate.attacks.cascade.stages import Cascade
from palpate.audit.plan.artefacts import artefact_items
from palpate.audit.plan.certificates import certificate_items
from palpate.audit.plan.items import Item, items
from palpate.audit.plan.lines import unchecked
from palpate.audit.plan.scales import scale_of
from palpate.audit.plan.slips import slips
from palpate.audit.plan.tables import listed
from palpate.audit.run.gates import worded
from palpate.storage.runs import RunFolder

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan


@dataclass(frozen=True)
class OutlinedAttack:
    """One attack of the plan.

    Attributes:
        name: in the plan.
        attack: in the catalogue.
        goal: in words.
        order: in which order its budgets are attacked.
        unit: what its effort counts: `steps`, `queries`, `tries` ...; a step is a forward and a backward pass or more.
        effort: the most of them for one image at one budget; None if the attack decides.
        shards: its shards.
    """

    name: str
    attack: str
    goal: str
    order: str
    unit: str
    effort: int | None
    shards: int


@dataclass(frozen=True)
class Outline:
    """What an audit would do.

    Attributes:
        images: to attack.
        budgets: as the plan writes them.
        attacks: in the plan's order.
        artefacts: their names.
        certificates: certified images for all sigma together.
        shards: of all parts.
        stored: shards that the run folder holds already; which of them still fit is known when the model is loaded.
        seconds: of the shards that an earlier start stored; None without one.
        gates: in words.
        questions: values that are probably a slip, and lines that nobody has confirmed.
    """

    images: int
    budgets: tuple[str, ...]
    attacks: tuple[OutlinedAttack, ...]
    artefacts: tuple[str, ...]
    certificates: int
    shards: int
    stored: int
    seconds: float | None
    gates: tuple[str, ...]
    questions: tuple[str, ...]


def outline(plan: Plan, folder: Path) -> Outline:
    """What an audit of this plan in this run folder would do.

    Raises:
        InputError: the table cannot be read, or a budget has a unit that the images lack.
    """
    table = listed(plan)
    images = len(table) if plan.data.limit is None else min(len(table), plan.data.limit)
    header, window = table.header(0), plan.model.preprocess.window_values
    plan = plan.calibrated(scale_of(plan, [header], [table[0].name], window))
    chunks = -(-images // plan.run.shard)
    attacks = tuple(_outlined(item, chunks) for item in items(plan))
    artefacts = tuple(item.name for item in artefact_items(plan))
    certified = 0
    if plan.certificates is not None:
        certified = min(images, plan.certificates.images) * len(certificate_items(plan))
    alone = images if plan.model.endpoint is not None else chunks
    stored, seconds = _earlier(RunFolder(folder))
    asked = unchecked(plan.text)
    return Outline(
        images=images,
        budgets=tuple(map(str, plan.threat.eps)),
        attacks=attacks,
        artefacts=artefacts,
        certificates=certified,
        shards=sum(one.shards for one in attacks) + alone * len(artefacts) + certified,
        stored=stored,
        seconds=seconds,
        gates=tuple(map(worded, plan.gates)),
        questions=(*slips(plan), *([] if asked is None else [asked])),
    )


def _outlined(item: Item, chunks: int) -> OutlinedAttack:
    unit = item.entry.steps_parameter
    return OutlinedAttack(item.name, item.entry.name, item.goal, item.curve, unit or "steps", _effort(item), chunks)


def _effort(item: Item) -> int | None:
    if isinstance(item.attack, Cascade):
        return None
    if isinstance(item.attack, Ascent):
        return item.attack.steps * item.attack.restarts
    most = item.parameters.get(item.entry.steps_parameter)
    starts = item.parameters.get("restarts", 1)
    return most * starts if isinstance(most, int) and isinstance(starts, int) else None


def _earlier(run: RunFolder) -> tuple[int, float | None]:
    """How many shards the folder holds, and the seconds that they took."""
    if not run.exists():
        return 0, None
    described = run.describe()
    parts = [described, described.get("artefacts") or {}, described.get("certificates") or {}]
    times = [part.get(key) or {} for part, key in zip(parts, ("shard_seconds", "seconds", "seconds"), strict=True)]
    known = [seconds for part in times for seconds in part.values() if seconds is not None]
    return len(known), sum(known) if known else None

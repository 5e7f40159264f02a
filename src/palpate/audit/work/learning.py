"""The changes of `universal`, before the attacks: on which images they are learned, and the file that keeps them.

Each group of images has some patients to learn on and some unseen ones. The split comes from the seed and the names
of the patients alone. What is learned is stored; after an interruption it is read, or learned again with equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from palpate.attacks.budgets import at
from palpate.attacks.universal.attack import Changes, Universal
from palpate.attacks.universal.learning import Batch, Learned, learn
from palpate.audit.plan.identity import digest
from palpate.audit.plan.items import Item
from palpate.audit.subject.room import Room
from palpate.audit.subject.subject import Subject
from palpate.errors import InputError
from palpate.seeds import derive
from palpate.storage.columns import DamagedError, archive, read_archive
from palpate.storage.runs import RunFolder
from palpate.storage.writing import write_atomically
from palpate.victim.draws import seed_torch

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

LEARNING_VERSION = 1
"""It increases when learning gives other changes."""
_FIGURES = ("beaten", "eligible", "forwards", "backwards")


@dataclass(frozen=True)
class Group:
    """Images that share a change.

    Attributes:
        name: its class, site or scanner; `all`.
        learned: rows on which the change is learned.
        unseen: rows of the other patients.
    """

    name: str
    learned: tuple[int, ...]
    unseen: tuple[int, ...]


def split(plan: Plan, subject: Subject, attack: Universal) -> tuple[Group, ...]:
    """The groups, each divided by patients.

    Raises:
        InputError: the images have several sizes, or no classes to group by, or a group has a single patient.
    """
    shapes = sorted({subject.shape_of(row) for row in range(len(subject.table))})
    if len(shapes) > 1:
        raise InputError(
            f"universal: one change fits images of one size, and these have {len(shapes)} sizes, such as "
            f"{' and '.join(str(list(shape)) for shape in shapes[:2])}. Choose those of one size with data.where, or "
            "save all images in one size."
        )
    members: dict[str, list[int]] = {}
    for row in range(len(subject.table)):
        members.setdefault(_name(plan, subject, attack.by, row), []).append(row)
    return tuple(_divided(plan, subject, attack, name, members[name]) for name in sorted(members))


def _name(plan: Plan, subject: Subject, by: str, row: int) -> str:
    case = subject.table[row]
    if by == "all":
        return "all"
    if by != "class":
        return getattr(case, by) or f"unknown {by}"
    if case.label < 0:
        raise InputError('universal: by = "class" needs images of one class each. Use "all", "site" or "scanner".')
    return plan.task.names[case.label]


def _divided(plan: Plan, subject: Subject, attack: Universal, name: str, rows: Sequence[int]) -> Group:
    patients = sorted({subject.table[row].group for row in rows}, key=partial(derive, plan.seed, "universal"))
    if len(patients) < 2:
        if len({case.group for case in subject.table}) < 2:
            group, fix = "the images have", "Add images of another patient, or correct data.group (who is one patient)."
        else:
            group, fix = f"{attack.by} {name} has", 'Use by = "all", or leave the group out with data.where.'
        raise InputError(
            f"universal: {group} a single patient, and at least two are needed: one to learn on, one unseen. {fix}"
        )
    count = min(max(round(attack.share * len(patients)), 1), len(patients) - 1)
    chosen = set(patients[:count])
    sides = [[row for row in rows if (subject.table[row].group in chosen) == here] for here in (True, False)]
    return Group(name, tuple(sides[0]), tuple(sides[1]))


def learning_identity(plan: Plan, subject: Subject, item: Item) -> str:
    """Hash of everything that decides what is learned."""
    assert isinstance(item.attack, Universal)
    groups = split(plan, subject, item.attack)
    decides = {
        "learning": LEARNING_VERSION,
        "item": item.identity,
        "groups": [[group.name, list(group.learned), list(group.unseen)] for group in groups],
        "seed": plan.seed,
        "precision": plan.run.precision,
    }
    return digest({**decides, **subject.identity(range(len(subject.table)))})


def learned(plan: Plan, subject: Subject, run: RunFolder, item: Item, room: Room) -> Item:
    """The item with its changes: those of an earlier start, or learned now and stored.

    Call it inside `with subject.victim:`.

    Raises:
        InputError: the model fails, or an image does not fit into memory.
        StorageError: the disk is full or does not accept the file.
    """
    assert isinstance(item.attack, Universal)
    groups, path = split(plan, subject, item.attack), _path(plan, subject, run, item)
    arrays = _stored(path)
    if arrays is None:
        arrays = _learn(plan, subject, item, groups, room)
        write_atomically(path, archive(arrays))
    numbers = {row: number for number, group in enumerate(groups) for row in (*group.learned, *group.unseen)}
    changes = Changes(item.eps, torch.from_numpy(arrays["changes"]), numbers)
    return replace(item, attack=replace(item.attack, changes=changes))


def described(plan: Plan, subject: Subject, run: RunFolder, item: Item) -> dict[str, Any]:
    """What `run.json` says about the learning of an item: the groups, and of each budget what it cost and beat."""
    assert isinstance(item.attack, Universal)
    arrays = _stored(_path(plan, subject, run, item))
    figures = {} if arrays is None else {name: arrays[name].T.tolist() for name in _FIGURES}
    groups = [
        {
            "name": group.name,
            "learned": list(group.learned),
            "unseen": list(group.unseen),
            **{name: values[number] for name, values in figures.items()},
        }
        for number, group in enumerate(split(plan, subject, item.attack))
    ]
    return {"by": item.attack.by, "share": item.attack.share, "groups": groups}


def changes_at(plan: Plan, subject: Subject, run: RunFolder, item: Item, budget: int) -> torch.Tensor | None:
    """The changes (G, C, *spatial) of one budget, smallest first; None if they are not learned yet."""
    arrays = _stored(_path(plan, subject, run, item))
    return None if arrays is None else torch.from_numpy(arrays["changes"][budget])


def _path(plan: Plan, subject: Subject, run: RunFolder, item: Item) -> Path:
    return run.learned(learning_identity(plan, subject, item))


def _stored(path: Path) -> dict[str, np.ndarray[Any, Any]] | None:
    """What was learned; None if it is not there or damaged, because it can be learned again."""
    try:
        arrays = read_archive(path)
    except DamagedError:
        return None
    return arrays if {"changes", *_FIGURES} <= arrays.keys() else None


def _learn(
    plan: Plan, subject: Subject, item: Item, groups: Sequence[Group], room: Room
) -> dict[str, np.ndarray[Any, Any]]:
    found: list[list[Learned]] = []
    for radius in item.eps:
        row = []
        for number, group in enumerate(groups):
            # A change of a smaller budget, made longer, is where the next one starts.
            start = found[-1][number].change * (radius / item.eps[len(found) - 1]) if found else None
            row.append(_of_group(plan, subject, replace(item, attack=at(item.attack, radius)), group, room, start))
        found.append(row)
    figures = {name: np.array([[getattr(one, name) for one in row] for row in found]) for name in _FIGURES}
    changes = torch.stack([torch.stack([one.change for one in row]) for row in found])
    return {"changes": changes.cpu().numpy(), **figures}


def _of_group(
    plan: Plan, subject: Subject, item: Item, group: Group, room: Room, start: torch.Tensor | None
) -> Learned:
    seed = derive(plan.seed, "universal", item.identity, group.name)

    def load(size: int, rows: Sequence[int]) -> Iterable[Batch]:
        for part in subject.batches(rows, size):
            yield Batch(subject.images(part), subject.targets(part), subject.limits(part))

    def made(part: Sequence[int]) -> Learned:
        seed_torch(seed)
        generator = torch.Generator().manual_seed(seed)
        attack: Any = item.attack
        return learn(subject.victim, item.task, attack, group.learned, partial(load, len(part)), generator, start)

    # Parts of a step's images that fit into memory; their number changes rounding alone.
    size = min(room.batch, len(group.learned))
    return room.some(range(size), made, lambda count: tuple(range(count)))

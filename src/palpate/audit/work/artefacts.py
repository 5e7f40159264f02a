"""Artefacts on the audited images: which shards there are, and the rows that each of them stores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from palpate.artefacts.artefact import Scene
from palpate.artefacts.search import STEPS, Found, Worst, search
from palpate.audit.plan.artefacts import ArtefactItem, modality_of, require_fitting
from palpate.audit.plan.identity import digest
from palpate.audit.subject.room import Room
from palpate.audit.subject.subject import Subject
from palpate.audit.work.shards import under_attack
from palpate.contracts import Task
from palpate.errors import InputError
from palpate.seeds import derive
from palpate.storage.artefacts import CLEAN, FAILING, FOUND, RANDOM, WORST_OF, ArtefactRow
from palpate.storage.runs import RunFolder
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.tasks.screening import answer_of
from palpate.tensors import Tree, leaves, lengths
from palpate.victim.draws import seed_torch

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

_NAN = float("nan")


@dataclass(frozen=True)
class ArtefactShard:
    """One artefact on some rows of the table.

    Attributes:
        item: the artefact.
        rows: positions in the table, rising.
        identity: hash of everything that decides the stored rows; it is the name of the stored file.
    """

    item: ArtefactItem
    rows: tuple[int, ...]
    identity: str

    def describe(self) -> str:
        """For progress: `metal, images 33 to 64`."""
        return f"{self.item.name}, images {self.rows[0] + 1} to {self.rows[-1] + 1}"


class _Reading(NamedTuple):
    """What one decision says, for a row."""

    right: bool
    score: float
    prediction: int
    disease_score: float


def scene_of(subject: Subject, row: int) -> Scene:
    """What is known of one row besides its values."""
    return Scene(subject.victim.bounds, subject.spacing_of(row), subject.scale.unit)


def artefact_shards(
    plan: Plan, subject: Subject, items: Sequence[ArtefactItem], chunks: Sequence[tuple[int, ...]] | None = None
) -> tuple[ArtefactShard, ...]:
    """The shards of artefacts, one artefact after the other: all of the plan, or those of some `chunks` of rows.

    A service is asked about one image per shard.
    """
    size = 1 if plan.model.endpoint is not None else plan.run.shard
    count = len(subject.table) if items else 0
    if chunks is None:
        chunks = [tuple(range(start, min(start + size, count))) for start in range(0, count, size)]
    common = {
        "seed": plan.seed,
        "precision": plan.run.precision,
        "disease": list(plan.task.disease_indices),
        "tolerance": getattr(plan.task, "tolerance", None),
        **({"draws": subject.victim.draws} if subject.victim.draws > 1 else {}),
    }
    subjects = [{**subject.identity(rows), "unit": subject.scale.unit} for rows in chunks]
    return tuple(
        ArtefactShard(item, rows, digest({**common, **identified, "item": item.identity}))
        for item in items
        for rows, identified in zip(chunks, subjects, strict=True)
    )


def require_all_fit(plan: Plan, subject: Subject, items: Sequence[ArtefactItem]) -> str:
    """Refuse artefacts that some image cannot have, before hours are spent; gives the kind of the images.

    Raises:
        InputError: see `palpate.audit.plan.artefacts.require_fitting`.
    """
    modality = modality_of(plan.data.modality, [header.modality for header in subject.headers], subject.scale.unit)
    seen = set()
    for row in range(len(subject.table)) if items else ():
        scene, shape = scene_of(subject, row), subject.shape_of(row)
        if (scene, shape) in seen:
            continue
        seen.add((scene, shape))
        for item in items:
            try:
                require_fitting(item, modality, shape, scene, subject.table[row].name)
            except InputError as error:
                raise InputError(f"{plan.origin}: [[artefacts]] '{item.name}': {error}") from error
    return modality


def kept_artefacts(run: RunFolder, shard: ArtefactShard) -> bool:
    """Whether a shard is stored; its rows get the current name of the artefact."""
    if not run.has_artefacts(shard.identity):
        return False
    stored = run.read_artefacts(shard.identity)
    if stored["artefact"].unique().to_pylist() != [shard.item.name]:
        renamed = [replace(ArtefactRow(**row), artefact=shard.item.name) for row in stored.to_pylist()]
        run.write_artefacts(shard.identity, renamed)
    return True


def run_artefact_shard(plan: Plan, subject: Subject, shard: ArtefactShard, room: Room) -> Iterator[list[ArtefactRow]]:
    """Search the artefact on the rows of a shard; gives the rows of each batch. Call it inside `with subject.victim:`.

    Raises:
        InputError: the artefact or the model fails on an image, or one image alone does not fit into memory.
    """
    for rows in subject.batches(shard.rows, plan.run.batch):
        for _, found in room.each(rows, lambda part: _searched(plan, subject, shard.item, part)):
            yield found


def _searched(plan: Plan, subject: Subject, item: ArtefactItem, rows: Sequence[int]) -> list[ArtefactRow]:
    seeds = [derive(plan.seed, item.identity, subject.table[row].name) for row in rows]
    images, targets = subject.images(rows), subject.targets(rows)
    disease = plan.task.disease_indices
    # A model that draws random numbers draws the same ones whenever this batch is searched.
    seed_torch(seeds[0])
    with under_attack():
        found = search(
            item.artefact,
            subject.victim,
            item.task,
            images,
            targets,
            [scene_of(subject, row) for row in rows],
            streams=Streams(seeds),
            limits=subject.limits(rows),
            ladder=item.ladder,
            read=lambda outputs, true: _readings(item.task, outputs, true, disease),
            batch=plan.run.batch,
        )
        return _rows(subject, item, rows, seeds, images, targets, found, disease)


def _readings(task: Task, outputs: Tree, targets: Tree, disease: Sequence[int]) -> list[_Reading]:
    """What the decisions of a batch say. Outputs with NaN or infinity are no decision: wrong, with a score of 0."""
    finite = torch.stack([torch.isfinite(one).flatten(1).all(1).cpu() for one in leaves(outputs)]).all(0)
    right = (task.right(outputs, targets).cpu() & finite).tolist()
    scores = task.score(outputs, targets).double().cpu()
    score = torch.where(finite, scores, torch.zeros_like(scores)).tolist()
    count = len(right)
    if not isinstance(task, Classification):
        return [_Reading(right[row], score[row], -1, _NAN) for row in range(count)]
    decided = task.predict(outputs).tolist()
    known = [_NAN] * count
    if disease:
        known = task.probabilities(answer_of(outputs).double())[:, list(disease)].sum(1).tolist()
    return [_Reading(*values) for values in zip(right, score, decided, known, strict=True)]


def _rows(
    subject: Subject,
    item: ArtefactItem,
    rows: Sequence[int],
    seeds: Sequence[int],
    images: Tensor,
    targets: Tree,
    found: Found,
    disease: Sequence[int],
) -> list[ArtefactRow]:
    """The rows of one batch, image by image: clean, random, worst of the random ones, found, failing."""
    clean = _columns(item, found.clean_outputs, targets, disease) | {
        "theta": [()] * len(rows),
        "margin": found.clean_margin.tolist(),
        **dict.fromkeys(("l2", "linf"), [0.0] * len(rows)),
        "step": [""] * len(rows),
    }
    kinds = {
        (CLEAN, 0.0): clean,
        (WORST_OF, found.severity): _judged(item, images, found.worst_of_k, disease),
        (FOUND, found.severity): _judged(item, images, found.worst, disease),
    }
    stored = []
    for place, (row, seed) in enumerate(zip(rows, seeds, strict=True)):
        shared = _shared(subject, item, row, seed, found, place)
        for (kind, severity), columns in kinds.items():
            own = {name: values[place] for name, values in columns.items()}
            stored.append(ArtefactRow(kind=kind, severity=severity, **own, **shared))
        stored += [ArtefactRow(**own, **shared) for own in _random(found, place)]
        stored += [ArtefactRow(**own, **shared) for own in _failing(found, place)]
    return stored


def _shared(subject: Subject, item: ArtefactItem, row: int, seed: int, found: Found, place: int) -> dict[str, Any]:
    """What all rows of an image have."""
    case = subject.table[row]
    return {
        "image": case.name,
        "row": row,
        "group": case.group,
        "site": case.site,
        "scanner": case.scanner,
        "label": case.label,
        "artefact": item.name,
        "item": item.identity,
        "goal": item.goal,
        "eligible": bool(found.eligible[place]) and float(found.clean_margin[place]) > 0,
        "queries": int(found.forwards[place]),
        "backwards": int(found.backwards[place]),
        "left": int(found.left[place]),
        "seed": seed,
        "non_finite": bool(found.non_finite[place]),
    }


_UNMEASURED: dict[str, Any] = {"measures": (), "found": (), "l2": _NAN, "linf": _NAN, "step": ""}


def _random(found: Found, place: int) -> Iterator[dict[str, Any]]:
    """The random artefacts of one image; without those that left too little of what is annotated in the image."""
    for draw, severity in enumerate(found.draws.severity.tolist()):
        reading = found.draws.readings[place][draw]
        if reading is not None:
            yield {
                "kind": RANDOM,
                "severity": severity,
                "theta": tuple(found.draws.theta[place, draw].tolist()),
                "margin": float(found.draws.margin[place, draw]),
                **reading._asdict(),
                **_UNMEASURED,
            }


def _failing(found: Found, place: int) -> Iterator[dict[str, Any]]:
    """The smallest severity found at which one image fails; nothing if it never does, or does without an artefact."""
    smallest = float(found.failing_severity[place])
    if math.isfinite(smallest) and smallest > 0:
        yield {
            "kind": FAILING,
            "severity": smallest,
            "theta": tuple(found.failing_theta[place].tolist()),
            "margin": _NAN,
            **_Reading(False, _NAN, -1, _NAN)._asdict(),
            **_UNMEASURED,
        }


def _judged(item: ArtefactItem, images: Tensor, worst: Worst, disease: Sequence[int]) -> dict[str, list[Any]]:
    """The columns of one artefact per image."""
    change = worst.images - images
    return _columns(item, worst.outputs, worst.targets, disease) | {
        "theta": [tuple(theta) for theta in worst.theta.tolist()],
        "margin": worst.margin.tolist(),
        "l2": lengths(change, "l2").double().tolist(),
        "linf": lengths(change, "linf").double().tolist(),
        "step": [STEPS[place] for place in worst.step.tolist()],
    }


def _columns(item: ArtefactItem, outputs: Tree, targets: Tree, disease: Sequence[int]) -> dict[str, list[Any]]:
    """What the decisions of a batch say, with the task's measures."""
    readings = _readings(item.task, outputs, targets, disease)
    columns: dict[str, list[Any]] = {
        name: [getattr(reading, name) for reading in readings] for name in _Reading._fields
    }
    return columns | {"measures": item.reader.measure(outputs, targets), "found": item.reader.found(outputs)}

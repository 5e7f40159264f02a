"""Pictures of artefacts for the report: of each, the image that it harms most, before and after.

They are made again from the stored rows: the parameters and the seed give the image.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from palpate.artefacts.artefact import bound_to, rows_of
from palpate.artefacts.moving import moved
from palpate.artefacts.parameter import words
from palpate.audit.plan.artefacts import ArtefactItem
from palpate.audit.subject.subject import Subject
from palpate.audit.work.artefacts import scene_of
from palpate.audit.work.gallery import COPY, SYNTHETIC, Drawing
from palpate.audit.work.planes import png, window
from palpate.storage.artefacts import CLEAN, FOUND
from palpate.storage.frames import Frame
from palpate.storage.runs import RunFolder
from palpate.storage.writing import write_atomically
from palpate.streams import Streams
from palpate.tensors import Tree, mapped

_OURS = re.compile(r"artefact-[0-9a-f]{16}-\d+-(before|after)(-\d+-\d+)?\.png")


def draw_worst(run: RunFolder, subject: Subject, items: Sequence[ArtefactItem]) -> list[dict[str, Any]]:
    """Write the pictures of each artefact, and describe them; call it inside `with subject.victim:`.

    The image is the one that loses most margin among those that were right before; without any, the one of smallest
    margin.

    Raises:
        StorageError: the disk is full or does not accept a file.
    """
    frame, made = run.artefact_frame(), []
    for item in items:
        place = _telling(frame, item)
        if place is not None:
            made.append(_drawn(run, subject, item, frame, place))
    kept = {one[kind].rpartition("/")[2] for entry in made for one in entry["slices"] for kind in ("before", "after")}
    for path in run.images.glob("artefact-*.png"):
        if _OURS.fullmatch(path.name) and path.name not in kept:
            path.unlink(missing_ok=True)
    return made


def _telling(frame: Frame, item: ArtefactItem) -> int | None:
    own = (frame["item"] == item.identity) & (frame["kind"] == FOUND)
    fair = own & frame["eligible"]
    places = np.flatnonzero(fair if fair.any() else own)
    return int(places[np.argmin(frame["margin"][places])]) if places.size else None


def rebuilt(subject: Subject, item: ArtefactItem, row: int, seed: int, theta: Sequence[float]) -> tuple[Tensor, Tree]:
    """The image (C, *spatial) of some parameters again, and its annotation (with a batch axis), moved along."""
    images, targets = subject.images([row]), subject.targets([row])
    scene, limits = scene_of(subject, row), subject.limits([row])
    bound = bound_to(item.artefact, images[0], scene, Streams([seed]), rows_of(limits, 0))
    values = torch.tensor([tuple(theta)], dtype=torch.float64)
    grid = item.artefact.grid(tuple(images.shape[2:]), values, scene)
    return bound(values)[0], targets if grid is None else moved(targets, grid.to(images.device))


def _drawn(run: RunFolder, subject: Subject, item: ArtefactItem, frame: Frame, place: int) -> dict[str, Any]:
    row, theta = int(frame["row"][place]), frame["theta"][place].tolist()
    after, targets = rebuilt(subject, item, row, int(frame["seed"][place]), theta)
    clean = subject.images([row])[0]
    victim, task = subject.victim, item.task
    decided = [_first(task.predict(victim.judge(image[None]))) for image in (clean, after)]
    structures = int(getattr(task, "structures", 0))
    drawing = Drawing.of(clean, _first(targets), decided[0], decided[1], structures)
    # Where anatomy moves, the annotation of the image as stored is in another place.
    stored = Drawing.of(clean, _first(subject.targets([row])), decided[0], decided[1], structures)
    shades = window(clean, victim.bounds, inverted=subject.headers[row].inverted)
    slices = []
    for plane in drawing.planes:
        stem = f"artefact-{item.identity[:16]}-{row}"
        names = {kind: f"{stem}-{kind}{plane.suffix}.png" for kind in ("before", "after")}
        write_atomically(run.images / names["before"], png(plane.of(clean), shades, COPY))
        write_atomically(run.images / names["after"], png(plane.of(after), shades, SYNTHETIC))
        slices.append(
            {
                **{kind: f"images/{name}" for kind, name in names.items()},
                "marks": drawing.marks(plane),
                "truth_before": stored.marks(plane)["truth"] if item.artefact.moves else None,
                **{name: getattr(plane, name) for name in ("index", "count", "axis", "aspect", "changed")},
            }
        )
    return {
        **_said(item, frame, place, subject.kind == "multilabel"),
        "truth": _numbers(item.reader.truth(targets)[0]) if subject.kind == "multilabel" else [],
        "clean_prediction": _class(decided[0]),
        "window": None if shades == victim.bounds else list(shades),
        "slices": slices,
    }


def _said(item: ArtefactItem, frame: Frame, place: int, findings: bool) -> dict[str, Any]:
    """What the rows say of one image: the decision before, and with the worst artefact found."""
    row, theta = int(frame["row"][place]), frame["theta"][place].tolist()
    before = int(np.flatnonzero((frame["item"] == item.identity) & (frame["kind"] == CLEAN) & (frame["row"] == row))[0])
    lists = {"measures": True, "found": findings}
    return {
        "artefact": item.name,
        "item": item.identity,
        "row": row,
        "image": str(frame["image"][place]),
        "severity": float(frame["severity"][place]),
        "words": words(item.artefact.parameters, theta),
        "theta": theta,
        "label": int(frame["label"][place]),
        "prediction": int(frame["prediction"][place]),
        "clean_score": _number(frame["score"][before]),
        "score": _number(frame["score"][place]),
        **{f"clean_{name}": _numbers(frame[name][before] if kept else ()) for name, kept in lists.items()},
        **{name: _numbers(frame[name][place] if kept else ()) for name, kept in lists.items()},
        "failed": bool(frame["margin"][place] <= 0),
        "eligible": bool(frame["eligible"][place]),
    }


def _class(decision: Tree) -> int:
    return int(decision) if isinstance(decision, Tensor) and decision.ndim == 0 else -1


def _first(tree: Tree) -> Tree:
    return mapped(lambda tensor: tensor[0], tree)


def _numbers(values: Sequence[float]) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

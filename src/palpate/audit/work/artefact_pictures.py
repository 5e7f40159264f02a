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
from palpate.storage.artefacts import FOUND
from palpate.storage.runs import Frame, RunFolder, write_atomically
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
    drawing = Drawing.of(clean, _first(targets), decided[0], decided[1], int(getattr(task, "structures", 0)))
    bounds, inverted = victim.bounds, subject.headers[row].inverted
    shades = window(clean, bounds, inverted=inverted)
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
                "index": plane.index,
                "count": plane.count,
                "axis": plane.axis,
                "aspect": plane.aspect,
                "changed": plane.changed,
            }
        )
    return {
        "artefact": item.name,
        "item": item.identity,
        "row": row,
        "image": str(frame["image"][place]),
        "severity": float(frame["severity"][place]),
        "words": words(item.artefact.parameters, theta),
        "label": int(frame["label"][place]),
        "prediction": int(frame["prediction"][place]),
        "clean_prediction": _class(decided[0]),
        "score": _number(frame["score"][place]),
        "failed": bool(frame["margin"][place] <= 0),
        "slices": slices,
    }


def _class(decision: Tree) -> int:
    return int(decision) if isinstance(decision, Tensor) and decision.ndim == 0 else -1


def _first(tree: Tree) -> Tree:
    return mapped(lambda tensor: tensor[0], tree)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

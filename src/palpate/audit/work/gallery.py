"""Pictures for the report: the image as stored, the adversarial image, and the change made visible.

They are written before the shard that they belong to, so that a stored shard always has its pictures. They are found
again from the records alone: each adversarial picture holds its place in the volume and the marks that are drawn over
it. Their names say only the position of the image in the table.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from palpate.audit.subject.subject import Subject
from palpate.audit.work.marks import Mark, Stack, boxes_of, outlines, stack_of
from palpate.audit.work.outcomes import ImageOutcome
from palpate.audit.work.planes import Plane, planes, png, window
from palpate.audit.work.shards import Shard
from palpate.storage.frames import Frame
from palpate.storage.runs import RunFolder
from palpate.storage.writing import write_atomically
from palpate.tensors import Tree, mapped

PER_ATTACK = 6
"""Images that are shown for each attack."""

SYNTHETIC = "Synthetic: an image altered by palpate to test a model. It shows no patient's finding; not for diagnosis."
COPY = "A copy for display of the image as stored, made by palpate beside altered ones; not for diagnosis."
_FACTORS = (1, 2, 5)
_OURS = re.compile(r"[0-9a-f]{16}-(clean|\d+-(adversarial|change))(-\d+-\d+)?\.png")
_NOTE = "palpate"
"""Name of the text in an adversarial picture that holds its place in the volume and the marks over it."""
_KINDS = ("clean", "adversarial", "perturbation")


@dataclass(frozen=True)
class Picture:
    """One entry of the gallery; paths are relative to the run folder, `image` may identify a patient."""

    attack: str
    eps: float
    row: int
    image: str
    label: int
    clean_prediction: int
    prediction: int
    clean: str
    adversarial: str
    perturbation: str
    amplification: float
    success: bool
    clean_score: float | None
    score: float | None
    clean_measures: list[float | None]
    measures: list[float | None]
    truth: list[float | None]
    clean_found: list[float | None]
    found: list[float | None]
    window: list[float] | None
    slices: list[dict[str, Any]]


def pick(subject: Subject, rows: Sequence[int]) -> frozenset[int]:
    """Rows to show for an attack: some of the rows that it can win, from all classes in turn."""
    return frozenset(subject.spread(rows, PER_ATTACK))


def draw(run: RunFolder, subject: Subject, shard: Shard, found: ImageOutcome) -> None:
    """Write the pictures of one image: three, or for a volume three for each slice that is shown.

    Raises:
        StorageError: the disk is full or does not accept the file.
    """
    record = found.records[found.best]
    clean = subject.images([record.row])[0]
    truth = mapped(lambda tensor: tensor[0], subject.targets([record.row]))
    drawing = Drawing.of(clean, truth, found.clean_prediction, found.prediction, _structures(shard))
    bounds, inverted = subject.victim.bounds, subject.headers[record.row].inverted
    shades, span = window(clean, bounds, inverted=inverted), bounds[::-1] if inverted else bounds
    factor = amplification(record.linf, bounds)
    amplified = (found.shown - clean) * factor + (bounds[0] + bounds[1]) / 2
    for plane in drawing.planes:
        note = {**asdict(plane), "window": None if shades == bounds else list(shades), "marks": drawing.marks(plane)}
        pictures = (
            png(plane.of(clean), shades, COPY),
            png(plane.of(found.shown), shades, SYNTHETIC, **{_NOTE: json.dumps(note)}),
            png(plane.of(amplified), span, f"{SYNTHETIC} The change alone, times {factor:g}, around grey."),
        )
        for name, data in zip(_names(subject, shard, record.row, plane.suffix), pictures, strict=True):
            # All attacks share the clean image; its name is the hash of its contents.
            if data is not pictures[0] or not (run.images / name).is_file():
                write_atomically(run.images / name, data)


def _structures(shard: Shard) -> int:
    return int(getattr(shard.item.task, "structures", 0))


@dataclass(frozen=True)
class Drawing:
    """The annotation of one image, the decisions before and after the attack, and the planes that show them.

    Attributes:
        planes: those that are shown.
        masks: name -> masks (S, *spatial) of `truth`, `clean` and `adversarial`; empty without masks.
        boxes: name -> boxes of the same; empty without boxes.
    """

    planes: list[Plane]
    masks: dict[str, Stack]
    boxes: dict[str, list[Mark]]

    @classmethod
    def of(cls, image: Tensor, truth: Tree, before: Tree, after: Tree, structures: int) -> Drawing:
        """From the annotation and the decisions of one image (C, *spatial), all without the batch axis."""
        spatial, trees = tuple(image.shape[1:]), {"truth": truth, "clean": before, "adversarial": after}
        stacks = {
            name: stack
            for name, tree in trees.items()
            if structures and (stack := stack_of(tree, len(spatial), structures)) is not None
        }
        spacing = getattr(truth, "spacing", None)
        steps = None if spacing is None else [float(step) for step in spacing]
        shown = planes(spatial, steps, stacks.get("clean"), stacks.get("adversarial"))
        return cls(shown, stacks, {name: boxes_of(tree) for name, tree in trees.items()})

    def marks(self, plane: Plane) -> dict[str, list[Mark]]:
        """The marks to draw over one plane."""
        drawn = {name: outlines(plane.masks(stack)) for name, stack in self.masks.items()}
        return {name: [*drawn.get(name, []), *boxes] for name, boxes in self.boxes.items()}


def draw_change(run: RunFolder, subject: Subject, stem: str, change: Tensor) -> dict[str, Any]:
    """Write the picture of a change (C, *spatial) of many images, of a volume its middle slice.

    Returns:
        `picture`, its path in the run folder, and the `amplification` that is shown.

    Raises:
        StorageError: the disk is full or does not accept the file.
    """
    low, high = subject.victim.bounds
    factor = amplification(float(change.abs().max()), (low, high))
    shown = planes(change.shape[1:], subject.spacing or None, None, None)
    plane = shown[len(shown) // 2].of(change) * factor + (low + high) / 2
    said = f"{SYNTHETIC} One change for many images, learned by an attack, times {factor:g}, around grey."
    path = run.images / f"{stem}.png"
    write_atomically(path, png(plane, (low, high), said))
    return {"picture": path.relative_to(run.path).as_posix(), "amplification": factor}


def amplification(linf: float, bounds: tuple[float, float]) -> float:
    """The factor for the change: as large as fits around grey, rounded down to 1, 2 or 5 times a power of ten."""
    room = (bounds[1] - bounds[0]) / 2
    if not linf > 0 or linf >= room:
        return 1.0
    power = math.floor(math.log10(room / linf))
    return max(step * 10.0**power for step in _FACTORS if step * 10.0**power <= room / linf)


def gallery(run: RunFolder, subject: Subject, shards: Sequence[Shard], frame: Frame) -> list[dict[str, Any]]:
    """The entries of all pictures that exist, in the order of the records."""
    there = {path.name for path in run.images.glob("*.png")}
    suffixes: dict[str, list[str]] = {}
    for name in sorted(there):
        stem, found, rest = name.removesuffix(".png").partition("-adversarial")
        if found:
            suffixes.setdefault(stem, []).append(rest)
    drawn: dict[tuple[str, int], list[tuple[str, str, str]]] = {}
    for shard in shards if suffixes else ():
        for row in shard.rows:
            names = [_names(subject, shard, row, suffix) for suffix in suffixes.get(_stem(shard, row), [])]
            if whole := [three for three in names if there.issuperset(three)]:
                drawn[shard.item.identity, row] = whole
    places: dict[tuple[str, int], int] = {}
    won: set[tuple[str, int]] = set()
    for place in np.flatnonzero(np.isin(frame["row"], [row for _, row in drawn])).tolist():
        key = (str(frame["item"][place]), int(frame["row"][place]))
        # Records rise in eps: the first success is kept, or the last record if there is no success.
        if key in drawn and key not in won:
            places[key] = place
            won |= {key} if frame["success"][place] else set()
    entries = (_picture(run, frame, place, drawn[key], subject) for key, place in places.items())
    return [asdict(entry) for entry in entries if entry is not None]


def prune(run: RunFolder, entries: Sequence[dict[str, Any]]) -> None:
    """Remove pictures of earlier plans, which are not in any entry now."""
    kept = {Path(one[kind]).name for entry in entries for one in entry["slices"] for kind in _KINDS}
    for path in run.images.glob("*.png"):
        if _OURS.fullmatch(path.name) and path.name not in kept:
            path.unlink(missing_ok=True)


def _picture(
    run: RunFolder, frame: Frame, place: int, names: Sequence[tuple[str, str, str]], subject: Subject
) -> Picture | None:
    slices = sorted(_slices(run, names), key=lambda one: int(one["index"]))
    if not slices:
        return None
    telling = max(slices, key=lambda one: int(one["changed"]))
    shades = [one.pop("window") for one in slices]
    # Boxes and masks are shown by their marks; only findings need their numbers.
    flat = subject.kind == "multilabel"
    return Picture(
        attack=str(frame["attack"][place]),
        eps=float(frame["eps"][place]),
        row=int(frame["row"][place]),
        image=str(frame["image"][place]),
        label=int(frame["label"][place]),
        clean_prediction=int(frame["clean_prediction"][place]),
        prediction=int(frame["prediction"][place]),
        **{kind: telling[kind] for kind in _KINDS},
        amplification=amplification(float(frame["linf"][place]), subject.victim.bounds),
        success=bool(frame["success"][place]),
        clean_score=_number(frame["clean_score"][place]),
        score=_number(frame["score"][place]),
        clean_measures=_numbers(frame["clean_measures"][place]),
        measures=_numbers(frame["measures"][place]),
        truth=_numbers(frame["truth"][place] if flat else ()),
        clean_found=_numbers(frame["clean_found"][place] if flat else ()),
        found=_numbers(frame["found"][place] if flat else ()),
        window=shades[0],
        slices=slices,
    )


def _slices(run: RunFolder, names: Sequence[tuple[str, str, str]]) -> Iterator[dict[str, Any]]:
    """The slices whose adversarial picture can be read and holds its place in the volume."""
    for three in names:
        try:
            with Image.open(run.images / three[1]) as picture:
                note = dict(json.loads(picture.info[_NOTE]))
        except (OSError, KeyError, ValueError, TypeError, RecursionError):
            continue
        yield {**note, **{kind: f"images/{name}" for kind, name in zip(_KINDS, three, strict=True)}}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _numbers(values: Sequence[float]) -> list[float | None]:
    return [_number(value) for value in values]


def _stem(shard: Shard, row: int) -> str:
    return f"{shard.identity[:16]}-{row}"


def _names(subject: Subject, shard: Shard, row: int, suffix: str) -> tuple[str, str, str]:
    clean, stem = f"{subject.table.fingerprint([row])[:16]}-clean", _stem(shard, row)
    return f"{clean}{suffix}.png", f"{stem}-adversarial{suffix}.png", f"{stem}-change{suffix}.png"

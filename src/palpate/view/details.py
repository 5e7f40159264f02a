"""What the page shows of one record: which pictures there are, what is drawn over them, and the scales in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from palpate.errors import InputError
from palpate.report.model.shown import MarkDescription, MarksDescription
from palpate.report.model.words import amount, in_unit
from palpate.view.changes import artefact_scale
from palpate.view.kept import Pictured
from palpate.view.opened import Opened
from palpate.view.pixels import Array, Grid

NOT_KEPT = (
    'The run did not keep this attacked image. With [export] images = "all" in the plan, a run keeps all of them.'
)
UNREADABLE = "The image as stored cannot be read."
DAMAGED = "The attacked image is missing or damaged."
ONLY_WORST = "A run keeps the picture of the image that each artefact harms most; the others are not kept."


@dataclass
class Shown:
    """The pictures of one record, as the page gets them.

    Attributes:
        slices: slices that have pictures.
        count: slices of the volume; 1 in 2D.
        axis: axis along which slices are counted, from 1; 0 in 2D.
        aspect: width over height in mm.
        start: the slice that is shown first.
        before, after, change: how the names of pictures begin; empty without pictures.
        why: sentences about pictures that are missing.
        window: which values are black and white, in words.
        scale: what the colours of the difference mean, in words.
        ends: lowest and highest change of the colours, with the unit.
        marks: of each slice, shapes by who says them.
        truth: whether the outlines of the annotation can be asked for, slice by slice.
    """

    slices: list[int] = field(default_factory=list)
    count: int = 1
    axis: int = 0
    aspect: float = 1.0
    start: int = 0
    before: str = ""
    after: str = ""
    change: str = ""
    why: list[str] = field(default_factory=list)
    window: str = ""
    scale: str = ""
    ends: list[str] = field(default_factory=list)
    marks: dict[int, dict[str, Any]] = field(default_factory=dict)
    truth: bool = False


def record(opened: Opened, place: int) -> Shown:
    """What is shown of a record."""
    frame, row = opened.frame, int(opened.frame["row"][place])
    file, pictured = opened.places[place]
    shown, clean = Shown(), _clean(opened, row)
    attacked = _attacked(opened, row, file, shown)
    values = clean if clean is not None else attacked
    if attacked is not None or (pictured is None and values is not None):
        _cut(opened, row, values, frame["spacing"][place].tolist(), shown)
        shown.before = f"pictures/clean-{row}-" if clean is not None else ""
        shown.after = f"pictures/attacked-{place}-" if attacked is not None else ""
    elif pictured is not None:
        _pictured(opened, pictured, shown)
        shown.before = f"pictures/clean-{row}-" if clean is not None else f"pictures/before-{place}-"
        shown.after = f"pictures/attacked-{place}-"
        if not pictured.slices[0].clean and clean is None:
            shown.before = ""
    elif file is None:
        shown.why.append(NOT_KEPT)
    if not shown.before:
        shown.why.append(opened.originals.why or UNREADABLE)
    if shown.after and (pictured is not None or clean is not None):
        shown.change = f"pictures/change-{place}-"
        _scale(opened, float(frame["linf"][place]), shown)
        shown.why += _other(opened, row, clean, attacked, float(frame["linf"][place]))
    elif not shown.after and file is None and NOT_KEPT not in shown.why:
        shown.why.append(NOT_KEPT)
    _marks(opened, place, pictured, shown)
    return shown


def _clean(opened: Opened, row: int) -> Array | None:
    try:
        return opened.pixels.clean(row)
    except (InputError, OSError):
        return None


def _attacked(opened: Opened, row: int, file: str | None, shown: Shown) -> Array | None:
    if file is None:
        return None
    try:
        return opened.pixels.attacked(row, file)
    except (InputError, OSError):
        shown.why.append(DAMAGED)
        return None


def _cut(opened: Opened, row: int, values: Array | None, spacing: list[float], shown: Shown) -> None:
    assert values is not None
    grid = Grid.of(values.shape[1:], spacing)
    shown.count, shown.aspect, shown.axis = grid.count, grid.aspect, 0 if grid.axis is None else grid.axis + 1
    shown.slices = list(range(grid.count))
    shown.start = grid.count // 2
    shown.window = _window(opened, opened.pixels.window(row, values))
    shown.truth = opened.description.task.kind == "segmentation" and opened.originals.table is not None


def _pictured(opened: Opened, pictured: Pictured, shown: Shown) -> None:
    first = pictured.slices[0]
    shown.count, shown.aspect, shown.axis = first.count, first.aspect, 0 if first.axis is None else first.axis + 1
    shown.slices = [one.index for one in pictured.slices]
    shown.start = max(pictured.slices, key=lambda one: one.changed).index
    shown.window = _window(opened, pictured.window or opened.pixels.bounds)
    if len(shown.slices) < shown.count:
        shown.why.append(f"The run keeps pictures of {len(shown.slices)} of {shown.count} slices.")


def _window(opened: Opened, window: tuple[float, float]) -> str:
    low, high = amount(window[0]), in_unit(window[1], opened.unit)
    return f"Shown from {low} (black) to {high}{'' if opened.unit else ' stored values'} (white)."


def _scale(opened: Opened, most: float, shown: Shown) -> None:
    if not most > 0:
        shown.scale = "No value changed."
        return
    said = in_unit(most, opened.unit) if opened.unit else f"{amount(most)} stored {'value' if most == 1 else 'values'}"
    shown.scale = f"Orange: values rose, by up to {said}. Blue: values fell, by as much. Black: unchanged."
    shown.ends = [f"\u2212{said}", "0", f"+{said}"]


def _other(opened: Opened, row: int, clean: Array | None, attacked: Array | None, most: float) -> list[str]:
    """A warning where the image as stored cannot be the one that was attacked: it differs by more than was recorded."""
    if clean is None or attacked is None:
        return []
    if clean.shape != attacked.shape:
        return ["The image as stored has another size than the attacked one: it is not the image that was attacked."]
    table = opened.originals.table
    header = None if table is None else table.header(row)
    if header is None or not header.lossless:
        return []
    low, high = opened.pixels.bounds
    found = float(np.abs(attacked.astype(np.float64) - np.clip(clean.astype(np.float64), low, high)).max(initial=0))
    if found <= most + (header.step or 0) + 1e-3 * max(most, 1e-3):
        return []
    return ["The image as stored differs more from the attacked one than was recorded. Is it the image of this run?"]


def _marks(opened: Opened, place: int, pictured: Pictured | None, shown: Shown) -> None:
    """Outlines from the gallery, or boxes from the records.

    A record without pictures has the outlines of the image as stored, where pictures of another record show them.
    """
    for plane in opened.outlined.get(int(opened.frame["row"][place]), []) if pictured is None else []:
        if plane.index in shown.slices:
            shown.marks[plane.index] = {**marks_of(plane.marks), "after": []}
    for plane in pictured.slices if pictured is not None else []:
        if plane.index in shown.slices:
            shown.marks[plane.index] = marks_of(plane.marks)
    if opened.description.task.kind == "detection":
        frame, least = opened.frame, opened.description.task.operating.confidence or 0.0
        shown.marks[0] = {
            "truth": _boxes(frame["truth"][place].tolist(), 5, least),
            "before": _boxes(frame["clean_found"][place].tolist(), 6, least),
            "after": _boxes(frame["found"][place].tolist(), 6, least),
        }


def marks_of(marks: MarksDescription) -> dict[str, Any]:
    """The shapes of a picture, by who says them."""
    return {"truth": _shapes(marks.truth), "before": _shapes(marks.clean), "after": _shapes(marks.adversarial)}


def _shapes(marks: Sequence[MarkDescription]) -> list[dict[str, Any]]:
    return [one.model_dump(mode="json") for one in marks]


def _boxes(numbers: list[float], width: int, least: float) -> list[dict[str, Any]]:
    """Boxes of a record: class, for found ones the confidence, and two corners in fractions of the image.

    Found boxes at or below the operating point are left out, as in the clinic.
    """
    found = []
    for start in range(0, len(numbers) - width + 1, width):
        part, *rest = numbers[start : start + width]
        score = rest.pop(0) if width == 6 else None
        if score is not None and score <= least:
            continue
        found.append({"part": int(part), "kind": "box", "points": [rest[:2], rest[2:]], "score": score})
    return found


def certificate(opened: Opened, row: int) -> Shown:
    """What is shown of an image that has a certificate: itself, with the outlines that are known of it."""
    shown = _stored(opened, row)
    for plane in opened.outlined.get(row, []):
        if plane.index in shown.slices:
            shown.marks[plane.index] = {**marks_of(plane.marks), "after": []}
    return shown


def _stored(opened: Opened, row: int) -> Shown:
    """The image as stored alone, or why it is missing."""
    shown, clean = Shown(), _clean(opened, row)
    if clean is None:
        shown.why.append(opened.originals.why or UNREADABLE)
        return shown
    _cut(opened, row, clean, list(opened.pixels.spacing(row)), shown)
    shown.before = f"pictures/clean-{row}-"
    return shown


def artefact(opened: Opened, place: int) -> Shown:
    """What is shown of a row of an artefact."""
    row, picture = int(opened.artefacts["row"][place]), opened.pictures.get(place)
    shown = Shown()
    if picture is None:
        shown = _stored(opened, row)
        shown.why.append(ONLY_WORST)
        return shown
    first = picture.slices[0]
    shown.count, shown.aspect, shown.axis = first.count, first.aspect, 0 if first.axis is None else first.axis + 1
    shown.slices = [one.index for one in picture.slices]
    shown.start = max(picture.slices, key=lambda one: one.changed).index
    window = picture.window or opened.pixels.bounds
    shown.window = _window(opened, window)
    kinds = ("before", "after", "change")
    shown.before, shown.after, shown.change = (f"pictures/artefact-{kind}-{place}-" for kind in kinds)
    _scale(opened, artefact_scale(opened, place), shown)
    shown.scale += " Computed from the two pictures, so values outside that window count as its ends."
    for one in picture.slices:
        shown.marks[one.index] = marks_of(one.marks)
        if one.truth_before is not None:
            shown.marks[one.index]["truthBefore"] = _shapes(one.truth_before)
    return shown

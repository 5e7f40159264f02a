"""The cards of the gallery: pictures with outlines and boxes, and the model's result before and after the attack."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import quote

from palpate.report.model.description import Export, TaskDescription
from palpate.report.model.description_artefacts import ArtefactPicture, ArtefactSlice
from palpate.report.model.schema import Results
from palpate.report.model.shown import MarkDescription, PictureDescription, SliceDescription
from palpate.report.model.wording import Wording
from palpate.report.model.words import NOTHING, amount, in_unit, ratio
from palpate.report.page.pictures import embed
from palpate.storage.runs import RunFolder

HEIGHT = 1000
"""Height of a drawing over a picture, in its own units."""
LETTER = 62
"""Height of a letter in the same units; `report.css` uses the same number."""
GAP = 14


Drawn = dict[str, tuple[str, list[tuple[str, list[MarkDescription]]]]]


def moved(picture: PictureDescription) -> bool:
    """Whether the attack changed what the image shows: another class, a result that is no longer acceptable."""
    if picture.label < 0:
        return bool(picture.success)
    return picture.prediction != picture.clean_prediction


def card(
    run: RunFolder,
    picture: PictureDescription,
    results: Results,
    *,
    named: bool,
    exports: Sequence[Export] = (),
    lost: Collection[str] = (),
) -> dict[str, Any]:
    """One picture of the gallery; its file name only if names were asked for, and no file that is `lost`."""
    task = results.task
    slices = picture.slices or [
        SliceDescription(clean=picture.clean, adversarial=picture.adversarial, perturbation=picture.perturbation)
    ]
    most = max(range(len(slices)), key=lambda place: slices[place].changed)
    return {
        "slices": [_slice(run, picture, one, task, lost) for one in slices],
        "start": most,
        "overlaid": not task.classification,
        "moved": moved(picture),
        "attack": picture.attack,
        "eps": picture.eps,
        "row": picture.row,
        "name": picture.image if named else None,
        "window": window(picture, results.data.unit),
        "exports": [
            {"file": one.file, "link": link(run, one.file)}
            for one in exports
            if (one.attack, one.eps, one.row) == (picture.attack, picture.eps, picture.row)
        ],
        **decided(picture, task),
    }


def decided(picture: PictureDescription | ArtefactPicture, task: TaskDescription) -> dict[str, Any]:
    """The decision before and after: classes by name, or the score and the table of measures."""
    shown: dict[str, Any] = {"label": None, "scored": None, "table": [], "heads": []}
    if task.classification:
        names = [task.classes[index] for index in (picture.label, picture.clean_prediction, picture.prediction)]
        return {**shown, **dict(zip(("label", "before", "after"), names, strict=True))}
    score = Wording(task).score
    shown |= {"scored": score[0].upper() + score[1:], "before": ratio(picture.clean_score)}
    return {**shown, "after": ratio(picture.score), **table(picture, task)}


def window(picture: PictureDescription | ArtefactPicture, unit: str) -> str | None:
    """The stored values that are shown as black and white; None if they are the bounds."""
    if picture.window is None:
        return None
    low, high = amount(picture.window[0]), in_unit(picture.window[1], unit)
    return f"{'' if unit else 'stored values '}{low} to {high} shown black to white"


def _slice(
    run: RunFolder, picture: PictureDescription, one: SliceDescription, task: TaskDescription, lost: Collection[str]
) -> dict[str, Any]:
    drawn: Drawn = {
        "as stored": (one.clean, [("truth", one.marks.truth), ("found", one.marks.clean)]),
        "adversarial": (one.adversarial, [("truth", one.marks.truth), ("found", one.marks.adversarial)]),
        f"change × {picture.amplification:g}": (one.perturbation, []),
    }
    return pictured(run, picture.row, one, drawn, task, lost)


def pictured(
    run: RunFolder,
    row: int,
    one: SliceDescription | ArtefactSlice,
    drawn: Drawn,
    task: TaskDescription,
    lost: Collection[str],
) -> dict[str, Any]:
    """One plane: its place in the volume in words, and its pictures with what is drawn over them.

    Args:
        run: the run folder.
        row: position of the image.
        one: the plane.
        drawn: caption -> path of the picture, and shapes by who says them (`truth`, `found`).
        task: names the structures.
        lost: paths of files that are not to be shown.
    """
    words = "" if one.axis is None else f"slice {one.index + 1} of {one.count} along axis {one.axis + 1}"
    # Where anatomy moves, the decision changes because it moves along.
    still = isinstance(one, SliceDescription) or one.truth_before is None
    words += f", {one.changed} pixels changed" if one.axis is not None and one.changed and still else ""
    pictures = []
    for caption, (path, layers) in drawn.items():
        place = f", {words}" if words else ""
        pictures.append(
            {
                "data": None if path in lost else embed(run, path),
                "caption": caption,
                "alt": f"{caption}, row {row}{place}{_in_words(layers, task.classes)}",
                "aspect": one.aspect,
                "width": round(HEIGHT * one.aspect),
                "height": HEIGHT,
                "marks": spread_scores(
                    [_mark(by, mark, one.aspect) for by, marks in layers for mark in marks if _known(mark, task)],
                    round(HEIGHT * one.aspect),
                ),
            }
        )
    return {"words": words, "pictures": pictures}


def _known(mark: MarkDescription, task: TaskDescription) -> bool:
    return 0 <= mark.part < len(task.classes) and len(mark.points) > 1


def _mark(by: str, mark: MarkDescription, aspect: float) -> dict[str, Any]:
    points = [(round(x * HEIGHT * aspect), round(y * HEIGHT)) for x, y in mark.points]
    if mark.kind == "box":
        (left, top), (right, bottom) = points[:2]
        points = [(left, top), (right, top), (right, bottom), (left, bottom)]
    left, top = min(x for x, _ in points), min(y for _, y in points)
    bottom = max(y for _, y in points)
    return {
        "by": by,
        "part": mark.part,
        "path": "M" + "L".join(f"{x} {y}" for x, y in points) + "Z",
        "score": None if mark.score is None else ratio(mark.score).removeprefix("0"),
        "x": left,
        "y": max(top - GAP, LETTER),
        "below": min(bottom + LETTER, HEIGHT - GAP),
    }


def spread_scores(marks: list[dict[str, Any]], width: int) -> list[dict[str, Any]]:
    """Move the confidences of boxes so that none covers another and all are inside the picture.

    Each is above its box, else below it, else on the next free line below.

    Args:
        marks: the shapes; those without a confidence have no text.
        width: width of the drawing.
    """
    taken: list[tuple[int, int, int]] = []
    for mark in sorted((one for one in marks if one["score"]), key=lambda one: (one["y"], one["x"])):
        wide = round(0.62 * LETTER * len(mark["score"])) + GAP
        x = max(0, min(mark["x"], width - wide))
        lines = [mark["y"], mark["below"], *range(mark["y"], HEIGHT, LETTER), *range(mark["y"], LETTER, -LETTER)]
        free = (y for y in lines if all(x + wide <= a or b <= x or abs(y - at) >= LETTER for a, b, at in taken))
        mark["x"], mark["y"] = x, next(free, mark["y"])
        taken.append((x, x + wide, mark["y"]))
    return marks


def link(run: RunFolder, relative: str) -> str | None:
    """A path as a link relative to the run folder, which holds the report.

    Returns:
        None if nothing is there, or if the path leads out of the run folder.
    """
    try:
        root = run.path.resolve()
        path = (root / relative).resolve()
        if not path.is_relative_to(root) or path == root or not path.exists():
            return None
    except (OSError, ValueError):
        return None
    return "./" + quote(path.relative_to(root).as_posix())


def _in_words(layers: Sequence[tuple[str, Sequence[MarkDescription]]], classes: Sequence[str]) -> str:
    """The shapes in words, for readers who do not see them: `; annotated: 2 left lung; found: nothing`."""
    texts = []
    for by, marks in layers:
        counts = {name: sum(mark.part == index for mark in marks) for index, name in enumerate(classes)}
        listed = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        texts.append(f"{'annotated' if by == 'truth' else 'found'}: {listed or 'nothing'}")
    return "; " + "; ".join(texts) if any(marks for _, marks in layers) else ""


def table(picture: PictureDescription | ArtefactPicture, task: TaskDescription) -> dict[str, Any]:
    """What changed, part by part."""
    if task.kind == "multilabel" and picture.truth:
        return {"heads": ["annotated", "before", "after"], "table": _findings(picture, task)}
    if task.kind == "segmentation":
        rows = [
            {"part": measure.part, "cells": [ratio(before), ratio(after)], "turned": _fell(task, before, after)}
            for measure, before, after in zip(task.measures, picture.clean_measures, picture.measures, strict=False)
            if measure.name == task.score and measure.part
        ]
        return {"heads": ["before", "after"], "table": rows}
    if task.kind == "detection" and picture.slices:
        return {"heads": ["annotated", "shown before", "shown after"], "table": _boxes(picture.slices[0], task)}
    return {}


def _fell(task: TaskDescription, before: float | None, after: float | None) -> bool:
    return None not in (before, after, task.floor) and (before or 0) > (task.floor or 0) >= (after or 0)


def _findings(picture: PictureDescription | ArtefactPicture, task: TaskDescription) -> list[dict[str, Any]]:
    given = task.operating.thresholds or [0.5]
    thresholds = given * len(task.classes) if len(given) == 1 else given
    rows = []
    columns = (task.classes, picture.truth, picture.clean_found, picture.found, thresholds)
    for name, truth, before, after, threshold in zip(*columns, strict=False):
        annotated = {1: "present", 0: "absent"}.get(int(truth), "unknown")
        turned = before is not None and after is not None and (before > threshold) != (after > threshold)
        rows.append({"part": name, "cells": [annotated, ratio(before), ratio(after)], "turned": turned})
    return rows


def _boxes(one: SliceDescription | ArtefactSlice, task: TaskDescription) -> list[dict[str, Any]]:
    layers = (one.marks.truth, one.marks.clean, one.marks.adversarial)
    rows = []
    for index, name in enumerate(task.classes):
        counts = [sum(mark.part == index for mark in marks) for marks in layers]
        if any(counts):
            rows.append({"part": name, "cells": [str(count) or NOTHING for count in counts], "turned": False})
    return rows

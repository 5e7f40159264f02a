"""The records of attacks as columns: what a reader filters and sorts by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from palpate.report.model.description import Description
from palpate.report.model.wording import Wording
from palpate.storage.frames import Frame
from palpate.view.columns import NOTHING, Array, Column, chosen, named

Sites = (("site", "Site"), ("scanner", "Scanner"))
_TITLES = {"dice": "Dice", "iou": "IoU", "f1": "F1", "hd95": "HD95", "surface_dice": "surface Dice"}
_EVIDENCE = "How the result is known: attacked, carried from a smaller budget, and so on."


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a run by image.

    Attributes:
        frame: columns of the rows.
        image: of each row, the place of its image among all images.
        first: of each image, the place of its first row.
    """

    frame: Frame
    image: Array
    first: Array

    @classmethod
    def of(cls, frame: Frame) -> Rows:
        """From the columns, which have `row`."""
        _, first, image = np.unique(frame["row"], return_index=True, return_inverse=True)
        return cls(frame, image, first)

    def each(self, field: str) -> Array:
        """A field that is the same in all rows of an image, one value per image."""
        return np.asarray(self.frame[field][self.first])

    def measures(self, field: str, count: int) -> Array:
        """A field of lists as an array (rows, count); NaN where a list is missing."""
        lists = self.frame[field]
        if not count or set(lists.widths) - {0, count}:
            return np.full((len(lists), count), np.nan)
        return np.asarray(lists.table(count))


def columns(frame: Frame, description: Description, kept: Array, traced: Array, *, names: bool) -> Iterator[Column]:
    """The columns of all records, in the order in which they are offered.

    Args:
        frame: the records.
        description: `run.json`.
        kept: of each record, which picture of the attacked image there is, in words.
        traced: of each record, whether its attack was traced on its image.
        names: also names of files and groups, which may identify patients.
    """
    rows, task, unit = Rows.of(frame), description.task, description.data.unit
    yield from image_columns(rows, description, names=names)
    yield Column("attack", "Attack", frame["attack"], shown=True, order=[one.name for one in description.attacks])
    if len(set(frame["goal"])) > 1:
        yield Column("goal", "Goal", frame["goal"])
    yield Column(
        "eps", f"Budget{_in(unit)}", frame["eps"], shown=True, few=True, about=f"{_norms(frame)} of the change"
    )
    yield Column("verdict", "Verdict", verdicts(frame), shown=True, about="What the attack did to the image.")
    yield from decisions(rows, description)
    yield Column("clean_margin", "Margin before", rows.each("clean_margin"), by_image=True)
    yield Column("margin", "Margin", frame["margin"], shown=True, about="0 or less: beaten.")
    yield from _survival(frame, description)
    yield Column("linf", f"Largest change{_in(unit)}", frame["linf"])
    for key, said in (("l2", "Length of the change (L2)"), ("psnr", "PSNR in dB"), ("ssim", "SSIM")):
        yield Column(key, said, frame[key])
    yield Column("evidence", "Evidence", frame["evidence"], about=_EVIDENCE)
    first = np.where(frame["first_success"] < 0, np.nan, frame["first_success"]).astype(float)
    yield Column("first_success", "First beaten at step", first)
    if any(frame["stage"]):
        yield Column("stage", "Stage that beat it", frame["stage"])
    yield Column("forwards", "Forward passes", frame["forwards"].astype(float))
    yield Column("backwards", "Backward passes", frame["backwards"].astype(float))
    yield Column("kept", "Attacked image", kept, about="Whether the run folder holds the attacked image.")
    if traced.any():
        yield Column("traced", "Step by step", np.where(traced, "traced", "no").astype(object))
    yield from parts(rows, description, task.kind)


def image_columns(rows: Rows, description: Description, *, names: bool) -> Iterator[Column]:
    """What is the same in all records of an image."""
    yield Column("row", "Image", rows.frame["row"], shown=True, about="Position in the audited table, from 0.")
    if names:
        yield Column("image", "File", rows.each("image"), by_image=True, shown=True)
        yield Column("group", "Group", rows.each("group"), by_image=True)
    for key, said in Sites:
        if key in rows.frame and len(set(rows.frame[key])) > 1:
            yield Column(key, said, rows.each(key), by_image=True)
    if description.task.classification:
        truth = named(rows.each("label"), description.task.classes)
        yield Column("label", "True class", truth, by_image=True, shown=True, order=description.task.classes)


def verdicts(frame: Frame) -> Array:
    """What an attack did, in words."""
    return chosen(
        [
            (frame["success"], "beaten"),
            (frame["eligible"], "withstood"),
            (~frame["clean_right"], "wrong before"),
            (frame["goal"] == "untargeted", "nothing to lose"),
        ],
        "goal does not apply",
    )


def decisions(rows: Rows, description: Description) -> Iterator[Column]:
    """What the model decided before and after."""
    task, frame = description.task, rows.frame
    if task.classification:
        before = named(rows.each("clean_prediction"), task.classes)
        yield Column("clean_prediction", "Decision before", before, by_image=True, shown=True, order=task.classes)
        after = named(frame["prediction"], task.classes)
        yield Column("prediction", "Decision after", after, shown=True, order=task.classes)
    else:
        score = Wording(task).score
        score = score[0].upper() + score[1:]
        yield Column("clean_score", f"{score} before", rows.each("clean_score"), by_image=True, shown=True)
        yield Column("score", f"{score} after", frame["score"], shown=True)
    if np.isfinite(frame["disease_score"]).any():
        before = rows.each("clean_disease_score")
        yield Column("clean_disease_score", "Probability of disease before", before, by_image=True)
        yield Column("disease_score", "Probability of disease after", frame["disease_score"])


def _survival(frame: Frame, description: Description) -> Iterator[Column]:
    count = len(description.handlings)
    if not count or set(frame["handled"].widths) - {0, count}:
        return
    margins = frame["handled"].table(count)
    for place, step in enumerate(description.handlings):
        after = margins[:, place]
        said = [(~frame["success"] | np.isnan(after), NOTHING), (after <= 0, "survives")]
        yield Column(f"survives-{place}", f"Survives {step.name}", chosen(said, "is lost"), about=step.words)


def parts(rows: Rows, description: Description, kind: str) -> Iterator[Column]:
    """What is known of each structure, finding or class of boxes, before and after."""
    task = description.task
    if kind == "multilabel":
        yield from _findings(rows, task.classes)
    if kind == "detection":
        yield from _boxes(rows, task.classes, task.operating.confidence or 0.0)
    before = rows.measures("clean_measures", len(task.measures))[rows.first]
    after = rows.measures("measures", len(task.measures))
    places = {name: place for place, name in enumerate(task.classes)}
    for place, one in enumerate(task.measures):
        part = places.get(one.part)
        said = f"{_TITLES.get(one.name, one.name.replace('_', ' '))}{_in(one.unit)}"
        said = f"{one.part}: {said}" if one.part else said[0].upper() + said[1:]
        key = f"measure-{place}"
        yield Column(f"{key}-before", f"{said}, before", before[:, place], by_image=True, part=part)
        yield Column(f"{key}-after", f"{said}, after", after[:, place], part=part)


def _findings(rows: Rows, classes: list[str]) -> Iterator[Column]:
    truth, before, after = (rows.measures(field, len(classes)) for field in ("truth", "clean_found", "found"))
    for part, name in enumerate(classes):
        said = [(truth[rows.first, part] == 1, "present"), (truth[rows.first, part] == 0, "absent")]
        yield Column(f"truth-{part}", f"{name}: annotated", chosen(said, "unknown"), by_image=True, part=part)
        yield Column(
            f"before-{part}", f"{name}: probability before", before[rows.first, part], by_image=True, part=part
        )
        yield Column(f"after-{part}", f"{name}: probability after", after[:, part], part=part)


def _boxes(rows: Rows, classes: list[str], confidence: float) -> Iterator[Column]:
    widths = (("truth", 5, "annotated"), ("clean_found", 6, "found before"), ("found", 6, "found after"))
    for part, name in enumerate(classes):
        for field, width, said in widths:
            counts = _counts(rows.frame[field], width, part, confidence)
            by_image = field != "found"
            counts = counts[rows.first] if by_image else counts
            yield Column(f"{field}-{part}", f"{name}: boxes {said}", counts, by_image=by_image, part=part)


def _counts(lists: Any, width: int, part: int, confidence: float) -> Array:
    """How many boxes of a class each list holds. Six numbers are a found box: class, confidence, two corners.

    Records hold boxes down to a low confidence; those above the operating point count.
    """
    sizes = lists.sizes // width
    boxes = lists.flat()[: width * int(sizes.sum())].reshape(-1, width)
    counted = boxes[:, 0] == part
    if width == 6:
        counted &= boxes[:, 1] > confidence
    owner = np.repeat(np.arange(len(sizes)), sizes)
    return np.bincount(owner[counted], minlength=len(sizes)).astype(float)


def _in(unit: str) -> str:
    return f" in {unit.replace('mm2', 'mm²')}" if unit else ""


def _norms(frame: Frame) -> str:
    said = {"linf": "Largest value", "l2": "Euclidean length", "l1": "Sum of absolute values"}
    return " or ".join(dict.fromkeys(said.get(norm, norm) for norm in frame["norm"]))

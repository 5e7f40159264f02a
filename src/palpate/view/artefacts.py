"""The rows of artefacts as columns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from palpate.report.model.description import Description
from palpate.report.model.wording import Wording
from palpate.storage.artefacts import CLEAN
from palpate.storage.frames import Frame
from palpate.view.columns import Array, Column, chosen, named
from palpate.view.records import Rows, image_columns

_KINDS = (
    "clean: as stored. random: drawn. worst of: the worst of some draws. found: the worst found. failing: the least"
)
_TOLD = f"{_KINDS} severity at which it fails."


def columns(frame: Frame, description: Description, kept: Array, *, names: bool) -> Iterator[Column]:
    """The columns of all rows of artefacts; `kept` says of each whether there is a picture."""
    rows, task = Rows.of(frame), description.task
    yield from image_columns(rows, description, names=names)
    yield Column("artefact", "Artefact", frame["artefact"], shown=True)
    if len(set(frame["goal"])) > 1:
        yield Column("goal", "Goal", frame["goal"])
    yield Column("kind", "Kind", frame["kind"], shown=True, about=_TOLD)
    yield Column("severity", "Severity", frame["severity"], shown=True, about="0, the image as stored, to 5.")
    yield Column("verdict", "Verdict", verdicts(frame), shown=True)
    if task.classification:
        decided = named(frame["prediction"], task.classes)
        yield Column("prediction", "Decision", decided, shown=True, order=task.classes)
    else:
        score = Wording(task).score
        yield Column("score", score[0].upper() + score[1:], frame["score"], shown=True)
    if np.isfinite(frame["disease_score"]).any():
        yield Column("disease_score", "Probability of disease", frame["disease_score"])
    yield Column("margin", "Margin", frame["margin"], shown=True, about="0 or less: it fails.")
    yield Column("theta", "Parameters", parameters(frame, description))
    yield Column("step", "Found by", frame["step"])
    yield Column("queries", "Images asked about", frame["queries"].astype(float))
    yield Column("kept", "Picture", kept)


def verdicts(frame: Frame) -> Array:
    """What an artefact did, in words."""
    fails = frame["margin"] <= 0
    return chosen(
        [
            (frame["kind"] == CLEAN, "as stored"),
            (frame["eligible"] & fails, "fails"),
            (frame["eligible"], "withstands"),
        ],
        "wrong before or not concerned",
    )


def parameters(frame: Frame, description: Description) -> Array:
    """Of each row its parameters in words and units."""
    known = {one.item: one for one in (description.artefacts.items if description.artefacts else [])}
    found = np.empty(len(frame["row"]), dtype=object)
    for place, (item, theta) in enumerate(zip(frame["item"], frame["theta"], strict=True)):
        one = known.get(item)
        fits = one is not None and len(one.parameters) == len(theta)
        found[place] = one.words(theta.tolist()) if one is not None and fits else ""
    return found

"""Certificates as columns, one row for each image and sigma, and all radii of one image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from palpate.report.model.description import Description
from palpate.report.model.wording import Wording
from palpate.report.model.words import in_unit
from palpate.storage.frames import Frame
from palpate.view.columns import Array, Column, chosen, named
from palpate.view.records import Rows, image_columns

_SMOOTHED = "About the smoothed model: noise is added many times, and a vote decides."
_CLASSES = f"No change up to this L2 length alters the decision; 0: it abstains. {_SMOOTHED}"
_OTHERS = f"Largest tested L2 length up to which the result is certainly acceptable; –: none. {_SMOOTHED}"
_FALLS = "Smallest tested L2 length at which the result was shown to be not acceptable; –: it never was."
_POINTS = ("radius", "least_score", "least_acceptable", "abstained", "most_score", "most_acceptable", "attacked")


@dataclass(frozen=True, eq=False)
class Certified:
    """The certificates of a run, one for each image and sigma.

    Attributes:
        every: columns of all rows, one for each radius.
        places: of each certificate its rows, by rising radius.
        frame: columns of the first row of each certificate.
        radius: of each certificate the L2 length up to which it holds; NaN if it does not even hold without a change.
        falls: of each certificate the smallest L2 length at which the result was shown to be not acceptable, or NaN.
    """

    every: Frame
    places: list[list[int]]
    frame: Frame
    radius: Array
    falls: Array

    @classmethod
    def of(cls, every: Frame) -> Certified:
        """From the rows of all radii."""
        groups: dict[tuple[float, int, str], list[int]] = {}
        names = list(zip(every["sigma"].tolist(), every["row"].tolist(), every["item"], strict=True))
        for place in np.argsort(every["radius"], kind="stable").tolist():
            groups.setdefault(names[place], []).append(place)
        places = [groups[name] for name in sorted(groups)]
        first = np.array([one[0] for one in places], dtype=np.int64)
        frame = {name: values[first] for name, values in every.items()}
        held = [every["radius"][one][every["least_acceptable"][one]] for one in places]
        beaten = [every["radius"][one][~every["most_acceptable"][one]] for one in places]
        largest = np.array([one[-1] if one.size else np.nan for one in held], dtype=float)
        radius = np.where(np.isnan(frame["certified"]), largest, frame["certified"])
        falls = np.array([one[0] if one.size else np.nan for one in beaten], dtype=float)
        return cls(every, places, frame, radius, falls)

    @property
    def verdict(self) -> Array:
        """Of each certificate what is known, in words."""
        frame, classes = self.frame, ~np.isnan(self.frame["certified"])
        return chosen(
            [
                (frame["least_acceptable"], "certified"),
                (classes & (self.radius > 0) & (frame["prediction"] >= 0), "certified, but wrong"),
                (classes, "abstains"),
                (frame["most_acceptable"], "not certain"),
            ],
            "not acceptable",
        )


def columns(certified: Certified, description: Description, *, names: bool) -> Iterator[Column]:
    """The columns of all certificates, one row for each image and sigma."""
    frame, task = certified.frame, description.task
    unit = f" in {description.data.unit}" if description.data.unit else ""
    rows = Rows.of(frame)
    yield from image_columns(rows, description, names=names)
    yield Column("sigma", f"Noise (sigma){unit}", frame["sigma"], shown=True, few=True)
    yield Column("verdict", "Verdict", certified.verdict, shown=True, about=_SMOOTHED)
    about = _CLASSES if task.classification else _OTHERS
    yield Column("certified", f"Certified radius (L2){unit}", certified.radius, shown=True, about=about)
    yield Column("falls", f"Attacked: falls at (L2){unit}", certified.falls, shown=True, about=_FALLS)
    if task.classification:
        decided = named(frame["prediction"], task.classes)
        yield Column("prediction", "Decision of the smoothed model", decided, shown=True, order=task.classes)
        yield Column("share", "Probability of it, at least", frame["share"])
    said = "Share of the decisions for the image as stored that the votes do not settle."
    yield Column("unsettled", "Abstains (share)", frame["unsettled"], shown=True, about=said)
    score = Wording(task).score
    yield Column("clean_score", f"{score[0].upper()}{score[1:]} of the model as given", frame["clean_score"])
    if not task.classification:
        for side, word in (("least", "at least"), ("most", "at most")):
            text = f"{score[0].upper()}{score[1:]} without a change, {word}"
            yield Column(f"{side}_score", text, frame[f"{side}_score"])


def by_image(certified: Certified, rows: Rows, description: Description) -> Iterator[Column]:
    """The certified radius as columns of the records of attacks, one column for each sigma."""
    images, unit = rows.each("row"), description.data.unit
    about = _CLASSES if description.task.classification else _OTHERS
    for item in dict.fromkeys(certified.frame["item"]):
        mine = certified.frame["item"] == item
        known = dict(zip(certified.frame["row"][mine].tolist(), certified.radius[mine].tolist(), strict=True))
        values = np.array([known.get(row, np.nan) for row in images.tolist()], dtype=float)
        sigma = in_unit(float(certified.frame["sigma"][mine][0]), unit)
        title = f"Certified radius (L2), sigma {sigma}"
        yield Column(f"certified-{item}", title, values, by_image=True, shown=True, about=about)


def image(certified: Certified, row: int, classes: list[str]) -> list[dict[str, Any]]:
    """All radii of one image, for each sigma.

    Args:
        certified: the certificates.
        row: of the image.
        classes: names of the classes; empty if decisions are not classes.
    """
    frame, every = certified.frame, certified.every
    found, verdicts = [], certified.verdict
    for place in np.flatnonzero(frame["row"] == row).tolist():
        prediction = int(frame["prediction"][place])
        points = {name: [_plain(value) for value in every[name][certified.places[place]]] for name in _POINTS}
        found.append(
            {
                "sigma": float(frame["sigma"][place]),
                "verdict": str(verdicts[place]),
                "radius": _plain(certified.radius[place]),
                "falls": _plain(certified.falls[place]),
                "decision": classes[prediction] if 0 <= prediction < len(classes) else "",
                "points": points,
            }
        )
    return found


def _plain(value: Any) -> float | bool | None:
    if isinstance(value, np.bool_):
        return bool(value)
    return float(f"{value:.6g}") if np.isfinite(value) else None

"""What artefacts do to a model: the mean over random ones, the worst of several, the worst found, the first that fails.

All arrays have one place per image, in the order of the audited table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palpate.errors import StorageError
from palpate.metrics.panel import Bools, Floats, Ints
from palpate.metrics.statistics import Statistic
from palpate.storage.artefacts import CLEAN, FAILING, FOUND, RANDOM, WORST_OF
from palpate.storage.frames import Frame
from palpate.storage.lists import Lists

SEVERITIES = (1.0, 2.0, 3.0, 4.0, 5.0)


@dataclass(frozen=True, eq=False)
class Kind:
    """One decision per image: with the worst of several artefacts, or with the worst found."""

    right: Bools
    score: Floats
    margin: Floats
    missed: Floats
    """1 where disease is decided as healthy, 0 where not, NaN for healthy images and other tasks."""
    invented: Floats
    """1 where a healthy image is decided as diseased, 0 where not, NaN for diseased images and other tasks."""
    measures: Floats
    """[image, measure]"""
    severity: Floats
    l2: Floats
    theta: Sequence[Sequence[float]]
    step: Sequence[str]


@dataclass(frozen=True, eq=False)
class ArtefactOutcome:
    """One artefact on the images that it was tried on."""

    name: str
    item: str
    row: Ints
    label: Ints
    """True class; -1 where the task is not a classification."""
    group: Ints
    """Number of the patient, from 0."""
    eligible: Bools
    clean: Kind
    right: Floats
    """[severity, image] Share of the random artefacts of a severity with an acceptable decision."""
    score: Floats
    """[severity, image] Mean score over them; NaN where it is undefined."""
    missed: Floats
    """[severity, image] Share of them in which disease is missed; NaN where there is none."""
    invented: Floats
    """[severity, image] Share of them in which disease is invented."""
    draws: Ints
    """[severity] Random artefacts of each image."""
    worst_of: Kind
    found: Kind
    failing: Floats
    """Smallest severity found at which the image fails: 0 if it fails without an artefact, infinite if it never did."""
    queries: Ints
    left: Ints
    non_finite: Bools

    @property
    def count(self) -> int:
        """Number of images."""
        return int(self.row.size)


def arrange_artefacts(frame: Frame, disease: Sequence[int]) -> list[ArtefactOutcome]:
    """Rows of `artefacts/*.parquet` as one outcome per artefact, in the plan's order.

    Args:
        frame: the rows.
        disease: classes that count as disease.

    Raises:
        StorageError: an image lacks a row that each image has.
    """
    order = dict.fromkeys(str(item) for item in frame["item"])
    return [
        _outcome({name: values[frame["item"] == item] for name, values in frame.items()}, disease) for item in order
    ]


def broken_outputs(frame: Frame) -> list[Bools]:
    """Of each artefact, whether the model returned NaN or infinity for an image with it."""
    clean = frame["kind"] == CLEAN
    return [frame["non_finite"][clean & (frame["item"] == item)] for item in dict.fromkeys(frame["item"].tolist())]


def _outcome(frame: Frame, disease: Sequence[int]) -> ArtefactOutcome:
    missed, invented = _directions(frame, disease)
    clean_at = np.flatnonzero(frame["kind"] == CLEAN)
    clean_at = clean_at[np.argsort(frame["row"][clean_at], kind="stable")]
    rows = frame["row"][clean_at]
    random = [np.flatnonzero((frame["kind"] == RANDOM) & (frame["severity"] == severity)) for severity in SEVERITIES]

    def means(values: Floats) -> Floats:
        return np.stack([_mean_of(values, places, frame["row"], rows) for places in random])

    def kind(name: str) -> Kind:
        places = clean_at if name == CLEAN else _places(frame, name, rows)
        return Kind(
            right=frame["right"][places],
            score=frame["score"][places],
            margin=frame["margin"][places],
            missed=missed[places],
            invented=invented[places],
            measures=_measures(frame["measures"][places]),
            severity=frame["severity"][places],
            l2=frame["l2"][places],
            theta=[theta.tolist() for theta in frame["theta"][places]],
            step=[str(step) for step in frame["step"][places]],
        )

    failing = np.where(frame["margin"][clean_at] <= 0, 0.0, np.inf)
    smallest = dict(zip(frame["row"][frame["kind"] == FAILING].tolist(),
                        frame["severity"][frame["kind"] == FAILING].tolist(), strict=True))  # fmt: skip
    failing = np.array([smallest.get(row, value) for row, value in zip(rows.tolist(), failing, strict=True)])
    return ArtefactOutcome(
        name=str(frame["artefact"][0]),
        item=str(frame["item"][0]),
        row=rows,
        label=frame["label"][clean_at],
        group=np.unique(frame["group"][clean_at].astype(str), return_inverse=True)[1].astype(np.int64),
        eligible=frame["eligible"][clean_at],
        clean=kind(CLEAN),
        right=means(frame["right"].astype(np.float64)),
        score=means(frame["score"]),
        missed=means(missed),
        invented=means(invented),
        draws=np.array([round(places.size / max(1, rows.size)) for places in random]),
        worst_of=kind(WORST_OF),
        found=kind(FOUND),
        failing=failing,
        queries=frame["queries"][clean_at],
        left=frame["left"][clean_at],
        non_finite=frame["non_finite"][clean_at],
    )


def _measures(lists: Lists) -> Floats:
    """The measures, (images, measures)."""
    if len(lists.widths) > 1:
        raise StorageError("artefacts: rows hold different numbers of measures. Restore the run folder.")
    return lists.table(max(lists.widths, default=0))


def _directions(frame: Frame, disease: Sequence[int]) -> tuple[Floats, Floats]:
    """Per row whether disease is missed, and whether it is invented; NaN where that cannot be."""
    known = np.full(len(frame["row"]), bool(disease)) & (frame["label"] >= 0) & (frame["prediction"] >= 0)
    is_ill, says_ill = np.isin(frame["label"], list(disease)), np.isin(frame["prediction"], list(disease))
    missed = np.where(known & is_ill, (~says_ill).astype(np.float64), np.nan)
    return missed, np.where(known & ~is_ill, says_ill.astype(np.float64), np.nan)


def _places(frame: Frame, kind: str, rows: Ints) -> Ints:
    """The place of the row of a kind for each image; each image has one."""
    places = np.flatnonzero(frame["kind"] == kind)
    known = dict(zip(frame["row"][places].tolist(), places.tolist(), strict=True))
    if missing := set(rows.tolist()) - set(known):
        raise StorageError(
            f"artefacts: image {min(missing)} has no row of kind '{kind}'; it is damaged. Restore the run folder."
        )
    return np.array([known[row] for row in rows.tolist()], dtype=np.int64)


def _mean_of(values: Floats, places: Ints, row: Ints, rows: Ints) -> Floats:
    """The mean of the defined values at some places for each image; NaN where there is none."""
    where = np.searchsorted(rows, row[places])
    defined = np.isfinite(values[places])
    total = np.bincount(where[defined], values[places][defined], rows.size)
    count = np.bincount(where[defined], minlength=rows.size)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def median_severity(failing: Floats, eligible: Bools) -> float:
    """The severity at which at least half of the eligible images fail; infinite if fewer than half ever do."""
    known = np.sort(failing[eligible])
    return float(known[(known.size - 1) // 2]) if known.size else float("nan")


def errors(outcome: ArtefactOutcome, classes: bool) -> Floats:
    """The error of each image over all severities: 1 - share right (classes), or 1 - mean score; NaN if undefined."""
    return 1 - mean_of(outcome.right if classes else outcome.score)


def clean_errors(outcome: ArtefactOutcome, classes: bool) -> Floats:
    """The error of each image as stored; NaN if it is undefined."""
    clean = outcome.clean.right.astype(np.float64) if classes else outcome.clean.score
    return 1 - clean


def mean_of(values: Floats) -> Floats:
    """The mean of the defined values along the first axis; NaN where there is none."""
    defined = np.isfinite(values)
    count = defined.sum(axis=0)
    total = np.where(defined, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def balanced(values: Floats, label: Ints) -> Statistic:
    """The mean of the classes' means of some values, without what is undefined: each class counts the same.

    It makes balanced errors of errors, as MedMNIST-C does (arXiv:2406.17536): a rare class counts as much as a common
    one. Where images have no class, label is -1 for all of them, and it is the plain mean.

    Args:
        values: (N,) one figure per image.
        label: (N,) true classes.
    """
    defined = np.isfinite(values)
    members = np.stack([(label == one) & defined for one in np.unique(label)]).astype(np.float64)
    kept = np.where(defined, values, 0.0)

    def statistic(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            means = (weights @ (members * kept).T) / (weights @ members.T)
        known = np.isfinite(means)
        count = known.sum(axis=1)
        return np.where(count > 0, np.where(known, means, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)

    return statistic

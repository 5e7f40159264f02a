"""Certificates as arrays: bounds of each image at each radius, in the order of the images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from palpate.errors import StorageError
from palpate.metrics.panel import Bools, Floats, Ints
from palpate.storage.frames import Frame


@dataclass(frozen=True, eq=False)
class Side:
    """The lower bounds, or the upper ones."""

    acceptable: Bools
    """[radius, image]"""
    score: Floats
    """[radius, image]; NaN where it is undefined."""
    parts: Floats
    """[radius, image, part]"""


@dataclass(frozen=True, eq=False)
class CertificateOutcome:
    """The certificates with one sigma."""

    item: str
    sigma: float
    """Standard deviation of the noise in stored values."""
    radii: Floats
    group: Ints
    """Number of the patient of each image, from 0."""
    label: Ints
    """True class; -1 where the task is not a classification."""
    least: Side
    most: Side
    abstained: Floats
    """[radius, image] Share of the decisions that are not certified."""
    certified: Floats
    """Largest certified radius of each image; NaN where the task is not a classification."""
    prediction: Ints
    """Class that the smoothed model decides; -1 where it abstains, or for other tasks."""
    unsettled: Floats
    """Share of the decisions of the image as stored that are not settled."""
    clean_right: Bools
    clean_score: Floats
    forwards: Ints
    backwards: Ints

    @property
    def count(self) -> int:
        """Number of images."""
        return int(self.group.size)


def arrange_certificates(frame: Frame) -> list[CertificateOutcome]:
    """The certificates of a run, one outcome for each sigma.

    Raises:
        StorageError: images of one sigma have rows for other radii.
    """
    return [_outcome(frame, item) for item in dict.fromkeys(frame["item"].tolist())]


def _outcome(frame: Frame, item: str) -> CertificateOutcome:
    mine = np.flatnonzero(frame["item"] == item)
    # By image, then by radius.
    mine = mine[np.lexsort((frame["radius"][mine], frame["row"][mine]))]
    radii = np.unique(frame["radius"][mine])
    count = mine.size // max(1, radii.size)
    if mine.size != count * radii.size or (frame["radius"][mine].reshape(count, -1) != radii).any():
        raise StorageError("The rows of certificates do not have the same radii for every image. Restore the run.")
    places = mine.reshape(count, radii.size)
    first = places[:, 0]

    def side(name: str) -> Side:
        parts = frame[f"{name}_parts"][places]
        return Side(
            acceptable=frame[f"{name}_acceptable"][places].T,
            score=frame[f"{name}_score"][places].T,
            parts=parts.table(max(parts.widths, default=0)).transpose(1, 0, 2),
        )

    _, group = np.unique(frame["group"][first].astype(str), return_inverse=True)
    names = ("label", "certified", "prediction", "unsettled", "clean_right", "clean_score", "forwards", "backwards")
    return CertificateOutcome(
        item=item,
        sigma=float(frame["sigma"][mine[0]]),
        radii=radii,
        group=group,
        least=side("least"),
        most=side("most"),
        abstained=frame["abstained"][places].T,
        **{name: frame[name][first] for name in names},
    )

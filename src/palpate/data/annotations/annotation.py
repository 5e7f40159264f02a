"""The annotations of one image, in addition to its class or instead of it: masks, boxes and findings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from palpate.data.cases import Case

IGNORE = 255
"""Label of pixels that do not count: outside the field of view, or left out by the reader."""

UNKNOWN = -1
"""A finding that no one has judged."""

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Annotation:
    """The annotation of one image, as arrays; None for what a table does not have.

    Attributes:
        labels: mask (*spatial) of classes, 0 background and 1 to S structures; or (S, *spatial) of 0 and 1 if
            structures may overlap. `IGNORE` marks pixels that do not count.
            overlapping: whether `labels` have one mask per structure.
        boxes: (M, 4) float32 x1, y1, x2, y2 as fractions of width and height, inside 0 to 1; M is 0 without boxes.
        classes: (M,) class of each box from 0.
        findings: (K,) 1 present, 0 absent, `UNKNOWN` not judged.
        spacing: mm of a pixel along each spatial axis, in the order of the axes; None if it is unknown.
    """

    labels: Labels | None = None
    overlapping: bool = False
    boxes: npt.NDArray[np.float32] | None = None
    classes: Labels | None = None
    findings: Labels | None = None
    spacing: tuple[float, ...] | None = None


class Annotations(Protocol):
    """Where the annotations of a table's cases are; they are read one by one, on demand."""

    def read(self, case: Case) -> Annotation:
        """The annotation of one case, checked against its image."""

    def content(self, case: Case) -> bytes:
        """Bytes that change whenever the annotation does."""

    def files(self, case: Case) -> tuple[Path, ...]:
        """The files from which the annotation of this case is read."""

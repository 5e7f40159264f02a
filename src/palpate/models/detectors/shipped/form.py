"""What a shipped detector returns, once it is recognised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor

from palpate.models.detectors.forms import BoxForm

Layout = Literal["decided boxes", "rows", "numbered rows", "class scores", "raw head", "raw head with objectness"]
"""`decided boxes`: boxes, scores and labels, by image or padded; `rows`: six numbers a box, by image or padded;
`numbered rows`: seven numbers a box, the first is the image; `class scores`: boxes, and a score per class for each; the
raw heads are YOLO's: four numbers, perhaps an objectness, and a score per class for each place."""
ScoreKind = Literal["probabilities", "logits"]
Columns = Literal["score, class", "class, score"]

DECIDED: tuple[Layout, ...] = ("decided boxes", "rows", "numbered rows")
"""Layouts that a threshold and suppression inside the model have made."""

_WORDS: dict[BoxForm, str] = {
    "fractions": "corners x1, y1, x2, y2 in fractions",
    "pixels": "corners x1, y1, x2, y2 in pixels",
    "centres": "centre x, centre y, width, height in fractions",
    "pixel centres": "centre x, centre y, width, height in pixels",
    "sizes": "x1, y1, width, height in fractions",
    "pixel sizes": "x1, y1, width, height in pixels",
    "yx fractions": "corners y1, x1, y2, x2 in fractions",
    "yx pixels": "corners y1, x1, y2, x2 in pixels",
}
_LAYOUTS: dict[Layout, str] = {
    "decided boxes": "boxes, scores and labels",
    "rows": "rows of six numbers: a box, and {columns}",
    "numbered rows": "rows of seven numbers: the image, a box, and {columns}",
    "class scores": "boxes, and a score per class for each",
    "raw head": "a raw YOLO head without objectness",
    "raw head with objectness": "a raw YOLO head with objectness",
}


@dataclass(frozen=True)
class Form:
    """The form of what a detector returns.

    Attributes:
        layout: how boxes, scores and labels are arranged.
        boxes: what the numbers of a box are.
        scores: whether scores are probabilities or logits.
        first_class: the number of the first class among the labels.
        columns: order of the last two numbers of a row.
    """

    layout: Layout
    boxes: BoxForm
    scores: ScoreKind = "probabilities"
    first_class: int = 0
    columns: Columns = "score, class"

    @property
    def decided(self) -> bool:
        """Whether the model applies its own threshold and suppression."""
        return self.layout in DECIDED

    def describe(self) -> str:
        """The form in a phrase."""
        layout = _LAYOUTS[self.layout].format(columns=self.columns.replace(", ", " and "))
        numbered = f"; its classes are numbered from {self.first_class}" if self.decided else ""
        return f"{layout}; {_WORDS[self.boxes]}; scores are {self.scores}{numbered}"


@dataclass(frozen=True)
class Said:
    """What the user says about the form; None is recognised."""

    boxes: BoxForm | None = None
    scores: ScoreKind | None = None
    first_class: int | None = None
    objectness: bool | None = None


class Found(NamedTuple):
    """The decided boxes of one image.

    Attributes:
        boxes: (N, 4) as returned.
        scores: (N,) as returned.
        labels: (N,) int64 as numbered by the model.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class Raw(NamedTuple):
    """What a head gives at each of Q places, before any threshold.

    Attributes:
        boxes: (B, Q, 4) as returned.
        scores: (B, Q, C) as returned, C the task's classes, or one more.
        objectness: (B, Q) as returned; None if the head has none.
    """

    boxes: Tensor
    scores: Tensor
    objectness: Tensor | None = None

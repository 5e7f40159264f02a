"""The pictures of `run.json`: images before and after an attack, slices of volumes, and what is drawn over them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from palpate.report.model.typed import JsonObject, Number, Text


class MarkDescription(JsonObject):
    """A shape drawn over a picture: the outline of a structure, or a box."""

    part: int
    """Index of the structure or class of boxes."""
    kind: Literal["contour", "box"]
    """A closed outline, or two opposite corners."""
    points: list[tuple[float, float]]
    """x and y as fractions of the picture's width and height, from its upper left corner."""
    score: Number = None
    """Confidence of a box."""


class MarksDescription(JsonObject):
    """All shapes drawn over the pictures of one slice."""

    truth: list[MarkDescription] = Field(default_factory=list)
    """As annotated."""
    clean: list[MarkDescription] = Field(default_factory=list)
    """As the model found it in the image as stored."""
    adversarial: list[MarkDescription] = Field(default_factory=list)
    """As the model found it in the adversarial image."""


class SliceDescription(JsonObject):
    """One plane of an image: the whole image in 2D, one slice of a volume."""

    axis: int | None = None
    """Axis of the volume along which slices are counted; null in 2D."""
    index: int = 0
    """Which slice, from 0."""
    count: int = 1
    """How many slices the volume has."""
    changed: int = 0
    """Pixels of this slice whose prediction changed."""
    aspect: float = 1.0
    """Width over height of the picture, with the size of its pixels."""
    clean: str
    """The image as stored."""
    adversarial: str
    """The adversarial image."""
    perturbation: str
    """The change, amplified."""
    marks: MarksDescription = MarksDescription()
    """The shapes drawn over them."""


class PictureDescription(JsonObject):
    """One adversarial image of the gallery. Paths are relative to the run folder."""

    attack: Text
    """Name of the attack."""
    eps: float
    """Its budget in stored values."""
    row: int
    """Position of the image in the audited table."""
    image: Text
    """Name of the image. It may identify a patient, so reports show it only when asked."""
    label: int
    """True class; -1 where the task is not a classification."""
    clean_prediction: int
    """Class decided before the attack; -1 where the task is not a classification."""
    prediction: int
    """Class decided after it; -1 where the task is not a classification."""
    clean: str
    """The image as stored; for a volume the slice that changed most."""
    adversarial: str
    """The adversarial image."""
    perturbation: str
    """The change, amplified."""
    amplification: float
    """How many times the change was amplified."""
    success: bool | None = None
    """Whether the attack beat the image."""
    clean_score: Number = None
    """Score before the attack."""
    score: Number = None
    """Score after it."""
    clean_measures: list[Number] = Field(default_factory=list)
    """Measures before the attack, in the order of `task.measures`."""
    measures: list[Number] = Field(default_factory=list)
    """Measures after it."""
    truth: list[float] = Field(default_factory=list)
    """The annotation, flat, as in the records."""
    clean_found: list[Number] = Field(default_factory=list)
    """The model's findings before the attack, flat."""
    found: list[Number] = Field(default_factory=list)
    """Its findings after the attack, flat."""
    window: tuple[float, float] | None = None
    """Stored values shown as black and as white, if they are not the bounds."""
    slices: list[SliceDescription] = Field(default_factory=list)
    """The picture itself in 2D, or the slices of a volume that changed most, in their order."""

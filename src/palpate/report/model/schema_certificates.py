"""The part of `results.json` about certificates."""

from __future__ import annotations

from pydantic import Field

from palpate.report.model.typed import Figure, JsonObject, Number, Text


class BoundFigures(JsonObject):
    """The lower bounds of the images at one radius, or the upper ones, as means over the images."""

    acceptable: Figure
    """Share of the images with an acceptable result."""
    score: Figure
    """Mean score."""


class CertifiedPart(JsonObject):
    """A measure of a structure, of a finding or of all pixels at one radius."""

    name: Text
    """`pixel accuracy`, `dice`, `iou`, or `right` for a finding."""
    part: Text
    """The structure or finding; empty for all pixels."""
    least: Figure
    """Mean of the lower bounds, over the images where the part is annotated."""
    most: Figure
    """Mean of the upper bounds."""


class CertifiedPoint(JsonObject):
    """One L2 radius."""

    radius: float
    """Length of the change in stored values; 0 is the images as stored."""
    certified: BoundFigures
    """What holds for every change of at most this length."""
    attacked: BoundFigures | None
    """What an attack within this length leaves at most; null if the smoothed model was not attacked. At radius 0 the
    smoothed model without an attack."""
    abstained: Figure
    """Mean share of the decisions (class, findings, pixels) that are not certified."""
    parts: list[CertifiedPart]


class CertificateResults(JsonObject):
    """The smoothed model with one sigma: certified at least, attacked at most."""

    sigma: float
    """Standard deviation of the noise in stored values."""
    samples: int
    select: int
    confidence: float
    """Of each certificate. Intervals of the means are at 95%, as elsewhere."""
    tau: Number
    """For masks the probability that a certified pixel's class exceeds; null for other tasks."""
    tau_radius: Number
    largest: float
    """No radius beyond this one can be certified with so many samples."""
    attack: bool
    """Whether the smoothed model was attacked."""
    steps: int
    draws: int
    images: int
    """Images that are finished."""
    clean: BoundFigures
    """The model as given, without noise, on the same images."""
    smoothed: Figure | None
    """The smoothed model on the same images: share decided right for classes, where abstaining is wrong; else the mean
    score, where what the votes do not settle is wrong. Null if nothing has finished."""
    unsettled: Figure
    """Mean share of its decisions that the votes do not settle; for classes the share of images where it abstains."""
    median_radius: Number
    """For classes: at least half of the images are certified with the right class for any smaller change; null if fewer
    are."""
    points: list[CertifiedPoint]
    """One entry per radius, rising; empty if nothing has finished."""
    forwards: int
    """Forward passes of the model, all images together."""
    backwards: int
    seconds: Number


class CertificateSummary(JsonObject):
    """All certificates of a run. They speak of the smoothed model, not of the model as given."""

    sentence: Text
    """What is certified and what attacks leave, at one radius."""
    details: list[Text]
    """Further sentences: what it is about, what it costs, what is not finished."""
    images: int
    """Images that the plan certifies."""
    items: list[CertificateResults] = Field(default_factory=list)

"""The part of `run.json` about certificates, with types."""

from __future__ import annotations

from pydantic import Field

from palpate.report.model.typed import JsonObject, Number, Text


class CertificateDescription(JsonObject):
    """The certificates with one sigma."""

    item: Text
    """Identity of everything that decides them."""
    sigma: float = Field(gt=0)
    """Standard deviation of the noise in stored values."""
    samples: int
    """Noisy copies of an image that say how probable a decision is."""
    select: int
    """Other noisy copies, which choose the decision."""
    confidence: float
    """Of each certificate."""
    radii: list[float]
    """L2 lengths of the change in stored values, rising from 0."""
    tau: Number = None
    """For masks the probability that a certified pixel's class exceeds; null for other tasks."""
    tau_radius: Number = None
    """The radius that goes with it."""
    largest: float
    """With so many samples no radius beyond this one can be certified."""
    attack: bool
    """Whether the smoothed model was attacked."""
    steps: int
    """Gradient steps of the attack at each radius."""
    draws: int
    """Noisy copies of each of its steps."""
    seconds: Number


class Certificates(JsonObject):
    """All certificates of the plan."""

    images: int
    """Images that are certified."""
    parts: list[tuple[Text, Text]] = Field(default_factory=list)
    """What the parts of a bound are: a measure, and the structure or finding that it is about."""
    unattacked: Text = ""
    """Why the smoothed model was not attacked; empty if it was, or if the plan says so."""
    items: list[CertificateDescription]

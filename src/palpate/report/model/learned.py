"""What an attack learned before it attacked: as `run.json` says it, and as `results.json` measures it."""

from __future__ import annotations

from pydantic import Field

from palpate.report.model.typed import Figure, JsonObject, Text


class LearnedGroup(JsonObject):
    """Images that share a change. Lists of figures have one per budget, smallest first; empty if it is not learned."""

    name: Text
    """Its class, site or scanner; `all`."""
    learned: list[int]
    """Rows on which the change was learned."""
    unseen: list[int]
    """Rows of the other patients."""
    beaten: list[int] = Field(default_factory=list)
    """Learning images that the change beat while it was learned."""
    eligible: list[int] = Field(default_factory=list)
    """Learning images that could be beaten."""
    forwards: list[int] = Field(default_factory=list)
    """Images passed forward to learn it."""
    backwards: list[int] = Field(default_factory=list)
    """Images passed backward to learn it."""
    picture: Text = ""
    """Picture of the change at the largest budget, in the run folder."""
    amplification: float = 1.0
    """Factor by which that picture shows it."""


class LearnedDescription(JsonObject):
    """What an attack learned before it attacked."""

    by: Text
    """What its groups share: `all`, `class`, `site` or `scanner`."""
    share: float
    """Share of the patients to learn on."""
    groups: list[LearnedGroup]


class LearnedPoint(JsonObject):
    """The success of a learned change at one budget."""

    eps: float
    """Budget in stored values."""
    learned: Figure
    """On the images that it was learned on."""
    unseen: Figure
    """On images of other patients."""


class LearnedChange(JsonObject):
    """One change for all images of a group."""

    group: Text
    """A class, site or scanner; `all`."""
    learned: int
    """Images that it was learned on."""
    unseen: int
    """Images of other patients."""
    points: list[LearnedPoint]
    """One entry per budget, smallest first."""
    forwards: int
    """Images passed forward to learn it, at all budgets."""
    backwards: int
    """Images passed backward to learn it."""
    picture: Text
    """Picture of the change at the largest budget, in the run folder; may be empty."""
    amplification: float
    """Factor by which that picture shows it."""

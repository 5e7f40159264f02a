"""The part of `results.json` about stability: how attacks run, step by step, on a few images."""

from __future__ import annotations

from typing import Literal

from palpate.report.model.typed import Figure, JsonObject, Number, Text


class Curve(JsonObject):
    """One quantity along the run, over the images; the starts of an image are averaged first."""

    name: Literal["kl_smoothed", "kl_final", "kl_clean", "loss", "penalty", "value"]
    """As in the traces: disagreement with the smoothed image, with the last and with the clean image; the terms of
    the objective."""
    median: list[Number]
    """After 0, 1, ... T steps; null where it is undefined or was not measured."""
    low: list[Number]
    """First quartile; null with a single image."""
    high: list[Number]
    """Third quartile; null with a single image."""


class Course(JsonObject):
    """One start of an attack on one image."""

    row: int
    """Position of the image in the audited table."""
    start: int
    """Which of the independent starts, from 0."""
    share: Number
    """Share of the squared length of the final change that is in the plane of its first and last steps."""


class Summary(JsonObject):
    """One figure of a kind of stability."""

    name: Text
    """What is measured; the report explains it."""
    figure: Figure


class PlainComparison(JsonObject):
    """A stabilised attack compared with one without its term, on the images where both were traced."""

    attack: Text
    """The attack without the term."""
    images: int
    same_path: int
    """Images on which both take the same path: after each step the same margin, loss and size of the change."""
    comparable: bool
    """Whether the traces of both smooth the same: the last step, by a 3x3 Gaussian of sigma 1."""
    nearer: int | None
    """Images on which the stabilised attack's mean disagreement with the smoothed image is lower; null if it was
    not measured or is not comparable."""


class AttackStability(JsonObject):
    """One attack: how it ran."""

    attack: Text
    goal: Text
    state: Literal["traced", "no gradient", "no image", "unfinished", "damaged"]
    """`no gradient`: it follows none, so there are no steps to trace; `no image`: no image was eligible for it;
    `damaged`: its trace cannot be read."""
    stage: Text = ""
    """Of an attack of several stages, the one that was traced; empty for others."""
    draws: bool | None
    """Whether it draws random numbers; null where it was not traced."""
    weight: Number
    """Weight of its stabilisation term; null where it has none."""
    steps: int | None
    images: int
    """Images that were traced and that it could win."""
    starts: int
    """Independent starts on each."""
    sentence: Text
    """What the figures show."""
    beside: PlainComparison | None
    """Null for attacks without a stabilisation term, and without another attack to compare with."""
    curves: list[Curve]
    courses: list[Course]
    along_run: list[Summary]
    """Over the traced images; the starts of an image are averaged first."""
    across_restarts: list[Summary]
    """Over the traced images, from one start to the next."""
    across_images: list[Summary]
    """Over all audited images, at the traced budget."""

    def along(self, name: str) -> Figure | None:
        """A figure along the run; None if it does not exist."""
        return _named(self.along_run, name)

    def restarts(self, name: str) -> Figure | None:
        """A figure from start to start; None if it does not exist."""
        return _named(self.across_restarts, name)

    def over_images(self, name: str) -> Figure | None:
        """A figure over the audited images; None if it does not exist."""
        return _named(self.across_images, name)


def _named(summaries: list[Summary], name: str) -> Figure | None:
    return next((one.figure for one in summaries if one.name == name), None)


class Stability(JsonObject):
    """How attacks run. The definitions are palpate's own: `docs/explanation/stability.md`."""

    state: Literal["traced", "switched off", "not known"]
    """`not known`: an older palpate made the run and did not trace attacks."""
    eps: Number
    """The budget that was traced, in values."""
    images: int
    """Images that were traced."""
    starts: int
    """Independent starts of attacks that draw random numbers."""
    smoothed: bool
    """Whether the smoothed images were shown to the model too, at one forward pass a step."""
    sentences: list[Text]
    """What the figures of all attacks show."""
    attacks: list[AttackStability]
    """Every attack of the plan, in its order."""

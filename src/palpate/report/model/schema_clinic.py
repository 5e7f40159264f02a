"""The parts of `results.json` about budgets, survival in files, and sites and scanners."""

from __future__ import annotations

from typing import Literal

from palpate.report.model.description import PostProcessingDescription
from palpate.report.model.typed import Figure, JsonObject, Number, Text


class ClosenessResults(JsonObject):
    """How close adversarial images are to the clean ones, over those that differ from them."""

    images: int
    """Adversarial images that count; an image counts once per attack."""
    psnr: Number
    """Median peak signal-to-noise ratio in dB, the range of values as peak."""
    lowest_psnr: Number
    """The lowest PSNR of one image."""
    ssim: Number
    """Median structural similarity; null where images are too small for it."""
    linf: Number
    """Largest change of one value."""


class BudgetResults(JsonObject):
    """One budget in every unit, and how visible its changes are."""

    eps: float
    """In values."""
    amounts: list[Text]
    """In every unit of the images, the plainest first."""
    words: Text
    """The largest change in words."""
    all: ClosenessResults
    """Over all attacks that kept to their budget."""
    attacks: dict[Text, ClosenessResults]
    """Over each attack."""


class SurvivalCell(JsonObject):
    """What is left after one post-processing step, over the images on which it was measured."""

    handling: Text
    before: Figure
    """Success rate before the step."""
    after: Figure
    """Success rate after it."""
    survived: Figure
    """Of the images that were beaten before, those that are still beaten."""
    alone: Figure
    """Of the images that were beaten before, those on which the step alone reaches the goal, without an attack."""


class SurvivalPoint(JsonObject):
    """What is left at one budget."""

    eps: float
    """Budget in values."""
    before: Figure
    """Success rate before any post-processing, over all eligible images."""
    saved_linf: Number
    """Largest difference between an adversarial image and the image that was read back; null if none was saved."""
    cells: list[SurvivalCell]
    """One entry per post-processing step, in the order of `handlings`."""


class AttackSurvival(JsonObject):
    """What is left of one attack, or of all attacks of a goal together."""

    attack: Text | None
    """Null for all attacks of the goal together."""
    goal: Text
    robust_to: list[Text]
    """Post-processing steps over which the attack maximised the expectation."""
    points: list[SurvivalPoint]
    """One entry per budget, smallest first."""


class RobustToGain(JsonObject):
    """An attack with `robust_to` compared with the same attack without it, at one budget."""

    attack: Text
    """With `robust_to`."""
    plain: Text
    """Without."""
    eps: float
    """Budget in values."""
    rows: list[RobustToGainRow]
    """Before any post-processing, then after each step."""
    passes: Number
    """Backward passes per eligible image, over all budgets."""
    plain_passes: Number
    """Those of the attack without `robust_to`."""


class RobustToGainRow(JsonObject):
    """Success of both attacks on the same images."""

    handling: Text
    """Empty before any post-processing."""
    climbed: bool
    """Whether the step is in the attack's `robust_to`."""
    success: Figure
    plain_success: Figure
    only_attack: int
    """Images that only the attack with `robust_to` beat."""
    only_plain: int
    """Images that only the other one beat."""
    p: float
    """Two-sided p of sign flips by group; McNemar's exact test if every image is a separate group."""
    p_holm: float
    """The same after Holm's adjustment over the rows."""


class SurvivalResults(JsonObject):
    """Success before and after post-processing."""

    handlings: list[PostProcessingDescription]
    """The post-processing steps, in the order of the cells; empty if nothing was measured."""
    eps: float | None
    """The budget of the sentences."""
    sentences: list[Text]
    """What the figures show."""
    attacks: list[AttackSurvival]
    """All attacks of each goal together, then each attack."""
    bought: list[RobustToGain]
    """What `robust_to` gained and what it cost."""
    unpaired: list[Text]
    """Attacks with `robust_to` that have no partner without it."""


class SubgroupRow(JsonObject):
    """The images of one site or scanner."""

    name: Text
    """Empty for images whose site or scanner is not known."""
    images: int
    groups: int
    """Units of resampling (patients)."""
    small: bool
    """Whether there are too few images for a rate."""
    clean: Figure
    """Images with an acceptable result without an attack, over the images with something to lose."""
    robust: Figure
    """The same in the worst case over all untargeted attacks."""
    difference: Figure
    """`robust` minus that of all other images together."""


class Subgroups(JsonObject):
    """The images by site or by scanner."""

    by: Literal["site", "scanner"]
    eps: float | None
    """The budget of the worst case."""
    rows: list[SubgroupRow]

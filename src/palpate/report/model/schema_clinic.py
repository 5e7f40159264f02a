"""The shape of what `results.json` says of budgets, of survival in files, and of sites and scanners."""

from __future__ import annotations

from typing import Literal

from palpate.report.model.description import PostProcessingDescription
from palpate.report.model.typed import Figure, Model, Number, Text


class Closeness(Model):
    """How close adversarial images are to the clean ones; over those that differ from them."""

    images: int
    """Adversarial images that count; an image counts once per attack."""
    psnr: Number
    """Median peak signal-to-noise ratio in dB, the range of values as peak."""
    lowest_psnr: Number
    """The worst of them."""
    ssim: Number
    """Median structural similarity; null where images are too small for it."""
    linf: Number
    """Largest change of one value."""


class Budget(Model):
    """One budget in every unit, and what it looks like."""

    eps: float
    """In values."""
    amounts: list[Text]
    """In every unit that the images know, the plainest first."""
    words: Text
    """The largest change in words."""
    all: Closeness
    """Over all attacks that kept to their budget."""
    attacks: dict[Text, Closeness]
    """Over each attack."""


class SurvivalCell(Model):
    """What is left after one handling; over the images on which it was measured."""

    handling: Text
    before: Figure
    """Success rate before the handling."""
    after: Figure
    """Success rate after it."""
    survived: Figure
    """Of the images that were beaten before, those that are beaten still."""
    alone: Figure
    """Images whose goal the handling reaches by itself, without an attack."""


class SurvivalPoint(Model):
    """What is left at one budget."""

    eps: float
    """Budget in values."""
    before: Figure
    """Success rate before any handling, over all eligible images."""
    saved_linf: Number
    """Largest difference between an adversarial image and what was read back; null where none was saved."""
    cells: list[SurvivalCell]
    """One entry per handling, in the order of `handlings`."""


class AttackSurvival(Model):
    """What is left of one attack, or of all attacks of a goal together."""

    attack: Text | None
    """Null for all attacks of the goal together."""
    goal: Text
    robust_to: list[Text]
    """Handlings over which it climbed the expectation."""
    points: list[SurvivalPoint]
    """One entry per budget, smallest first."""


class Bought(Model):
    """An attack that climbed the expectation over handlings beside the same attack that did not, at one budget."""

    attack: Text
    """With `robust_to`."""
    plain: Text
    """Without."""
    eps: float
    """Budget in values."""
    rows: list[BoughtRow]
    """Before any handling, then after each."""
    passes: Number
    """Backward passes per eligible image, over all budgets."""
    plain_passes: Number
    """Those of the attack without `robust_to`."""


class BoughtRow(Model):
    """Success of both attacks on the same images."""

    handling: Text
    """Empty before any handling."""
    climbed: bool
    """Whether the attack climbed the expectation over it."""
    success: Figure
    plain_success: Figure
    only_attack: int
    """Images that only the attack with `robust_to` beat."""
    only_plain: int
    """Images that only the other one beat."""
    p: float
    """McNemar's exact two-sided p."""
    p_holm: float
    """The same after Holm's adjustment over the rows."""


class Survival(Model):
    """Success before and after what happens to files."""

    handlings: list[PostProcessingDescription]
    """What was done to the images, in the order of the cells; empty where nothing was measured."""
    eps: float | None
    """The budget of the sentences."""
    sentences: list[Text]
    """What the figures show."""
    attacks: list[AttackSurvival]
    """All attacks of each goal together, then each attack."""
    bought: list[Bought]
    """What `robust_to` bought and what it cost."""
    unpaired: list[Text]
    """Attacks with `robust_to` that have no partner without it."""


class SubgroupRow(Model):
    """The images of one site or scanner."""

    name: Text
    """Empty for the images of which it is not known."""
    images: int
    groups: int
    """Units of resampling (patients)."""
    small: bool
    """Whether it holds too few images for a rate."""
    clean: Figure
    """Images with an acceptable result without an attack."""
    robust: Figure
    """The same in the worst case over all untargeted attacks."""
    difference: Figure
    """`robust` minus that of all other images together."""


class Subgroups(Model):
    """The images by site or by scanner."""

    by: Literal["site", "scanner"]
    eps: float | None
    """The budget of the worst case."""
    rows: list[SubgroupRow]

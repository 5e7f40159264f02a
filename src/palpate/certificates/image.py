"""One image: what its votes certify at each radius, and what an attack on the smoothed model reaches there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from palpate.certificates.bounds import (
    Bools,
    Ints,
    above,
    certified_radius,
    leads,
    lower_bound,
    rejected,
    share_at,
)
from palpate.certificates.decisions import NAN, Bounds, Decisions
from palpate.certificates.settings import Settings
from palpate.certificates.votes import Chunks, Noise, count, together
from palpate.tasks.classification import Classification
from palpate.tensors import Tree

SURE = 0.7
"""With more than this share of a few votes for the truth, an image is taken as not beaten."""

Opponent = Callable[[Tensor, float, Tensor | None], Tensor]
"""Attacks the smoothed model: an image (1, C, *spatial), a radius, and an image to try first -> an image inside the
radius, which is then judged."""


@dataclass(frozen=True)
class Level:
    """One L2 radius.

    Attributes:
        radius: in stored values; 0 is the image as stored.
        least: what holds for every change of at most this length, with the stated confidence.
        abstained: share of the counted decisions that are not certified at this radius.
        most: what the smoothed model reaches at most, because an attack has shown it; that of the smaller radii too.
        attacked: whether the smoothed model was attacked at this radius, or beaten at a smaller one.
    """

    radius: float
    least: Bounds
    abstained: float
    most: Bounds
    attacked: bool = False


@dataclass(frozen=True)
class Certified:
    """What is known of the smoothed model on one image.

    Attributes:
        levels: one per radius, rising from 0.
        radius: of a classification, the largest radius (not included) in which its decision cannot change; 0 if it
            abstains. NaN for other tasks, whose decisions have one each.
        share: of a classification, the lower bound of the probability of its decision; NaN for other tasks.
        prediction: class that the smoothed model decides for the image; -1 if it abstains, or for other tasks.
        abstained: share of the counted decisions for the image itself that its votes do not settle.
    """

    levels: tuple[Level, ...]
    radius: float
    share: float
    prediction: int
    abstained: float


def certify_image(
    answer: Callable[[Tensor], Tree],
    decisions: Decisions,
    image: Tensor,
    settings: Settings,
    *,
    seed: int,
    chunks: Chunks | None = None,
    opponent: Opponent | None = None,
) -> Certified:
    """Certify one image, and attack it.

    `select` draws choose each decision; `samples` other draws say how probable it is. A class is certified within
    sigma * Phi^-1(p), p the Clopper-Pearson lower bound (CERTIFY of Cohen et al. 2019). Of several findings or
    pixels, those are certified at a radius whose probability is above Phi(radius / sigma) by binomial tests with
    Holm's correction over all of them (SegCertify, Fischer et al. 2021); the others abstain. What an attack found
    counts only if new draws show it: by a two-sided test between the two most frequent decisions (PREDICT), with Holm's
    correction and an equal part of alpha for each radius.

    Args:
        answer: raw outputs of the model that is smoothed, for stored values (B, C, *spatial).
        decisions: of this image.
        image: (1, C, *spatial) in stored values.
        settings: sigma, samples, confidence, radii.
        seed: of this image's noise.
        chunks: how many noisy copies are evaluated at once; 32 by default.
        opponent: attacks the smoothed model; without it the upper bound is that of the image itself.

    Raises:
        InputError: so few samples prove nothing for so many decisions.
    """
    settings.require_possible(max(1, int(decisions.counted.sum())))
    one = _Image(answer, decisions, settings, seed, chunks or together(32))
    return one.certified(image, opponent)


class _Image:
    def __init__(
        self, answer: Callable[[Tensor], Tree], decisions: Decisions, settings: Settings, seed: int, chunks: Chunks
    ):
        self.answer, self.decisions, self.settings = answer, decisions, settings
        self.seed, self.chunks = seed, chunks
        self.radii = settings.levels(masks=decisions.pixels)
        self.alpha_each = settings.alpha / len(self.radii)

    def certified(self, image: Tensor, opponent: Opponent | None) -> Certified:
        settings, decisions = self.settings, self.decisions
        selected = self.count(image, "select", settings.select).argmax(0)
        votes = self.count(image, "estimate", settings.samples)
        hits = np.take_along_axis(votes, selected[None], 0)[0]
        share = radius = NAN
        if isinstance(decisions.task, Classification):
            share = lower_bound(int(hits[0]), settings.samples, settings.alpha)
            radius = certified_radius(share, settings.sigma)
        decided, settled = self.decide(votes)
        uppers = self.uppers(image, decisions.most(decided, settled), opponent)
        levels = []
        for level, most in zip(self.radii, uppers, strict=True):
            known = self.known(hits, level, radius)
            least = decisions.least(selected, known)
            levels.append(Level(level, least, self.missing(known), most, opponent is not None and level > 0))
        prediction = int(decided[0]) if isinstance(decisions.task, Classification) and settled[0] else -1
        return Certified(tuple(levels), radius, share, prediction, self.missing(settled))

    def count(self, image: Tensor, purpose: str, draws: int) -> Ints:
        noise = Noise(self.settings.sigma, self.seed, purpose)
        return count(self.answer, image, noise, draws, self.decisions, self.chunks)

    def known(self, hits: Ints, level: float, radius: float) -> Bools:
        """Which decisions are certified for all changes of at most this length."""
        if isinstance(self.decisions.task, Classification):
            return np.array([radius > level])
        counted, settings = self.decisions.counted, self.settings
        known = np.zeros(counted.shape, dtype=np.bool_)
        tests = above(hits[counted], settings.samples, share_at(level, settings.sigma))
        known[counted] = rejected(tests, settings.alpha)
        return known

    def decide(self, votes: Ints) -> tuple[Ints, Bools]:
        """The decisions of the smoothed model, and which of them its votes settle."""
        # The first of equally frequent decisions, as argmax does.
        order = np.argsort(-votes, axis=0, kind="stable")[:2]
        first, second = np.take_along_axis(votes, order, 0)
        counted = self.decisions.counted
        settled = np.zeros(counted.shape, dtype=np.bool_)
        settled[counted] = rejected(leads(first[counted], second[counted]), self.alpha_each)
        return order[0], settled

    def uppers(self, image: Tensor, most: Bounds, opponent: Opponent | None) -> list[Bounds]:
        """The upper bound at each radius: what was shown at this one or a smaller one, at first without a change."""
        found, last = [most], None
        for place, radius in enumerate(self.radii[1:], start=1):
            # Once beaten, an image is beaten at every larger radius; the score of a mask can still fall.
            if opponent is not None and (most.acceptable or self.decisions.pixels):
                start = None if last is None else image + (last[0] - image) * (radius / last[1])
                adversarial = opponent(image, radius, start)
                last = (adversarial, radius)
                if self.shaken(adversarial, place):
                    judged = self.decide(self.count(adversarial, f"judge {place}", self.settings.samples))
                    most = _lower(most, self.decisions.most(*judged))
            found.append(most)
        return found

    def shaken(self, adversarial: Tensor, place: int) -> bool:
        """Whether a few votes leave it open that the image is beaten, so that many should decide."""
        if self.decisions.pixels:
            return True
        votes, truth = self.count(adversarial, f"look {place}", self.settings.select), self.decisions.truth
        counted = self.decisions.counted
        right = np.take_along_axis(votes[:, counted], truth[counted][None], 0)[0]
        return bool((right <= SURE * votes[:, counted].sum(0)).any())

    def missing(self, known: Bools) -> float:
        """Share of the counted decisions that are not known."""
        counted = self.decisions.counted
        return float((~known[counted]).mean()) if counted.any() else NAN


def _lower(one: Bounds, other: Bounds) -> Bounds:
    """The lower of two upper bounds, part by part."""
    parts = np.fmin(one.parts, other.parts).tolist() if one.parts else []
    return Bounds(float(np.fmin(one.score, other.score)), one.acceptable and other.acceptable, tuple(parts))

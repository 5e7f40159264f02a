"""What an attack on a detector wants; each goal is a value.

An annotated box is covered by a detection if their IoU reaches the task's overlap; it is detected if a detection
of its class covers it. The margins of images for which a goal is not eligible have no meaning; they never count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from palpate.annotations import Boxes
from palpate.contracts import Pieces
from palpate.errors import InputError
from palpate.tasks.candidates import FAR, MOST, CandidateReading, Survivors, presence


class DetectionGoal(Protocol):
    """What one goal computes from a reading; all per sample. `Detection` adds the rest of a task."""

    @property
    def targeted(self) -> bool:
        """Whether the attack moves towards something, and not away from the truth."""

    def eligible(self, targets: Boxes) -> Tensor:
        """Whether the goal makes sense for these boxes (B,) bool."""

    def margin(self, reading: CandidateReading) -> Tensor:
        """0 or less if the detections reach the goal (B,); in log-odds above the threshold, without gradient."""

    def soft(self, reading: CandidateReading) -> Tensor:
        """A smooth score that an attack lowers (B,), 0 to 1."""

    def pieces(self, reading: CandidateReading) -> Pieces:
        """What the attack must break, one by one (B, P)."""

    def loss(self, reading: CandidateReading) -> Tensor:
        """What an attack increases (B,)."""

    def check(self, classes: int) -> None:
        """Raise InputError if the goal is impossible with so many classes."""

    def describe(self) -> str:
        """The goal in a phrase."""


@dataclass(frozen=True)
class Degrade:
    """Detections that are worse than a floor: an F1 score of at most `floor`, for any reason."""

    @property
    def targeted(self) -> bool:
        """False."""
        return False

    def eligible(self, targets: Boxes) -> Tensor:
        """Where something is annotated."""
        return (targets.labels >= 0).any(1)

    def margin(self, reading: CandidateReading) -> Tensor:
        """F1 above its floor."""
        return reading.f1 - reading.floor

    def soft(self, reading: CandidateReading) -> Tensor:
        """F1 with smooth counts of hits h and detections d: 2 h / (boxes + max(d, h))."""
        hits = (presence(reading.soft_own) * reading.real).sum(1)
        found = reading.at_survivors(reading.excess).sigmoid()
        found = (found * (reading.survivors.label >= 0)).sum(1)
        return 2 * hits / (reading.real.sum(1) + torch.maximum(found, hits)).clamp(min=1)

    def pieces(self, reading: CandidateReading) -> Pieces:
        """One per annotated box: its classification and box loss; it is unbroken while it is detected."""
        return Pieces(
            _missing(reading), _straight(reading.own, reading.soft_own), _detected(reading), _weights(reading)
        )

    def loss(self, reading: CandidateReading) -> Tensor:
        """Mean loss of the boxes, and the log-probability of the background that there is nothing, per box."""
        return missed_and_invented(reading)

    def check(self, classes: int) -> None:
        """Always possible."""

    def describe(self) -> str:
        """`untargeted`."""
        return "untargeted"


@dataclass(frozen=True)
class Vanish:
    """No annotated box is detected any more.

    Attributes:
        classes: boxes of these classes; empty: of all. Images without such boxes are not eligible.
    """

    classes: tuple[int, ...] = ()

    @property
    def targeted(self) -> bool:
        """True."""
        return True

    def eligible(self, targets: Boxes) -> Tensor:
        """Where such a box is annotated."""
        return self._asked(targets.labels).any(1)

    def margin(self, reading: CandidateReading) -> Tensor:
        """Excess of the detection of such a box that has the highest score."""
        asked = self._asked(reading.targets.labels)
        most = reading.own.masked_fill(~asked, -FAR).amax(1)
        return torch.where(asked.any(1), most, FAR)

    def soft(self, reading: CandidateReading) -> Tensor:
        """Presence of the most confident such box, smooth over the boxes; 0 without such a box."""
        asked = self._asked(reading.targets.labels)
        most = reading.soft_own.masked_fill(~asked, -1e4).logsumexp(1)
        return presence(most) * asked.any(1)

    def pieces(self, reading: CandidateReading) -> Pieces:
        """One per annotated box; its loss is sum_q near_q log (1 - p_q), plus how far its candidates' boxes are."""
        log_not = reading.of_label(reading.logs[1])
        loss = (reading.near * log_not).sum(1) + reading.distance
        weight = self._asked(reading.targets.labels).to(loss)
        return Pieces(loss, _straight(reading.own, reading.soft_own), _detected(reading), weight)

    def loss(self, reading: CandidateReading) -> Tensor:
        """Mean over its pieces."""
        pieces = self.pieces(reading)
        return _mean(pieces.loss, pieces.weight)

    def check(self, classes: int) -> None:
        """Raise InputError if a class is not one of the task's."""
        _check_classes(self.classes, classes)

    def describe(self) -> str:
        """`vanish`, or `vanish: class 0, 2`."""
        return _named("vanish", self.classes)

    def _asked(self, labels: Tensor) -> Tensor:
        return torch.isin(labels, labels.new_tensor(self.classes)) if self.classes else labels >= 0


@dataclass(frozen=True)
class Fabricate:
    """Detections where nothing is annotated: at least `count` that cover no annotated box of any class.

    Every image is eligible, also one without boxes.

    Attributes:
        count: how many, 1 to 100.
        classes: detections of these classes; empty: of all.

    Raises:
        InputError: a count outside 1 to 100.
    """

    count: int = 1
    classes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST:
            raise InputError(f"goal.count: {self.count} must be from 1 to {MOST}.")

    @property
    def targeted(self) -> bool:
        """True."""
        return True

    def eligible(self, targets: Boxes) -> Tensor:
        """Everywhere."""
        return torch.ones(len(targets.labels), dtype=torch.bool, device=targets.labels.device)

    def margin(self, reading: CandidateReading) -> Tensor:
        """Minus the excess of the `count`-th surest survivor that covers nothing."""
        return -self._best(reading, reading.survivors)[0][:, -1].clamp(min=-FAR)

    def soft(self, reading: CandidateReading) -> Tensor:
        """How far from present the `count` most confident proposals that cover nothing are, on average."""
        proposals = reading.proposals(self.classes)
        excess, rank = self._best(reading, proposals)
        there = excess.isfinite()
        soft = reading.at_survivors(reading.excess, proposals).gather(1, rank)
        return (1 - torch.where(there, presence(soft), 0.0)).mean(1)

    def pieces(self, reading: CandidateReading) -> Pieces:
        """The `count` most confident proposals that cover nothing, each unbroken by 1 - p. Its loss is log p."""
        proposals = reading.proposals(self.classes)
        excess, rank = self._best(reading, proposals)
        there = excess.isfinite()
        log_p = torch.where(there, reading.at_survivors(reading.logs[0], proposals).gather(1, rank), -FAR)
        soft = torch.where(there, reading.at_survivors(reading.excess, proposals).gather(1, rank), -FAR)
        margin = _straight(-self._best(reading, reading.survivors)[0].clamp(min=-FAR), -soft)
        return Pieces(log_p, margin, 1 - log_p.exp(), torch.ones_like(log_p))

    def loss(self, reading: CandidateReading) -> Tensor:
        """Mean over its pieces."""
        return self.pieces(reading).loss.mean(1)

    def check(self, classes: int) -> None:
        """Raise InputError if a class is not one of the task's."""
        _check_classes(self.classes, classes)

    def describe(self) -> str:
        """`fabricate 1`, or `fabricate 3: class 0, 2`."""
        return _named(f"fabricate {self.count}", self.classes)

    def _best(self, reading: CandidateReading, survivors: Survivors) -> tuple[Tensor, Tensor]:
        """Excess and rank (B, count) of the most confident wanted ones that cover nothing; -inf: there is none."""
        label = survivors.label
        asked = torch.isin(label, label.new_tensor(self.classes)) if self.classes else label >= 0
        best = survivors.excess.masked_fill(~(reading.free(survivors) & asked), -torch.inf).topk(self.count, dim=1)
        return best.values, best.indices


@dataclass(frozen=True)
class Mislabel:
    """Some annotated box is covered by a detection of another class, and by none of its own class."""

    @property
    def targeted(self) -> bool:
        """True."""
        return True

    def eligible(self, targets: Boxes) -> Tensor:
        """Where something is annotated."""
        return (targets.labels >= 0).any(1)

    def margin(self, reading: CandidateReading) -> Tensor:
        """Smallest over the boxes of the larger of two: excess of its own class, minus that of the best other."""
        return self._hard(reading).amin(1)

    def soft(self, reading: CandidateReading) -> Tensor:
        """For the box nearest to the goal: half its presence plus half the absence of the other class."""
        both = (presence(reading.soft_own) + 1 - presence(reading.soft_other)) / 2
        return self._nearest(reading, both)

    def pieces(self, reading: CandidateReading) -> Pieces:
        """One per annotated box; its loss is sum_q a_q log (1 - p_own) + log sum_q near_q max_{k other} p_qk."""
        log_p, log_not = reading.logs
        gone = (reading.share * reading.of_label(log_not)).sum(1)
        other = reading.of_others(log_p) + reading.near.clamp(min=1e-30).log()
        loss = gone + other.logsumexp(1)
        margin = _straight(self._hard(reading), torch.maximum(reading.soft_own, -reading.soft_other))
        standing = torch.maximum(_detected(reading), 1 - other.amax(1).exp())
        return Pieces(loss, margin, standing, _weights(reading))

    def loss(self, reading: CandidateReading) -> Tensor:
        """That of the box nearest to the goal: one is enough."""
        return self._nearest(reading, self.pieces(reading).loss)

    def check(self, classes: int) -> None:
        """Raise InputError if there is no other class."""
        if classes < 2:
            raise InputError("goal: mislabel needs at least 2 classes, and task.classes is 1. Choose vanish.")

    def describe(self) -> str:
        """`mislabel`."""
        return "mislabel"

    def _hard(self, reading: CandidateReading) -> Tensor:
        return torch.maximum(reading.own, -reading.other).masked_fill(~reading.real, FAR)

    def _nearest(self, reading: CandidateReading, values: Tensor) -> Tensor:
        hard = self._hard(reading)
        # If no other class covers any box, all are equally far; then the smooth distance decides.
        soft = torch.maximum(reading.soft_own, -reading.soft_other).detach()
        soft = soft.masked_fill(~reading.real | (hard > hard.amin(1, keepdim=True)), torch.inf)
        return values.gather(1, soft.argmin(1, keepdim=True))[:, 0]


def missed_and_invented(reading: CandidateReading) -> Tensor:
    """The dense loss of detections against annotated boxes (B,), for any head and detector.

        mean_g sum_q a_qg (1 - GIoU_qg - log p_q,label(g)) - sum_q (1 - max_g near_qg) sum_k log (1 - p_qk) / max(1, M)

    with a the share that candidate q has of box g: proportional to near_qg * p, so that the candidate that detects the
    box has its loss, and another candidate takes over when that one is lost. Without boxes only the background is left.
    """
    background = 1 - reading.near.amax(2)
    invented = -(background * reading.logs[1].sum(2)).sum(1) / reading.real.sum(1).clamp(min=1)
    return _mean(_missing(reading), _weights(reading)) + invented


def _missing(reading: CandidateReading) -> Tensor:
    return -(reading.share * reading.of_label(reading.logs[0])).sum(1) + reading.distance


def _detected(reading: CandidateReading) -> Tensor:
    """Probability (B, M) of each box's class at the candidate that detects it best."""
    return (reading.of_label(reading.logs[0]) + reading.cover).amax(1).exp()


def _weights(reading: CandidateReading) -> Tensor:
    return reading.real.to(reading.boxes)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum(1) / weight.sum(1).clamp(min=1)


def _straight(hard: Tensor, soft: Tensor) -> Tensor:
    """The value of `hard` with the gradient of `soft`."""
    return hard + (soft - soft.detach())


def _check_classes(wanted: tuple[int, ...], classes: int) -> None:
    outside = [index for index in wanted if not 0 <= index < classes]
    if outside:
        raise InputError(f"goal.classes: {outside[0]} is not one of the task's classes 0 to {classes - 1}.")


def _named(verb: str, classes: tuple[int, ...]) -> str:
    return verb + (": class " + ", ".join(map(str, classes)) if classes else "")

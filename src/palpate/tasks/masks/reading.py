"""How raw outputs and annotations are read as masks: per structure and pixel, as decisions and as probabilities.

A *stack* is (B, S, *spatial): one mask per structure, bool if it is decided or annotated, float if it is a
probability. Ignored pixels are 0 in every stack, so they are never counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from palpate.tasks.masks.remembered import remembered
from palpate.tensors import VOLUME, readable

Score = Literal["dice", "iou"]


class AimedMasks(NamedTuple):
    """Annotated masks together with the masks that an attack wants, for the goal `Wanted`.

    The wanted masks are part of the annotation, and not of the goal, because samples leave the batch during an attack.

    Attributes:
        labels: what is annotated, as in `palpate.annotations.Masks`.
        wanted: what the attack wants, of the same shape and with the same meaning.
        spacing: (B, D) in mm, or None.
    """

    labels: Tensor
    wanted: Tensor
    spacing: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Annotation:
    """What is annotated, for any form of targets.

    Attributes:
        labels: (B, *spatial) class of every pixel, or (B, S, *spatial) 0/1 if structures may overlap.
        spacing: (B, D) in mm, or None.
        wanted: labels that the attack must reach, or None.
        structures: S.
        exclusive: a pixel belongs to one structure at most.
        ignore: label of the pixels that do not count.
    """

    labels: Tensor
    spacing: Tensor | None
    wanted: Tensor | None
    structures: int
    exclusive: bool
    ignore: int

    @property
    def spatial(self) -> torch.Size:
        """Size of the image."""
        return self.labels.shape[1 if self.exclusive else 2 :]

    @cached_property
    def counted(self) -> Tensor:
        """Which pixels count (B, 1, *spatial), or (B, S, *spatial) if structures may overlap; bool."""
        counted = self.labels != self.ignore
        return counted.unsqueeze(1) if self.exclusive else counted

    @cached_property
    def ignores(self) -> bool:
        """Whether any pixel does not count; True where the answer would have to wait for a device."""
        if not readable(self.labels):
            return True
        key = ("counted", self.ignore)
        return not bool(remembered(self.labels, key, lambda: (self.labels != self.ignore).flatten(1).all(1)).all())

    @cached_property
    def stack(self) -> Tensor:
        """The annotated structures (B, S, *spatial) bool."""
        return self.stacked(self.labels)

    def stacked(self, labels: Tensor) -> Tensor:
        """Labels of this annotation's form as a stack (B, S, *spatial) bool."""
        if not self.exclusive:
            return (labels == 1) & self.counted
        return torch.stack([labels == index + 1 for index in range(self.structures)], 1) & self.counted

    def painted(self, structure: int, region: Tensor) -> Tensor:
        """The labels with `region` (B, *spatial) bool made part of a structure."""
        labels = self.labels.clone()
        if self.exclusive:
            return torch.where(region & self.counted[:, 0], structure + 1, labels)
        labels[:, structure] = torch.where(region & self.counted[:, structure], 1, labels[:, structure])
        return labels

    def rubbed_out(self, structure: int, region: Tensor, into: int | None = None) -> Tensor:
        """The labels with `region` (B, *spatial) bool taken from a structure: background, or the structure `into`."""
        labels = self.labels.clone()
        region = region & self.stack[:, structure]
        if self.exclusive:
            return torch.where(region, 0 if into is None else into + 1, labels)
        labels[:, structure] = torch.where(region, 0, labels[:, structure])
        if into is not None:
            labels[:, into] = torch.where(region & self.counted[:, into], 1, labels[:, into])
        return labels


def inside(presence: Tensor, region: Tensor) -> Tensor:
    """How much of a stack is inside a region (B, S): an exact count if the stack is bool."""
    if presence.dtype == torch.bool:
        return (presence & region).flatten(2).sum(2).double()
    return (presence * region).flatten(2).sum(2)


def amount(presence: Tensor) -> Tensor:
    """How many pixels a stack has (B, S): an exact count if it is bool."""
    total = presence.flatten(2).sum(2)
    return total.double() if presence.dtype == torch.bool else total


def overlap(presence: Tensor, masks: Tensor, score: Score = "dice") -> Tensor:
    """Dice or IoU of a stack with bool masks (B, S); the soft Dice or IoU if the stack has probabilities.

        dice = 2 |P and M| / (|P| + |M|)        iou = |P and M| / |P or M|

    For an empty mask a decision scores 1 if it is empty too, otherwise 0, and probabilities score 1 / (1 + |P|).
    """
    both, found = inside(presence, masks), amount(presence)
    true = masks.flatten(2).sum(2).to(found)
    empty = true == 0
    nothing = (found == 0).to(found) if presence.dtype == torch.bool else 1 / (1 + found)
    # The ones keep the unused branch finite, and so the gradient of the used one.
    if score == "dice":
        return torch.where(empty, nothing, 2 * both / (found + true + empty))
    return torch.where(empty, nothing, both / (found + true - both + empty))


def frugal(function: Callable[[Tensor, Tensor], Tensor], logits: Tensor, labels: Tensor) -> Tensor:
    """`function` of logits and labels. That of volumes is computed again for the gradient, so that nothing is kept."""
    if logits[:1].numel() < VOLUME or not (torch.is_grad_enabled() and logits.requires_grad):
        return function(logits, labels)
    found: Tensor = checkpoint(function, logits, labels, use_reentrant=False, preserve_rng_state=False)
    return found


class MaskHead(Protocol):
    """Reads logits; `labels` are in the form of `decided`, with any valid class at ignored pixels."""

    def stack(self, logits: Tensor) -> Tensor:
        """The decided structures (B, S, *spatial) bool."""

    def probabilities(self, logits: Tensor) -> Tensor:
        """The structures' probabilities (B, S, *spatial)."""

    def decided(self, logits: Tensor) -> Tensor:
        """The decision as int64 labels."""

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """-log p of the labels (B, P)."""

    def distance(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Signed distance in logits (B, P) by which each decision is its label; below 0: it is another."""

    def cosine(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cosine between probabilities and one-hot labels (B, P)."""

    def divergence(self, logits: Tensor, reference: Tensor) -> Tensor:
        """KL(reference || logits) (B, P)."""

    def cooled(self, logits: Tensor, factor: Tensor) -> Tensor:
        """Logits with the same decision and `factor` (B, 1, ..., 1) times the distances."""


@dataclass(frozen=True)
class SoftmaxMasks:
    """One logit per class, background first: (B, S + 1, *spatial); labels (B, *spatial)."""

    def stack(self, logits: Tensor) -> Tensor:
        """The class of the largest logit; the first of equal ones."""
        decided = self.decided(logits)
        return torch.stack([decided == index for index in range(1, logits.shape[1])], 1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax without the background."""
        return F.softmax(logits, 1)[:, 1:]

    def decided(self, logits: Tensor) -> Tensor:
        """(B, *spatial)."""
        # On a CPU, torch's argmax over a strided axis of a few classes takes ten times as long as this.
        logits = logits.detach()
        best, decided = logits[:, 0], torch.zeros_like(logits[:, 0], dtype=torch.int64)
        for index in range(1, logits.shape[1]):
            above = logits[:, index] > best
            decided.masked_fill_(above, index)
            best = torch.maximum(best, logits[:, index])
        return decided

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """-log softmax at the label."""
        return F.cross_entropy(logits, labels, reduction="none").flatten(1)

    def distance(self, logits: Tensor, labels: Tensor) -> Tensor:
        """z_y - max_{k != y} z_k."""
        index = labels.unsqueeze(1)
        others = logits.scatter(1, index, -torch.inf).amax(1)
        return (logits.gather(1, index).squeeze(1) - others).flatten(1)

    def cosine(self, logits: Tensor, labels: Tensor) -> Tensor:
        """p_y / |p|."""
        p = F.softmax(logits, 1)
        return (p.gather(1, labels.unsqueeze(1)).squeeze(1) / p.square().sum(1).sqrt()).flatten(1)

    def divergence(self, logits: Tensor, reference: Tensor) -> Tensor:
        """sum_k q_k (log q_k - log p_k)."""
        log_p, log_q = F.log_softmax(logits, 1), F.log_softmax(reference, 1)
        return (log_q.exp() * (log_q - log_p)).sum(1).flatten(1)

    def cooled(self, logits: Tensor, factor: Tensor) -> Tensor:
        """Each logit times the factor."""
        return logits * factor


@dataclass(frozen=True)
class SigmoidMasks:
    """One logit per structure, decided separately: (B, S, *spatial); labels (B, S, *spatial) 0/1.

    Attributes:
        threshold: operating point as a probability; a structure is present where its probability exceeds it.
    """

    threshold: float = 0.5

    def stack(self, logits: Tensor) -> Tensor:
        """Where z exceeds the operating point."""
        return self._above(logits) > 0

    def probabilities(self, logits: Tensor) -> Tensor:
        """Sigmoid."""
        return logits.sigmoid()

    def decided(self, logits: Tensor) -> Tensor:
        """(B, S, *spatial) 0/1."""
        return self.stack(logits).long()

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """-log sigmoid(z) if the label is 1, -log sigmoid(-z) if it is 0."""
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits), reduction="none").flatten(1)

    def distance(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The logit minus that of the threshold if the label is 1, the negative of this if it is 0."""
        return (self._above(logits) * (2 * labels - 1)).flatten(1)

    def cosine(self, logits: Tensor, labels: Tensor) -> Tensor:
        """p_y / |(p, 1 - p)|."""
        p, rest = logits.sigmoid(), (-logits).sigmoid()
        return (torch.where(labels == 1, p, rest) / (p.square() + rest.square()).sqrt()).flatten(1)

    def divergence(self, logits: Tensor, reference: Tensor) -> Tensor:
        """The divergence of two Bernoulli distributions."""
        q = reference.sigmoid()
        yes = q * (F.logsigmoid(reference) - F.logsigmoid(logits))
        no = (1 - q) * (F.logsigmoid(-reference) - F.logsigmoid(-logits))
        return (yes + no).flatten(1)

    def cooled(self, logits: Tensor, factor: Tensor) -> Tensor:
        """The operating point stays where it is; in this form a factor of 1 changes no bit."""
        return logits + self._above(logits) * (factor - 1)

    def _above(self, logits: Tensor) -> Tensor:
        return logits - math.log(self.threshold / (1 - self.threshold))

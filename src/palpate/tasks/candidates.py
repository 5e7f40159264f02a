"""What a detection task computes from candidates: log-odds, survivors of suppression, matches with the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.annotations import Boxes, Candidates, Detections
from palpate.tasks.boxes import giou, matched, pairwise_iou, suppressed

Scores = Literal["sigmoid", "softmax"]

MOST = 100
"""Detections per image, as in COCO."""
RANKED = 400
"""Candidates of highest score that enter suppression, as in torchvision's SSD. Its cost is this number squared, in
every step of an attack."""
FAR = 20.0
"""Log-odds at which a detection counts as completely absent: a probability of 2e-9."""
_FALLEN = 1e-3
"""Least distance below the threshold at which a suppressed candidate counts, for any confidence."""
_SOFTNESS = 0.05
"""Range of IoU in which the smooth form goes from covering a box to not covering it."""


class Survivors(NamedTuple):
    """The first `MOST` candidates that survive suppression, of any confidence; highest first, padded.

    Suppression goes from high scores to low ones, so a threshold only cuts the end of the list: the detections are
    the survivors above the threshold.

    Attributes:
        query: (B, N) which candidate.
        label: (B, N) its class; -1 is padding.
        excess: (B, N) its log-odds above the threshold, no gradient; -FAR for padding.
    """

    query: Tensor
    label: Tensor
    excess: Tensor


@dataclass(frozen=True, eq=False)
class CandidateReading:
    """Candidates against annotated boxes, (B, Q, K) and (B, M), with everything that goals need from them.

    Attributes:
        candidates: the model's outputs.
        targets: annotated boxes, M at least 1; label -1 is padding.
        scores: how logits become probabilities.
        confidence: probability above which a candidate is a detection.
        overlap: IoU from which a detection covers a box.
        suppression: IoU above which a detection is a duplicate.
        floor: F1 that an acceptable image keeps.
    """

    candidates: Candidates
    targets: Boxes
    scores: Scores
    confidence: float
    overlap: float
    suppression: float
    floor: float

    @cached_property
    def boxes(self) -> Tensor:
        """The candidates' boxes (B, Q, 4), cut at the image."""
        return self.candidates.boxes.clamp(0, 1)

    @cached_property
    def real(self) -> Tensor:
        """Which annotated boxes are not padding (B, M) bool."""
        return self.targets.labels >= 0

    @cached_property
    def logs(self) -> tuple[Tensor, Tensor]:
        """Log p and log (1 - p) of every class at every candidate (B, Q, K), exact at both ends."""
        logits = self.candidates.logits
        if self.scores == "sigmoid":
            return F.logsigmoid(logits), F.logsigmoid(-logits)
        log_all = logits.log_softmax(-1)
        # 1 - p is the sum of the others. Only the leading class can be so near to 1 that it must be summed.
        leading = F.one_hot(log_all.argmax(-1), logits.shape[-1]).bool()
        others = log_all.masked_fill(leading, -torch.inf).logsumexp(-1, keepdim=True)
        small = torch.log1p(-log_all.masked_fill(leading, -torch.inf).exp().clamp(max=0.75))
        return log_all[..., :-1], torch.where(leading, others, small)[..., :-1]

    @cached_property
    def excess(self) -> Tensor:
        """Log-odds of every class above the threshold (B, Q, K): above 0 exactly where p > confidence."""
        log_p, log_not = self.logs
        return log_p - log_not - math.log(self.confidence / (1 - self.confidence))

    @cached_property
    def survivors(self) -> Survivors:
        """What survives suppression."""
        return _survivors(self.excess.detach(), self.boxes.detach(), self.scores, self.suppression)

    @cached_property
    def detections(self) -> Detections:
        """The survivors above the threshold, padded to `MOST`; no gradient."""
        query, label, excess = self.survivors
        there = excess > 0
        boxes = self.boxes.detach().gather(1, query[..., None].expand(-1, -1, 4))
        confidence = self.at_survivors(self.logs[0].detach()).exp()
        return Detections(boxes * there[..., None], label.masked_fill(~there, -1), confidence * there)

    @cached_property
    def f1(self) -> Tensor:
        """2 TP / (boxes + detections) of each image (B,); 1 if there is neither a box nor a detection."""
        hits = (matched(self.detections, self.targets, self.overlap) >= 0).sum(1)
        total = self.real.sum(1) + (self.detections.labels >= 0).sum(1)
        return torch.where(total > 0, 2 * hits / total.clamp(min=1), 1.0).to(self.boxes)

    @cached_property
    def overlaps(self) -> Tensor:
        """IoU of every candidate with every annotated box (B, Q, M); 0 with padding."""
        return pairwise_iou(self.boxes, self.targets.boxes.to(self.boxes)) * self.real[:, None]

    @cached_property
    def covering(self) -> Tensor:
        """Which survivor covers which annotated box (B, N, M) bool, for any classes."""
        return (_at(self.survivors, self.overlaps.detach()) >= self.overlap) & self.real[:, None]

    @cached_property
    def own(self) -> Tensor:
        """Excess of the best survivor that covers each box with its class (B, M), no gradient.

        If none does, that of the best suppressed candidate, but below 0; -FAR: there is none.
        """
        same = self.survivors.label[..., None] == self.targets.labels[:, None]
        return self._best(self.covering & same, self.of_label(self.excess.detach()))

    @cached_property
    def other(self) -> Tensor:
        """The same with any class but the box's (B, M)."""
        same = self.survivors.label[..., None] == self.targets.labels[:, None]
        return self._best(self.covering & ~same, self.of_others(self.excess.detach()))

    def proposals(self, classes: tuple[int, ...]) -> Survivors:
        """What would survive if only these classes existed (empty: all), at any confidence.

        A class with low probability everywhere is not among the survivors, but an attack needs its gradient.
        """
        if self.scores == "sigmoid" and not classes:
            return self.survivors
        excess, boxes = self.excess.detach(), self.boxes.detach()
        chosen = torch.tensor(classes or range(excess.shape[2]), device=excess.device)
        query, label, most = _survivors(excess[..., chosen], boxes, "sigmoid", self.suppression)
        return Survivors(query, torch.where(label >= 0, chosen[label.clamp(min=0)], -1), most)

    def free(self, survivors: Survivors) -> Tensor:
        """Which of them cover no annotated box of any class (B, N) bool."""
        covering = _at(survivors, self.overlaps.detach()) >= self.overlap
        return ~(covering & self.real[:, None]).any(2) & (survivors.label >= 0)

    @cached_property
    def cover(self) -> Tensor:
        """Log of how well each candidate covers each box (B, Q, M), smooth: log sigmoid((IoU - overlap) / 0.05)."""
        return F.logsigmoid((self.overlaps - self.overlap) / _SOFTNESS)

    @cached_property
    def soft_own(self) -> Tensor:
        """Smooth form of `own` (B, M): log-sum-exp over all candidates of excess and cover."""
        return (self.of_label(self.excess) + self.cover).logsumexp(1)

    @cached_property
    def soft_other(self) -> Tensor:
        """Smooth form of `other` (B, M)."""
        return (self.of_others(self.excess) + self.cover).logsumexp(1)

    @cached_property
    def near(self) -> Tensor:
        """Weight with which each candidate belongs to each box (B, Q, M), 0 to 1, no gradient; the best match has 1."""
        overlaps = self.overlaps.detach()
        weight = torch.sigmoid((overlaps - 0.8 * self.overlap) / _SOFTNESS)
        best = overlaps.argmax(1, keepdim=True)
        return weight.scatter(1, best, 1.0) * self.real[:, None]

    @cached_property
    def share(self) -> Tensor:
        """Each box's candidates by how much they detect it (B, Q, M): near * p of its class, summing to 1 over Q."""
        log_p = self.of_label(self.logs[0]).detach()
        return (log_p + self.near.clamp(min=1e-30).log()).softmax(1) * self.real[:, None]

    @cached_property
    def distance(self) -> Tensor:
        """1 - GIoU between each annotated box and its candidates (B, M), weighted by their share."""
        apart = 1 - giou(self.boxes[:, :, None], self.targets.boxes.to(self.boxes)[:, None])
        return (self.share * apart).sum(1)

    def of_label(self, values: Tensor) -> Tensor:
        """Of values (B, Q, K), those at each annotated box's class (B, Q, M)."""
        labels = self.targets.labels.clamp(min=0)[:, None].expand(-1, values.shape[1], -1)
        return values.gather(2, labels)

    def of_others(self, values: Tensor) -> Tensor:
        """Of values (B, Q, K), the largest at a class that is not each annotated box's (B, Q, M)."""
        if values.shape[2] == 1:
            return values.new_full(self.overlaps.shape, -FAR)
        top = values.topk(2, dim=2)
        leads = top.indices[..., :1] == self.targets.labels[:, None]
        return torch.where(leads, top.values[..., 1:], top.values[..., :1])

    def at_survivors(self, values: Tensor, survivors: Survivors | None = None) -> Tensor:
        """Of values (B, Q, K), those of the survivors or proposals (B, N), differentiable."""
        survivors = self.survivors if survivors is None else survivors
        return _at(survivors, values).gather(2, survivors.label.clamp(min=0)[..., None])[..., 0]

    def _best(self, which: Tensor, proposed: Tensor) -> Tensor:
        standing = self.survivors.excess[..., None].masked_fill(~which, -FAR).amax(1)
        covers = (self.overlaps.detach() >= self.overlap) & self.real[:, None]
        fallen = proposed.masked_fill(~covers, -FAR).amax(1).clamp(-FAR, -_FALLEN)
        return torch.where(which.any(1), standing, fallen)


class _Remembered:
    """Suppression that keeps its last question: in one step the loss, the margin and the score ask the same one."""

    def __init__(self) -> None:
        self.last: tuple[Tensor, Tensor, float, Tensor] | None = None

    def __call__(self, boxes: Tensor, labels: Tensor, suppression: float) -> Tensor:
        # Read and replaced as one object, so that threads do not mix questions and answers.
        last = self.last
        if last is not None and last[2] == suppression and _equal(last[0], boxes) and _equal(last[1], labels):
            return last[3]
        dropped = suppressed(boxes, labels, suppression, MOST)
        self.last = (boxes, labels, suppression, dropped)
        return dropped


_suppressed = _Remembered()


def _equal(first: Tensor, second: Tensor) -> bool:
    same_kind = first.device == second.device and first.dtype == second.dtype
    return same_kind and torch.equal(first, second)


def _at(survivors: Survivors, values: Tensor) -> Tensor:
    return values.gather(1, survivors.query[..., None].expand(-1, -1, values.shape[2]))


def presence(excess: Tensor) -> Tensor:
    """How present a detection is, 0 to 1, 1/2 at the threshold: (1 + x / (1 + |x|)) / 2, which never saturates."""
    return (1 + F.softsign(excess)) / 2


def _survivors(excess: Tensor, boxes: Tensor, scores: Scores, suppression: float) -> Survivors:
    queries, classes = excess.shape[1:]
    if scores == "softmax":
        # One class per candidate, the most probable one.
        leading = F.one_hot(excess.argmax(-1), classes).bool()
        flat = excess.masked_fill(~leading, -torch.inf).flatten(1)
        ranked = min(RANKED, queries)
    else:
        flat = excess.flatten(1)
        ranked = min(RANKED, queries * classes)
    place = flat.topk(ranked, dim=1).indices.sort(1).values
    order = flat.gather(1, place).argsort(dim=1, descending=True, stable=True)
    place = place.gather(1, order)
    query, label = place // classes, place % classes
    dropped = _suppressed(boxes.gather(1, query[..., None].expand(-1, -1, 4)), label, suppression)
    first = dropped.long().argsort(dim=1, stable=True)[:, :MOST]
    query, label, place, gone = (values.gather(1, first) for values in (query, label, place, dropped))
    kept = Survivors(query, label.masked_fill(gone, -1), flat.gather(1, place).clamp(min=-FAR).masked_fill(gone, -FAR))
    missing = MOST - query.shape[1]
    if missing <= 0:
        return kept
    fills = (0, -1, -FAR)
    return Survivors(*(F.pad(values, (0, missing), value=fill) for values, fill in zip(kept, fills, strict=True)))

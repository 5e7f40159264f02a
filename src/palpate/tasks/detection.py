"""Detection: boxes with classes, found by confidence threshold and suppression among a detector's candidates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.annotations import Boxes, Candidates, Decided, Detections
from palpate.contracts import Agreement, Pieces
from palpate.errors import InputError
from palpate.tasks.boxes import giou
from palpate.tasks.candidates import CandidateReading, Scores
from palpate.tasks.criteria import Criterion
from palpate.tasks.detection_goals import Degrade, DetectionGoal, missed_and_invented
from palpate.tasks.output_checks import require_floating
from palpate.tasks.saturation import SATURATED
from palpate.tensors import mapped, spread, take


@dataclass(frozen=True)
class Detection:
    """Boxes of K classes. Outputs are `Candidates`, targets `Boxes`, decisions `Detections`.

    A candidate is detected with probability above `confidence`, unless one of its class with higher probability
    overlaps it by more than `suppression`; at most 100 per image. Boxes are cut at the image. Margins have the sign of
    that decision and the gradient of `soft_score`. For an image without boxes only `Fabricate` is eligible; its score
    is 1 without detections and 0 with any.

    Attributes:
        classes: K.
        goal: where the attack wants the detections.
        confidence: probability above which a candidate counts, between 0 and 1.
        overlap: IoU from which a detection covers an annotated box.
        suppression: IoU above which a detection is a duplicate; 1 switches suppression off.
        floor: F1 that an acceptable image keeps.
        head: `sigmoid`, logits (B, Q, K), every class separately; `softmax`, (B, Q, K + 1) with "no object" last and
            one class per candidate (DETR, YOLOS).
        criterion: what an untargeted attack increases instead of the task's own dense loss.

    Raises:
        InputError: a value outside its range, or a goal or criterion that does not fit the other values.
    """

    classes: int
    goal: DetectionGoal = Degrade()
    confidence: float = 0.5
    overlap: float = 0.5
    suppression: float = 0.5
    floor: float = 0.5
    head: Scores = "sigmoid"
    criterion: Criterion | None = None

    saturation: ClassVar[float] = SATURATED

    def __post_init__(self) -> None:
        if self.classes < 1:
            raise InputError(f"task.classes: a detection needs at least 1 class, and there are {self.classes}.")
        for name in ("confidence", "overlap", "suppression"):
            value = getattr(self, name)
            if not 0 < value < 1 and not (name == "suppression" and value == 1):
                raise InputError(f"task.{name}: {value:g} must be between 0 and 1.")
        if not 0 <= self.floor < 1:
            raise InputError(f"task.floor: {self.floor:g} must be at least 0 and below 1.")
        if self.head not in {"sigmoid", "softmax"}:
            raise InputError(f"task.head: '{self.head}' is not one of sigmoid, softmax.")
        if self.criterion is not None and self.goal.targeted:
            raise InputError(
                f"task.criterion: the goal '{self.goal.describe()}' has its own loss. Leave the criterion out, or "
                "attack untargeted."
            )
        self.goal.check(self.classes)

    def loss(self, outputs: Candidates, targets: Boxes) -> Tensor:
        """What the attack increases (B,): the dense loss or the criterion; with a goal, its log-probability."""
        if self.criterion is not None:
            return self.criterion(outputs, targets)
        return self.goal.loss(self.read(outputs, targets))

    def margin(self, outputs: Candidates, targets: Boxes) -> Tensor:
        """The goal's margin (B,): F1 - floor, or log-odds above the threshold."""
        reading = self.read(outputs, targets)
        hard = self.goal.margin(reading)
        if not torch.is_grad_enabled():
            return hard
        soft = self.goal.soft(reading)
        return hard + (soft - soft.detach())

    def scaled_margin(self, outputs: Candidates, targets: Boxes) -> Tensor:
        """The plain margin (B,): candidates have no common ratio of leading scores."""
        return self.margin(outputs, targets)

    def soft_score(self, outputs: Candidates, targets: Boxes) -> Tensor:
        """A smooth form of what the attack lowers (B,), 0 to 1."""
        return self.goal.soft(self.read(outputs, targets))

    def pieces(self, outputs: Candidates, targets: Boxes) -> Pieces:
        """One piece per annotated box; for `Fabricate` one per detection that is wanted."""
        return self.goal.pieces(self.read(outputs, targets))

    def consistency_loss(
        self, outputs: Candidates, reference: Candidates, how: Agreement, targets: Boxes | None = None
    ) -> Tensor:
        """How far `outputs` are from those of `reference` (B,).

        `label`: the untargeted loss against the reference's own detections. `distribution`: over candidates q in the
        same order, ( sum_q KL(p*_q || p_q) + sum_q p*_q (1 - GIoU(b*_q, b_q)) ) / max(1, sum_q p*_q), with p*_q the
        reference's probability of its leading class: per object that the reference sees.
        """
        if how == "label":
            own = self.own(reference)
            return self.criterion(outputs, own) if self.criterion else missed_and_invented(self.read(outputs, own))
        log_q, other_q = self._logs(reference)
        log_p, other_p = self._logs(outputs)
        divergence = (log_q.exp() * (log_q - log_p)).sum(2) + (other_q.exp() * (other_q - other_p)).sum(2)
        objects = log_q[..., : self.classes].exp().amax(2)
        apart = objects * (1 - giou(reference.boxes, outputs.boxes))
        return (divergence + apart).sum(1) / objects.sum(1).clamp(min=1)

    def predict(self, outputs: Candidates) -> Detections:
        """Detections (B, 100), highest confidence first, padded."""
        return self.read(outputs, _none(outputs)).detections

    def own(self, outputs: Candidates, targets: Boxes | None = None) -> Boxes:
        """The model's detections as if they were annotated (B, 100)."""
        found = self.predict(outputs)
        return Boxes(found.boxes, found.labels)

    def score(self, outputs: Candidates, targets: Boxes) -> Tensor:
        """F1 (B,) at `confidence` and `overlap`; 1 if there is neither a box nor a detection."""
        return self.read(outputs, targets).f1

    def right(self, outputs: Candidates, targets: Boxes) -> Tensor:
        """Whether F1 is above its floor (B,) bool."""
        return self.score(outputs, targets) > self.floor

    def eligible(self, targets: Boxes) -> Tensor:
        """Whether the goal makes sense for these boxes (B,) bool."""
        return self.goal.eligible(targets)

    def logit_size(self, outputs: Candidates, targets: Boxes) -> Tensor:
        """Mean distance of the annotated boxes from being detected, in log-odds (B,); without boxes, of the surest."""
        reading = self.read(mapped(Tensor.detach, outputs), targets)
        boxes = (reading.soft_own.abs() * reading.real).sum(1) / reading.real.sum(1).clamp(min=1)
        return torch.where(reading.real.any(1), boxes, reading.excess.flatten(1).amax(1).abs())

    def cooled(self, outputs: Candidates, temperature: Tensor) -> Candidates:
        """The candidates with log-odds above the threshold divided by `temperature` (B,).

        With a softmax head this is exact between a class and "no object", and nearly so where two classes compete.
        """
        logits, threshold = outputs.logits, math.log(self.confidence / (1 - self.confidence))
        moved = torch.full_like(logits[:1, :1], threshold)
        if self.head == "softmax":
            moved[..., -1] = 0.0
        return outputs._replace(logits=logits + (logits - moved) * spread(1 / temperature - 1, logits))

    def take(self, targets: Boxes, rows: Tensor) -> Boxes:
        """The boxes of some rows."""
        taken: Boxes = take(targets, rows)
        return taken

    def validate(self, outputs: Candidates, targets: Boxes) -> None:
        """Check types, shapes, labels, boxes and finiteness.

        Raises:
            InputError: the model's outputs are not candidates of this width or contain NaN or infinity; a label is not
                a class; a box is outside its image or has no area.
        """
        _check_targets(targets, self.classes)
        width = self.classes + (self.head == "softmax")
        if not isinstance(outputs, Candidates):
            given = f"Tensor of shape {list(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
            raise InputError(
                f"model: it returned {given}, and detection reads palpate.annotations.Candidates: logits and boxes. "
                "Wrap the model in an adapter of palpate.models.detectors, or choose the task that fits the model."
            )
        for name, part in zip(("logits", "boxes"), outputs, strict=True):
            if not isinstance(part, Tensor):
                raise InputError(f"model: the {name} of its candidates are {type(part).__name__}, not a tensor.")
            require_floating(part, f"the {name} of its candidates are")
        shape, boxes = list(outputs.logits.shape), list(outputs.boxes.shape)
        count = len(targets.labels)
        if len(shape) != 3 or shape[0] != count or shape[2] != width or not shape[1] or boxes != [*shape[:2], 4]:
            raise InputError(
                f"model: its logits have shape {shape} and its boxes {boxes} for {count} images; a {self.head} head "
                f"with {self.classes} classes needs [{count}, Q, {width}] and [{count}, Q, 4]. "
                f"{self._fix(shape)}, or choose the model that fits."
            )
        good = outputs.logits.flatten(1).isfinite().all(1) & outputs.boxes.flatten(1).isfinite().all(1)
        bad = (~good).nonzero().flatten()
        if len(bad):
            raise InputError(
                f"model: its output is NaN or infinite for {len(bad)} of {count} images (first: row {int(bad[0])}). "
                "Check the preprocessing and the weights."
            )

    def _fix(self, shape: list[int]) -> str:
        """What to correct in the task, from the shape of the logits."""
        other: Scores = "softmax" if self.head == "sigmoid" else "sigmoid"
        if len(shape) == 3 and shape[2] == self.classes + (other == "softmax"):
            return f'Write task.head = "{other}"'
        return "Correct task.classes or task.head"

    def read(self, outputs: Candidates, targets: Boxes) -> CandidateReading:
        """The candidates against these boxes, with everything that goals and measures need."""
        if not targets.labels.shape[1]:
            targets = _none(outputs)
        suppression = 1.0 if isinstance(outputs, Decided) else self.suppression
        return CandidateReading(outputs, targets, self.head, self.confidence, self.overlap, suppression, self.floor)

    def _logs(self, outputs: Candidates) -> tuple[Tensor, Tensor]:
        """Log-probabilities whose KL is the head's: of every class and of its absence, or of all with "no object"."""
        if self.head == "softmax":
            log_p = outputs.logits.log_softmax(-1)
            return log_p, torch.zeros_like(log_p)
        return self.read(outputs, _none(outputs)).logs


def _none(outputs: Candidates) -> Boxes:
    count = len(outputs.boxes)
    labels = torch.full((count, 1), -1, dtype=torch.int64, device=outputs.boxes.device)
    return Boxes(outputs.boxes.new_zeros(count, 1, 4), labels)


def _check_targets(targets: Boxes, classes: int) -> None:
    if not isinstance(targets, Boxes):
        raise InputError(f"boxes: they are {type(targets).__name__}, not palpate.annotations.Boxes.")
    boxes, labels = targets
    if labels.dtype != torch.int64 or labels.ndim != 2 or boxes.shape != (*labels.shape, 4):
        raise InputError(
            f"boxes: boxes of shape {list(boxes.shape)} with {labels.dtype} labels of shape {list(labels.shape)}; "
            "they must be [B, M, 4] and int64 [B, M]."
        )
    wrong = (labels < -1) | (labels >= classes)
    outside = ~((boxes >= 0) & (boxes <= 1)).all(-1)
    flat = ~((boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1]))
    for places, fault in (
        (wrong, f"has a label that is not one of the task's classes 0 to {classes - 1}"),
        ((labels >= 0) & outside, "is outside the image; boxes are fractions of width and height, from 0 to 1"),
        ((labels >= 0) & flat, "has no area; boxes are x1, y1, x2, y2 with x1 < x2 and y1 < y2"),
    ):
        found = places.nonzero()
        if len(found):
            row, index = found[0].tolist()
            raise InputError(
                f"boxes: box {index} of row {row} (class {int(labels[row, index])}, "
                f"{[round(side, 4) for side in boxes[row, index].tolist()]}) {fault}. Correct or drop it."
            )

"""Segmentation in 2D and 3D: one structure, several that exclude each other, or several that may overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.annotations import Masks
from palpate.contracts import Agreement, Pieces
from palpate.errors import InputError
from palpate.tasks.masks.checks import check_labels, check_outputs
from palpate.tasks.masks.goal import MaskGoal, Scoring
from palpate.tasks.masks.goals import Degrade
from palpate.tasks.masks.reading import AimedMasks, Annotation, MaskHead, Score, SigmoidMasks, SoftmaxMasks, frugal
from palpate.tasks.masks.remembered import carry
from palpate.tasks.saturation import SATURATED
from palpate.tensors import Tree, every, spread, take

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


@dataclass(frozen=True)
class Segmentation:
    """One mask per structure. Targets are `Masks`, a tensor of labels, or `AimedMasks`.

    | `exclusive` | outputs | labels | decision |
    | --- | --- | --- | --- |
    | yes | (B, S + 1, *spatial), softmax, background first | (B, *spatial), 0 background, 1.. structures | argmax |
    | yes, S = 1 | (B, 1, *spatial), sigmoid | the same | p > threshold |
    | no | (B, S, *spatial), sigmoid | (B, S, *spatial), 0 or 1 | p > threshold |

    With c the counted pixels, y the true labels, w those that the goal wants and r what `goal.remains`:

        loss   = mean_c -log p_y      untargeted
                 mean_c  log p_w      targeted (Ozbulak et al., MICCAI 2019, reach any mask in this way)
        margin = r(decided masks) - goal.limit, with the gradient of r(probabilities)

    If nothing is annotated and nothing is decided, the decision is right and its `score` undefined (NaN). Such samples
    are never eligible for `Degrade`. Pixels labelled `ignore` never count.

    Attributes:
        structures: S.
        exclusive: a pixel belongs to one structure at most.
        goal: where the attack wants the masks.
        metric: what `score` is: Dice or IoU of decided masks, averaged over the structures that are annotated.
        floor: the score above which a mask is acceptable; `Degrade` is reached at or below it.
        structure: index from 0 of the only structure that is scored; None: all of them.
        ignore: label of pixels that do not count.
        threshold: operating point of sigmoid outputs, as a probability.
        resample: interpolate outputs of another grid linearly to that of the masks, logits first, then decided.

    Raises:
        InputError: a number out of its range, or a combination that cannot be read.
    """

    structures: int
    exclusive: bool = True
    goal: MaskGoal = Degrade()
    metric: Score = "dice"
    floor: float = 0.5
    structure: int | None = None
    ignore: int = 255
    threshold: float = 0.5
    resample: bool = False

    saturation: ClassVar[float] = SATURATED

    def __post_init__(self) -> None:
        if self.structures < 1:
            raise InputError(f"task.structures: {self.structures} must be at least 1; the background is not counted.")
        if self.metric not in ("dice", "iou"):
            raise InputError(f"task.metric: '{self.metric}' is not one of dice, iou.")
        if not 0 <= self.floor < 1:
            raise InputError(f"task.floor: {self.floor:g} is a {self.metric}, at least 0 and below 1.")
        if self.structure is not None and not 0 <= self.structure < self.structures:
            raise InputError(f"task.structure: {self.structure} is not one of 0 to {self.structures - 1}.")
        if not 0 < self.threshold < 1:
            raise InputError(f"task.threshold: {self.threshold:g} must be between 0 and 1, both excluded.")
        if not self.exclusive and self.ignore in (0, 1):
            raise InputError(f"task.ignore: {self.ignore} is a label of overlapping structures; choose another value.")

    # -- what an attack increases --------------------------------------------------------------------------------

    def loss(self, outputs: Tensor, targets: Tree) -> Tensor:
        """What an attack increases (B,), averaged over the counted pixels."""
        logits, truth, head = self._read(outputs, targets)
        loss = self._piece_loss(logits, truth, head)
        weight = self._weight(truth, loss)
        return (loss * weight).sum(1) / weight.sum(1).clamp(min=1)

    def margin(self, outputs: Tensor, targets: Tree) -> Tensor:
        """What remains of what the goal lowers, minus its limit (B,): of decided masks, differentiable by soft ones."""
        logits, truth, head = self._read(outputs, targets)
        hard = self.goal.remains(head.stack(logits) & truth.counted, truth, self.scoring)
        soft = self.goal.remains(head.probabilities(logits) * truth.counted, truth, self.scoring)
        # In this order the soft part cancels to an exact 0, and a score at its floor stays at it.
        return (hard - self.goal.limit(self.scoring)).to(soft) + (soft - soft.detach())

    def scaled_margin(self, outputs: Tensor, targets: Tree) -> Tensor:
        """The margin, which is already a share and does not depend on the logits' scale (B,)."""
        return self.margin(outputs, targets)

    def soft_score(self, outputs: Tensor, targets: Tree) -> Tensor:
        """What remains by probabilities (B,): soft Dice or IoU for `Degrade`, the goal's own share for others."""
        logits, truth, head = self._read(outputs, targets)
        return self.goal.remains(head.probabilities(logits) * truth.counted, truth, self.scoring)

    def pieces(self, outputs: Tensor, targets: Tree) -> Pieces:
        """Every pixel (B, P), in row-major order; every structure's pixels in turn if structures may overlap.

        The margin of a pixel is z_y - max_{k != y} z_k, or max_{k != w} z_k - z_w towards a wanted w. It is
        unbroken by cos(p, one-hot y), or 1 - cos(p, one-hot w): CosPGD's weights (Agnihotri et al., ICML 2024).
        """
        logits, truth, head = self._read(outputs, targets)
        labels = self._aim(truth, head)
        distance, cosine = head.distance(logits, labels), head.cosine(logits, labels)
        if self.goal.targeted:
            distance, cosine = -distance, 1 - cosine
        loss = self._piece_loss(logits, truth, head)
        return Pieces(loss, distance, cosine, self._weight(truth, loss))

    def pixel_losses(self, outputs: Tensor, targets: Tree) -> tuple[Tensor, Tensor, Tensor]:
        """-log p of every pixel's true label (B, P), that label (B, P), and whether the pixel counts (B, P) bool.

        Pixels are in row-major order; every structure's pixels in turn, with labels 0 and 1, if structures may overlap.
        """
        logits, truth, head = self._read(outputs, targets)
        labels = truth.labels.masked_fill(truth.labels == self.ignore, 0)
        one_logit = self.exclusive and isinstance(head, SigmoidMasks)
        losses = head.cross_entropy(logits, labels.unsqueeze(1) if one_logit else labels)
        return losses, labels.flatten(1), truth.counted.flatten(1)

    def consistency_loss(
        self, outputs: Tensor, reference: Tensor, how: Agreement, targets: Tree | None = None
    ) -> Tensor:
        """How far `outputs` are from those of `reference` (B,), averaged over the counted pixels.

        `label`: cross-entropy to the reference's decision. `distribution`: KL(reference || outputs). Without targets
        every pixel counts.
        """
        weight = None
        if targets is not None:
            reference, *_ = self._read(reference, targets)
            outputs, truth, _ = self._read(outputs, targets)
            weight = truth.counted.flatten(1).to(outputs)
        head = self._head(outputs)
        if how == "label":
            apart = head.cross_entropy(outputs, head.decided(reference))
        else:
            apart = head.divergence(outputs, reference)
        return apart.mean(1) if weight is None else (apart * weight).sum(1) / weight.sum(1).clamp(min=1)

    # -- what is decided, and how good it is ---------------------------------------------------------------------

    def predict(self, outputs: Tensor) -> Tensor:
        """The decided labels (B, *spatial) int64, or (B, S, *spatial) bool if structures may overlap."""
        head = self._head(outputs)
        return head.stack(outputs) if not self.exclusive else self._labels(outputs, head)

    def own(self, outputs: Tensor, targets: Tree) -> Masks | AimedMasks:
        """The decided masks as targets, with the spacing and the ignored pixels of the given ones."""
        logits, truth, head = self._read(outputs, targets)
        labels = self._labels(logits, head).masked_fill(truth.labels == self.ignore, self.ignore)
        if truth.wanted is not None:
            return AimedMasks(labels, truth.wanted, truth.spacing)
        return Masks(labels, truth.spacing)

    def stacks(self, outputs: Tensor, targets: Tree) -> tuple[Tensor, Tensor]:
        """What was found and what is annotated, per structure, on the grid of the masks (B, S, *spatial) bool."""
        logits, truth, head = self._read(outputs, targets)
        return head.stack(logits) & truth.counted, truth.stack

    def score(self, outputs: Tensor, targets: Tree) -> Tensor:
        """Mean Dice or IoU of the annotated structures (B,); NaN if none is annotated."""
        score, truth = self._scored(outputs, targets)
        return score.masked_fill(~self.scoring.present(truth), torch.nan).to(outputs)

    def right(self, outputs: Tensor, targets: Tree) -> Tensor:
        """Whether the score is above the floor (B,) bool; if nothing is annotated, whether nothing was found."""
        return self._scored(outputs, targets)[0] > self.floor

    def eligible(self, targets: Tree) -> Tensor:
        """Whether the goal applies to what is annotated, and true masks do not reach it (B,) bool."""
        truth = self.annotation(targets)
        remains = self.goal.remains(truth.stack, truth, self.scoring)
        return self.goal.applies(truth, self.scoring) & (remains > self.goal.limit(self.scoring))

    # -- saturated logits ----------------------------------------------------------------------------------------

    def logit_size(self, outputs: Tensor, targets: Tree) -> Tensor:
        """Mean distance of the counted pixels from their decision (B,): of structures or of background, the larger."""
        logits, truth, head = self._read(outputs.detach(), targets)
        labels = self._aim(truth, head)
        distance, counted = head.distance(logits, labels).abs(), truth.counted.flatten(1)
        parts = [(labels.flatten(1) > 0) & counted, (labels.flatten(1) == 0) & counted]
        return torch.stack([(distance * part).sum(1) / part.sum(1).clamp(min=1) for part in parts]).amax(0)

    def cooled(self, outputs: Tensor, temperature: Tensor) -> Tensor:
        """The logits with their distances from the decision divided by `temperature` (B,)."""
        return self._head(outputs).cooled(outputs, spread(1 / temperature, outputs))

    # -- targets -------------------------------------------------------------------------------------------------

    def take(self, targets: Tree, rows: Tensor) -> Tree:
        """The targets of some rows; the same, without a copy of whole volumes, if these are all of them."""
        if every(rows, len(self.annotation(targets).labels)):
            return targets
        taken: Tree = take(targets, rows)
        carry(self.annotation(targets).labels, self.annotation(taken).labels, rows)
        return taken

    def validate(self, outputs: Tensor, targets: Tree) -> None:
        """Check types, shapes, values, grids and finiteness.

        Raises:
            InputError: outputs or masks that this task cannot read, or a goal that is not possible with them.
        """
        truth = self.annotation(targets)
        check_labels(truth)
        check_outputs(outputs, truth, self.resample)
        if isinstance(self._head(outputs), SoftmaxMasks) and self.threshold != 0.5:
            raise InputError(
                f"task.threshold: {self.threshold:g} is for sigmoid outputs, and the model has one output per class. "
                "Leave it out."
            )
        self.goal.check(truth)

    def annotation(self, targets: Tree) -> Annotation:
        """Targets of any form as one annotation."""
        labels = targets if isinstance(targets, Tensor) else targets.labels
        spacing = None if isinstance(targets, Tensor) else targets.spacing
        wanted = targets.wanted if isinstance(targets, AimedMasks) else None
        return Annotation(labels, spacing, wanted, self.structures, self.exclusive, self.ignore)

    @property
    def scoring(self) -> Scoring:
        """How masks are scored."""
        return Scoring(self.metric, self.structure, self.floor)

    # -- reading -------------------------------------------------------------------------------------------------

    def _head(self, outputs: Tensor) -> MaskHead:
        one_logit = self.structures == 1 and outputs.shape[1] == 1
        return SoftmaxMasks() if self.exclusive and not one_logit else SigmoidMasks(self.threshold)

    def _read(self, outputs: Tensor, targets: Tree) -> tuple[Tensor, Annotation, MaskHead]:
        truth = self.annotation(targets)
        if self.resample and outputs.shape[2:] != truth.spatial:
            outputs = F.interpolate(outputs, size=truth.spatial, mode=_LINEAR[len(truth.spatial)], align_corners=False)
        return outputs, truth, self._head(outputs)

    def _scored(self, outputs: Tensor, targets: Tree) -> tuple[Tensor, Annotation]:
        logits, truth, head = self._read(outputs, targets)
        return self.scoring(head.stack(logits) & truth.counted, truth), truth

    def _labels(self, logits: Tensor, head: MaskHead) -> Tensor:
        labels = head.decided(logits)
        return labels.squeeze(1) if self.exclusive and isinstance(head, SigmoidMasks) else labels

    def _aim(self, truth: Annotation, head: MaskHead) -> Tensor:
        """The labels to leave or to reach, in the head's form, with background at ignored pixels."""
        labels = self.goal.wanted(truth) if self.goal.targeted else truth.labels
        if truth.ignores:
            labels = labels.masked_fill(truth.labels == self.ignore, 0)
        return labels.unsqueeze(1) if self.exclusive and isinstance(head, SigmoidMasks) else labels

    def _piece_loss(self, logits: Tensor, truth: Annotation, head: MaskHead) -> Tensor:
        loss = frugal(head.cross_entropy, logits, self._aim(truth, head))
        return -loss if self.goal.targeted else loss

    def _weight(self, truth: Annotation, like: Tensor) -> Tensor:
        if not truth.ignores:
            return torch.ones_like(like[:1, :1]).expand_as(like)
        return truth.counted.flatten(1).to(like)

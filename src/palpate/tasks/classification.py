"""Classification: two classes from one logit, several classes, ordinal grades; away from the truth or to a goal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.contracts import Agreement, Pieces
from palpate.errors import InputError
from palpate.tasks.goals import ClassGoal, Untargeted
from palpate.tasks.heads import Head, Softmax
from palpate.tasks.output_checks import require_scores


@dataclass(frozen=True)
class Classification:
    """One decision among K classes per image. Targets are labels (B,) int64.

    With S the classes in which the decision may stay and G those that fulfil the goal, per sample, and s the scores:

        margin = max_{k in S} s_k - max_{k in G} s_k          (reached at 0 or less; a tie counts for the attack)
        loss   = -log sum_{k in S} p_k   untargeted: the cross-entropy, increased
                  log sum_{k in G} p_k   targeted: the log-probability of the goal, increased

    Attributes:
        classes: K.
        goal: where the attack wants the decision.
        head: how raw outputs become scores.

    Raises:
        InputError: fewer than two classes, or a head that cannot decide among so many.
    """

    classes: int
    goal: ClassGoal = Untargeted()
    head: Head = Softmax()

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise InputError(f"task.classes: a classification needs at least 2 classes, and there are {self.classes}.")
        self.head.width(self.classes)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What the attack increases (B,)."""
        log_p = self.head.log_probabilities(outputs)
        if self.goal.targeted:
            return log_p.masked_fill(~self.goal.wanted(targets, self.classes), -torch.inf).logsumexp(1)
        return F.nll_loss(log_p, targets, reduction="none")

    def margin(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Best score that stays minus best score that fulfils the goal (B,)."""
        scores = self.head.scores(outputs)
        if isinstance(self.goal, Untargeted):
            # The same in two thirds of the operations, which is what a step on one small image consists of.
            label = targets[:, None]
            return scores.gather(1, label).squeeze(1) - scores.scatter(1, label, -torch.inf).amax(1)
        wanted = self.goal.wanted(targets, self.classes)
        stay = scores.masked_fill(wanted, -torch.inf).amax(1)
        return stay - scores.masked_fill(~wanted, -torch.inf).amax(1)

    def scaled_margin(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The margin over the spread of the leading scores (difference of logits ratio, Croce and Hein 2020).

        Untargeted it divides by s_(1) - s_(3), which needs three classes; targeted by s_(1) - (s_(3) + s_(4)) / 2,
        which needs four. With fewer, and for heads other than softmax, it is the plain margin.
        """
        margin = self.margin(outputs, targets)
        needed = 4 if self.goal.targeted else 3
        if not isinstance(self.head, Softmax) or self.classes < needed:
            return margin
        top = self.head.scores(outputs).topk(needed, dim=1).values
        tail = (top[:, 2] + top[:, 3]) / 2 if self.goal.targeted else top[:, 2]
        return margin / (top[:, 0] - tail).clamp(min=1e-12)

    def ranked(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The classes that fulfil the goal, that of the highest score first (B, `goal.choices`) int64."""
        wanted = self.goal.wanted(targets, self.classes)
        scores = self.head.scores(outputs).masked_fill(~wanted, -torch.inf)
        order: Tensor = scores.argsort(dim=1, descending=True, stable=True)
        return order[:, : self.goal.choices(self.classes)]

    def margin_to(self, outputs: Tensor, targets: Tensor, classes: Tensor) -> Tensor:
        """Best score that stays minus the score of one class per sample that fulfils the goal (B,)."""
        scores = self.head.scores(outputs)
        stay = scores.masked_fill(self.goal.wanted(targets, self.classes), -torch.inf).amax(1)
        return stay - scores.gather(1, classes[:, None]).squeeze(1)

    def soft_score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Probability of the classes in which the decision may stay (B,)."""
        p = self.head.log_probabilities(outputs).exp()
        return p.masked_fill(self.goal.wanted(targets, self.classes), 0.0).sum(1)

    def pieces(self, outputs: Tensor, targets: Tensor) -> Pieces:
        """One piece per image (B, 1), unbroken by the cosine between its probabilities and the label's or goal's."""
        p = self.head.log_probabilities(outputs).exp()
        wanted = self.goal.wanted(targets, self.classes)
        aim = wanted if self.goal.targeted else ~wanted
        cosine = F.cosine_similarity(p, aim.to(p), dim=1)
        standing = 1 - cosine if self.goal.targeted else cosine
        parts = (self.loss(outputs, targets), self.margin(outputs, targets), standing, torch.ones_like(standing))
        return Pieces(*(part[:, None] for part in parts))

    def consistency_loss(
        self, outputs: Tensor, reference: Tensor, how: Agreement, targets: Tensor | None = None
    ) -> Tensor:
        """How far `outputs` are from those of `reference` (B,).

        `label`: cross-entropy to the reference's decision. `distribution`: KL(reference || outputs).
        """
        log_p = self.head.log_probabilities(outputs)
        if how == "label":
            return -log_p.gather(1, self.predict(reference)[:, None]).squeeze(1)
        log_q = self.head.log_probabilities(reference)
        return (log_q.exp() * (log_q - log_p)).sum(1)

    def predict(self, outputs: Tensor) -> Tensor:
        """The decided class (B,) int64."""
        return self.head.scores(outputs).argmax(1)

    def own(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The decided classes (B,) as labels."""
        return self.predict(outputs)

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """1 if the decision is the label, otherwise 0 (B,)."""
        return self.right(outputs, targets).to(outputs)

    def right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Whether the decision is the label (B,) bool."""
        return self.predict(outputs) == targets

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Class probabilities (B, K)."""
        return self.head.log_probabilities(outputs).exp()

    def eligible(self, targets: Tensor) -> Tensor:
        """Whether the label is outside the classes that fulfil the goal (B,) bool."""
        return ~self.goal.wanted(targets, self.classes).gather(1, targets[:, None]).squeeze(1)

    def take(self, targets: Tensor, rows: Tensor) -> Tensor:
        """The labels of some rows."""
        return targets.index_select(0, rows)

    def _fitting(self, shape: tuple[int, ...]) -> str:
        """What to write in the plan for outputs of another shape (B, *other)."""
        if len(shape) > 2 and all(size == 1 for size in shape[2:]):
            return "Remove the axes of length 1 at the end: outputs.flatten(1)."
        given = shape[1] if len(shape) == 2 else 1 if len(shape) == 1 else 0
        if self.classes == 2 and given in (1, 2) and given != self.head.width(2):
            fitting = "one-logit" if given == 1 else "softmax"
            return f'If the model is right, write head = "{fitting}" in [task].'
        if given > 1:
            return (
                f"Name the {given} classes of the model in task.classes, in the order of its outputs, or choose the "
                "model that fits."
            )
        return "Correct task.classes or task.head, or choose the model that fits."

    def validate(self, outputs: Tensor, targets: Tensor) -> None:
        """Check shapes, labels and finiteness.

        Raises:
            InputError: the model's outputs have another width or contain NaN or infinity, or a label is not a class.
        """
        require_scores(outputs, len(targets), "one score per class")
        width = self.head.width(self.classes)
        shape = tuple(outputs.shape)
        if shape != (len(targets), width) and not (width == 1 and shape == (len(targets),)):
            raise InputError(
                f"model: its output has shape {list(shape)} for {len(targets)} images, and a {self.head.name} head "
                f"with {self.classes} classes needs [{len(targets)}, {width}]. {self._fitting(shape)}"
            )
        if targets.dtype != torch.int64 or targets.ndim != 1:
            raise InputError(
                f"labels: they are {targets.dtype} of shape {list(targets.shape)}, not int64 of shape [B]."
            )
        outside = ((targets < 0) | (targets >= self.classes)).nonzero().flatten()
        if len(outside):
            row = int(outside[0])
            raise InputError(
                f"labels: row {row} has {int(targets[row])}, and the task's classes are 0 to {self.classes - 1}."
            )
        bad = (~torch.isfinite(outputs.reshape(len(targets), -1))).any(1).nonzero().flatten()
        if len(bad):
            raise InputError(
                f"model: its output is NaN or infinite for {len(bad)} of {len(targets)} images (first: row "
                f"{int(bad[0])}). Check the preprocessing and the weights."
            )

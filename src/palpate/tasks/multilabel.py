"""Multi-label classification: several findings per image, each present, absent or unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.contracts import Agreement, Pieces
from palpate.errors import InputError
from palpate.tasks.multilabel_goals import UNKNOWN, AnyFinding, FindingGoal
from palpate.tasks.output_checks import require_scores
from palpate.tasks.saturation import SATURATED_LOSS


@dataclass(frozen=True)
class MultiLabel:
    """K findings from K logits, each read separately. Targets are labels (B, K) int64: 1 present, 0 absent, -1 unknown.

    A finding is read as present if its probability exceeds its operating point t. With A the known findings that
    the goal is about, s = 1 if the label is present and -1 if it is absent:

        m_k    = s_k (z_k - logit t_k)               0 or less: read wrongly
        margin = min_{k in A} m_k                    one wrong finding is enough
                 max_{k in A} m_k                    all must be wrong
        loss   = mean_{k in A} -log p_k(label)       untargeted
                 mean_{k in A}  log (1 - p_k(label)) targeted

    Unknown findings never count. If the goal is about no finding of an image, its margin is 1 without gradient.

    Attributes:
        findings: K.
        goal: the reading that the attack wants.
        thresholds: operating points as probabilities: one for all findings, or one each.

    Raises:
        InputError: no findings, or thresholds of another number or outside (0, 1).
    """

    findings: int
    goal: FindingGoal = AnyFinding()
    thresholds: tuple[float, ...] = (0.5,)

    saturation: ClassVar[float] = SATURATED_LOSS

    def __post_init__(self) -> None:
        if self.findings < 1:
            raise InputError(f"task.findings: {self.findings} must be at least 1.")
        if len(self.thresholds) not in (1, self.findings):
            raise InputError(
                f"task.thresholds: {len(self.thresholds)} operating points for {self.findings} findings; give one for "
                "all, or one each."
            )
        for threshold in self.thresholds:
            if not 0 < threshold < 1:
                raise InputError(f"task.thresholds: {threshold:g} must be between 0 and 1, both excluded.")

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What the attack increases (B,)."""
        return self._mean(self._piece_loss(outputs, targets), self.goal.about(targets))

    def margin(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Smallest, or largest, distance in logits of the goal's findings to being read wrongly (B,)."""
        about, distance = self.goal.about(targets), self._distance(outputs, targets)
        if self.goal.one_is_enough:
            extreme = distance.masked_fill(~about, torch.inf).amin(1)
        else:
            extreme = distance.masked_fill(~about, -torch.inf).amax(1)
        # NaN in any logit makes the image's margin NaN: it cannot be scored.
        return torch.where(about.any(1), extreme, 1.0) + 0 * outputs.detach().sum(1)

    def scaled_margin(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The margin (B,): findings have no common scale."""
        return self.margin(outputs, targets)

    def soft_score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean probability of the true reading over the goal's findings (B,)."""
        return self._mean(self._stays(outputs, targets).sigmoid(), self.goal.about(targets))

    def pieces(self, outputs: Tensor, targets: Tensor) -> Pieces:
        """One piece per finding (B, K); those that the goal is not about have weight 0."""
        p = self._stays(outputs, targets).sigmoid()
        aim = 1 - p if self.goal.targeted else p
        cosine = aim / (p.square() + (1 - p).square()).sqrt()
        standing = 1 - cosine if self.goal.targeted else cosine
        weight = self.goal.about(targets).to(outputs)
        return Pieces(self._piece_loss(outputs, targets), self._distance(outputs, targets), standing, weight)

    def consistency_loss(
        self, outputs: Tensor, reference: Tensor, how: Agreement, targets: Tensor | None = None
    ) -> Tensor:
        """How far `outputs` are from those of `reference` (B,), averaged over the known findings.

        `label`: cross-entropy to the reference's decisions. `distribution`: KL(reference || outputs). Without targets
        every finding counts.
        """
        if how == "label":
            decided = self.predict(reference).to(outputs)
            apart = F.binary_cross_entropy_with_logits(outputs, decided, reduction="none")
        else:
            q = reference.sigmoid()
            present = q * (F.logsigmoid(reference) - F.logsigmoid(outputs))
            apart = present + (1 - q) * (F.logsigmoid(-reference) - F.logsigmoid(-outputs))
        known = torch.ones_like(apart) if targets is None else (targets != UNKNOWN).to(apart)
        return (apart * known).sum(1) / known.sum(1).clamp(min=1)

    def predict(self, outputs: Tensor) -> Tensor:
        """Which findings are read as present (B, K) int64 0/1."""
        return (self._above(outputs) > 0).long()

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Probability of each finding (B, K)."""
        return outputs.sigmoid()

    def own(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The decided findings as labels (B, K); unknown ones stay unknown."""
        return torch.where(targets == UNKNOWN, targets, self.predict(outputs))

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Share of the known findings that are read right (B,); NaN if none is known."""
        known = targets != UNKNOWN
        right = (self.predict(outputs) == targets) & known
        return right.sum(1).to(outputs) / known.sum(1).to(outputs)

    def right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Whether every known finding is read right (B,) bool."""
        return ((self.predict(outputs) == targets) | (targets == UNKNOWN)).all(1)

    def eligible(self, targets: Tensor) -> Tensor:
        """Whether the goal is about any finding of the image (B,) bool."""
        return self.goal.about(targets).any(1)

    def logit_size(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean distance of the goal's findings from their operating points, in logits (B,)."""
        return self._mean(self._above(outputs.detach()).abs(), self.goal.about(targets))

    def cooled(self, outputs: Tensor, temperature: Tensor) -> Tensor:
        """The logits with their distances from the operating points divided by `temperature` (B,)."""
        return outputs + self._above(outputs) * (1 / temperature - 1)[:, None].to(outputs)

    def take(self, targets: Tensor, rows: Tensor) -> Tensor:
        """The labels of some rows."""
        return targets.index_select(0, rows)

    def validate(self, outputs: Tensor, targets: Tensor) -> None:
        """Check shapes, labels and finiteness.

        Raises:
            InputError: outputs or labels that this task cannot read, or a goal about a finding that it does not have.
        """
        require_scores(outputs, len(targets), "one score per finding")
        needed = [len(targets), self.findings]
        if list(outputs.shape) != needed:
            raise InputError(
                f"model: its output has shape {list(outputs.shape)} for {len(targets)} images, and {self.findings} "
                f"findings need {needed}. Correct task.findings, or choose the model that fits."
            )
        if targets.dtype != torch.int64 or list(targets.shape) != needed:
            raise InputError(f"labels: they are {targets.dtype} of shape {list(targets.shape)}, not int64 of {needed}.")
        outside = ((targets < UNKNOWN) | (targets > 1)).nonzero()
        if len(outside):
            row, finding = outside[0].tolist()
            raise InputError(
                f"labels: row {row} has {int(targets[row, finding])} for finding {finding}; write 1 for present, 0 for "
                "absent, -1 for unknown."
            )
        bad = (~torch.isfinite(outputs)).any(1).nonzero().flatten()
        if len(bad):
            raise InputError(
                f"model: its output is NaN or infinite for {len(bad)} of {len(targets)} images (first: row "
                f"{int(bad[0])}). Check the preprocessing and the weights."
            )
        self.goal.about(targets)

    def _above(self, outputs: Tensor) -> Tensor:
        return outputs - outputs.new_tensor(self.thresholds, dtype=torch.float64).logit().to(outputs)

    def _distance(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return torch.where(targets == 1, self._above(outputs), -self._above(outputs))

    def _stays(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Logit of the true reading; of absence if it is unknown."""
        return torch.where(targets == 1, outputs, -outputs)

    def _piece_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        stays = self._stays(outputs, targets)
        return F.logsigmoid(-stays) if self.goal.targeted else -F.logsigmoid(stays)

    def _mean(self, values: Tensor, about: Tensor) -> Tensor:
        return (values * about).sum(1) / about.sum(1).clamp(min=1)

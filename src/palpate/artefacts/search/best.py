"""The worst candidate of each image so far."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from palpate.artefacts.search.questions import Answers
from palpate.tensors import Tree, mapped


class Best:
    """Per image the candidate of smallest margin; ties go to the smaller soft score. One image each is kept.

    Attributes:
        unit: (B, F) its point in the unit cube.
        margin: (B,) float64; infinity before the first candidate.
        soft: (B,) float64.
        images: (B, C, *spatial).
        outputs: of the model.
        targets: moved along.
        step: (B,) int64, which step found it.
    """

    def __init__(self, images: Tensor, outputs: Tree, targets: Tree, free: int):
        self.unit = torch.full((len(images), free), 0.5, dtype=torch.float64)
        self.margin = torch.full((len(images),), torch.inf, dtype=torch.float64)
        self.soft = self.margin.clone()
        self.images = images.clone()
        self.outputs, self.targets = mapped(Tensor.clone, outputs), mapped(Tensor.clone, targets)
        self.step = torch.zeros(len(images), dtype=torch.int64)

    def copy(self) -> Best:
        """The same, which changes separately."""
        made = Best(self.images, self.outputs, self.targets, self.unit.shape[1])
        made.unit, made.margin, made.soft = self.unit.clone(), self.margin.clone(), self.soft.clone()
        made.step = self.step.clone()
        return made

    def note(self, answers: Answers, step: int) -> Tensor:
        """Enter answers; which of them (M,) bool are the new best of their image."""
        margin, soft = answers.margin.detach(), answers.soft.detach().nan_to_num(nan=torch.inf)
        first = torch.zeros(len(margin), dtype=torch.bool)
        order = np.lexsort((soft.numpy(), margin.numpy(), answers.rows.numpy()))
        rows = answers.rows[torch.from_numpy(order)]
        first[torch.from_numpy(order)] = torch.cat([torch.ones(1, dtype=torch.bool), rows[1:] != rows[:-1]])
        better = first & ~torch.isnan(margin)
        better &= is_better(margin, soft, self.margin[answers.rows], self.soft[answers.rows])
        self._write(answers, better.nonzero().flatten(), margin, soft, step)
        return better

    def restore(self, rows: Tensor, other: Best) -> None:
        """Take over what another one keeps of some rows."""
        outputs, targets = (mapped(lambda kept: kept[rows], tree) for tree in (other.outputs, other.targets))
        kept = (other.images[rows], outputs, targets, other.margin[rows], other.soft[rows])
        answers = Answers(rows, rows, other.unit[rows], *kept)
        self._write(answers, torch.arange(len(rows)), answers.margin, answers.soft, 0)
        self.step[rows] = other.step[rows]

    def _write(self, answers: Answers, places: Tensor, margin: Tensor, soft: Tensor, step: int) -> None:
        rows = answers.rows[places]
        self.unit[rows], self.margin[rows], self.soft[rows] = (
            answers.unit.detach()[places],
            margin[places],
            soft[places],
        )
        self.step[rows] = step

        def keep(kept: Tensor, new: Tensor) -> None:
            kept[rows.to(kept.device)] = new.detach()[places.to(new.device)].to(kept.dtype)

        keep(self.images, answers.images)
        mapped(keep, self.outputs, answers.outputs)
        mapped(keep, self.targets, answers.targets)


def is_better(margin: Tensor, soft: Tensor, than: Tensor, soft_than: Tensor) -> Tensor:
    """Whether candidates are worse for the model: a smaller margin, or the same and a smaller soft score."""
    return (margin < than) | ((margin == than) & (soft < soft_than))

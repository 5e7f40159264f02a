"""A severity at which the decision fails, by bisection: as small as the questions allow."""

from __future__ import annotations

import torch
from torch import Tensor

from palpate.artefacts.search.best import Best
from palpate.artefacts.search.questions import Candidates, Questions


def first_failing(questions: Questions, best: Best, drawn: Candidates, margin: Tensor, rows: Tensor,
                  severity: float, budget: int) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Per image a severity that fails (B,), infinity where none is known, and its point in the unit cube (B, F).

    The smallest severity at which a random draw or the worst found failed is where it starts. If the worst found fails
    there with a smaller margin than the draw, its point is taken. With s failing, halving (0, s] keeps the upper end
    failing and ends within s / 2^n after n questions.

    Args:
        questions: asks the model.
        best: the worst found at `severity`.
        drawn: the random draws, of all images.
        margin: (N,) theirs.
        rows: (R,) images to bisect.
        severity: the one that was searched.
        budget: questions per image.
    """
    failing = torch.full((len(best.margin),), torch.inf, dtype=torch.float64)
    point, least = best.unit.clone(), best.margin.clone()
    failing[best.margin <= 0] = severity
    for place in (margin <= 0).nonzero().flatten().tolist():
        row, at = int(drawn.rows[place]), float(drawn.severity[place])
        if (at, float(margin[place])) < (float(failing[row]), float(least[row])):
            failing[row], point[row], least[row] = at, drawn.unit[place], margin[place]
    rows = rows[torch.isfinite(failing[rows])]
    lower = torch.zeros_like(failing)
    if budget:
        other = rows[(failing[rows] < severity) & (best.margin[rows] <= 0)]
        asked = questions.margins(
            "bisection", Candidates(other, best.unit[other], failing[other]), questions.victim.judge
        )
        taken = other[asked < least[other]]
        point[taken] = best.unit[taken]
        spent = torch.zeros_like(failing, dtype=torch.int64)
        spent[other] = 1
        for step in range(budget):
            rows = rows[spent[rows] + step < budget]
            if not len(rows):
                break
            middle = (lower[rows] + failing[rows]) / 2
            found = questions.margins("bisection", Candidates(rows, point[rows], middle), questions.victim.judge)
            fails = found <= 0
            failing[rows[fails]], lower[rows[~fails]] = middle[fails], middle[~fails]
    return failing, point

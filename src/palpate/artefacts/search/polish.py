"""Gradient steps on the parameters, which only ever add: a step is kept if the margin falls."""

from __future__ import annotations

import torch
from torch import Tensor

from palpate.artefacts.search.best import Best
from palpate.artefacts.search.evolution import free_choices
from palpate.artefacts.search.questions import Candidates, Questions
from palpate.errors import NoGradientError

FIRST = 0.05
"""Length of the first step, as the largest change of any parameter in shares of its range."""
LONGER, SHORTER = 1.5, 0.4
"""A step after one that was kept is longer; after one that was not, shorter."""


def why_blocked(questions: Questions) -> str | None:
    """Why no gradient of the margin with respect to the parameters exists; None if it does."""
    artefact = questions.artefact
    if not any(count == 0 for count in free_choices(artefact.parameters)):
        return f"{artefact.name} has no parameter that moves continuously at a severity"
    if not artefact.gradient:
        return f"{artefact.name} gives no gradient"
    return questions.victim.where_blocked(questions.images[:1])


def polish(questions: Questions, best: Best, rows: Tensor, severity: float, steps: int,
           stop_at_success: bool) -> str | None:  # fmt: skip
    """Descend the scaled margin (for masks the soft score) from the best point of some rows; update `best`.

    The direction is the negative gradient over its largest entry, without those entries that leave the cube. A step
    that is not better is taken back and tried shorter. Choices do not move.

    Returns:
        Why nothing could be done, or None.
    """
    frozen = torch.tensor([count > 0 for count in free_choices(questions.artefact.parameters)])
    direction = torch.zeros_like(best.unit)
    length = torch.full((len(best.unit),), FIRST, dtype=torch.float64)
    # The first pass gives the gradient at the best point itself.
    open_rows, unit = rows, best.unit[rows]
    for _ in range(steps):
        if stop_at_success:
            staying = best.margin[open_rows] > 0
            open_rows, unit = open_rows[staying], unit[staying]
        if not len(open_rows):
            break
        before = best.unit.clone()
        try:
            better, fresh = _round(questions, best, open_rows, unit, severity)
        except NoGradientError as error:
            return str(error)
        downhill = _direction(fresh, unit, frozen)
        renewed = better | (unit == before[open_rows]).all(1)
        direction[open_rows[renewed]] = downhill[renewed]
        length[open_rows] *= torch.where(better, LONGER, torch.where(renewed, 1.0, SHORTER))
        moving = direction[open_rows].abs().amax(1) > 0
        open_rows = open_rows[moving]
        unit = (best.unit[open_rows] + length[open_rows, None] * direction[open_rows]).clamp(0, 1)
    return None


def _round(questions: Questions, best: Best, rows: Tensor, unit: Tensor, severity: float) -> tuple[Tensor, Tensor]:
    """Ask about one point per row: which are better (R,) bool, and their gradients (R, F); zero where there is none."""
    better, gradient = torch.zeros(len(rows), dtype=torch.bool), torch.zeros_like(unit)
    victim, task = questions.victim, questions.task
    with torch.enable_grad():
        points = unit.clone().requires_grad_()
        candidates = Candidates(rows, points, torch.full((len(rows),), severity, dtype=torch.float64))
        for answers in questions.answers("gradient", candidates, victim.search):
            better[answers.places] = best.note(answers, 3)
            value = task.scaled_margin(answers.outputs, answers.targets)
            gradient[answers.places] = victim.gradient(value, answers.unit)
            questions.backwards[answers.rows] += 1
    return better, gradient


def _direction(gradient: Tensor, unit: Tensor, frozen: Tensor) -> Tensor:
    """Downhill (R, F) with a largest entry of 1; zero where the gradient is, or is not finite."""
    downhill = -gradient
    leaving = ((unit <= 0) & (downhill < 0)) | ((unit >= 1) & (downhill > 0))
    downhill = downhill.masked_fill(leaving | frozen, 0.0)
    largest = downhill.abs().amax(1, keepdim=True)
    usable = (largest > 0) & torch.isfinite(gradient).all(1, keepdim=True)
    return torch.where(usable, downhill / largest, torch.zeros_like(downhill))

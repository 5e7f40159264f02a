"""CMA-ES on the margin, all images in step: each proposes its next candidates, and the model sees them together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from palpate.artefacts.parameter import Parameter
from palpate.artefacts.search.best import Best
from palpate.artefacts.search.questions import Candidates, Questions

if TYPE_CHECKING:
    from cmaes import CMA

SPREAD = 0.3
"""Standard deviation of the first generation, as a share of each parameter's range."""
NARROW = 0.01
"""A search whose standard deviation is below this starts anew, from another draw."""
APART = 0.25
"""Largest distance in any parameter up to which a draw counts as the neighbour of an earlier start."""

ADAPT = None
BOUNDS = None
MANY = 16
"""Combinations of choices that are all tried."""

Points = NDArray[np.float64]


def free_choices(parameters: Sequence[Parameter]) -> tuple[int, ...]:
    """Number of choices of each column of the unit cube; 0 for a number."""
    return tuple(len(p.choices) for p in parameters if p.levels is None or p.signed)


class Evolution:
    """The search of one image in the unit cube.

    Parameters that are choices have no order, so CMA-ES does not move them: first each other combination of choices is
    tried at the best draw. Then CMA-ES moves the numbers, and in the last questions the combinations are tried again
    at the best point.

    Points outside the cube are moved to its surface, where the worst strengths often are, and are then what CMA-ES
    learns from. Only the order of margins counts; ties go to the soft score. A search that has become narrow starts
    anew from the worst draw that is not near an earlier start.

    Args:
        starts: (K, F) random draws, the worst first.
        choices: number of choices per column, 0 for numbers.
        seed: source of randomness.
        budget: questions.
    """

    def __init__(self, starts: Points, choices: tuple[int, ...], seed: int, budget: int):
        self._starts, self._choices, self._left = starts, choices, budget
        self._numbers = [place for place, count in enumerate(choices) if not count]
        self._random = np.random.RandomState(seed)
        self._used: list[Points] = []
        self._queue = self._others(starts[0]) if budget else []
        self._sweep = len(self._queue)
        self._search: CMA | None = None
        self._base = starts[0]

    def ask(self, best: Points) -> Points:
        """The next candidates (M, F), given the best point so far; none when the questions are spent."""
        self._search_asked = False
        if not self._queue and self._left > 0 and self._numbers and self._left > self._sweep:
            return self._generation(best)
        if not self._queue and self._sweep and self._left > 0 and self._numbers:
            self._queue, self._sweep = self._others(best), 0
        asked, self._queue = self._queue[: self._left], []
        self._left -= len(asked)
        return np.stack(asked) if asked else np.empty((0, len(self._choices)))

    def tell(self, points: Points, order: NDArray[np.int64]) -> None:
        """The candidates in the order of their margins, smallest first."""
        if self._search is None or not self._search_asked or len(points) < self._search.population_size:
            return
        ranked = [(points[place][self._numbers], float(rank)) for rank, place in enumerate(order)]
        self._search.tell(ranked)
        if self._search._sigma * math.sqrt(float(np.diag(self._search._C).max())) < NARROW:
            self._search = None

    def _generation(self, best: Points) -> Points:
        if self._search is None:
            self._search = self._begun(best)
        count = min(self._search.population_size, self._left - self._sweep)
        points = np.repeat(self._base[None], count, 0)
        points[:, self._numbers] = [self._search.ask().clip(0, 1) for _ in range(count)]
        self._search_asked = True
        self._left -= count
        return points

    def _begun(self, best: Points) -> CMA:
        """CMA-ES around the best point, and later around the worst draw that is not near an earlier start."""
        near = [any(self._near(start, used) for used in self._used) for start in self._starts]
        fresh = [start for start, known in zip(self._starts, near, strict=True) if not known]
        self._base = (best if not self._used or not fresh else fresh[0]).copy()
        self._used += [self._base, best.copy()]
        from cmaes import CMA  # slow to import, and every plan imports this module

        return CMA(self._base[self._numbers].copy(), SPREAD, seed=int(self._random.randint(2**31)))

    def _others(self, point: Points) -> list[Points]:
        """The point with each other combination of choices; one parameter after the other where these are too many."""
        now = tuple(self._chosen(point))
        places = [place for place, count in enumerate(self._choices) if count]
        combined = [range(self._choices[place]) for place in places]
        made = [dict(zip(places, values, strict=True)) for values in product(*combined)]
        if len(made) > MANY:
            made = [{place: value} for place, values in zip(places, combined, strict=True) for value in values]
        others = [point.copy() for _ in made]
        for other, values in zip(others, made, strict=True):
            for place, value in values.items():
                other[place] = (value + 0.5) / self._choices[place]
        return [other for other in others if tuple(self._chosen(other)) != now]

    def _chosen(self, point: Points) -> list[int]:
        return [min(int(point[place] * count), count - 1) for place, count in enumerate(self._choices) if count]

    def _near(self, start: Points, used: Points) -> bool:
        """Whether two points have the same choices and nearly the same numbers."""
        numbers = self._numbers
        return self._chosen(start) == self._chosen(used) and bool(np.abs(start - used)[numbers].max() < APART)


def evolve(questions: Questions, best: Best, rows: Tensor, starts: Sequence[Points], seeds: Sequence[int],
           severity: float, budget: int, stop_at_success: bool) -> None:  # fmt: skip
    """Search the worst parameters of some rows; what is better is entered in `best`.

    Args:
        questions: asks the model.
        best: the worst draws; updated.
        rows: (R,) images to search.
        starts: for each of them, its draws (K, F), the worst first.
        seeds: for each of them.
        severity: the one that is searched.
        budget: questions per image.
        stop_at_success: leave an image alone once it is beaten.
    """
    choices = free_choices(questions.artefact.parameters)
    searches = {
        row: Evolution(start, choices, seed, budget)
        for row, start, seed in zip(rows.tolist(), starts, seeds, strict=True)
    }
    while searches:
        if stop_at_success:
            searches = {row: one for row, one in searches.items() if best.margin[row] > 0}
        asked = {row: one.ask(best.unit[row].numpy()) for row, one in searches.items()}
        searches = {row: one for row, one in searches.items() if len(asked[row])}
        if searches:
            _one_round(questions, best, {row: asked[row] for row in searches}, searches, severity)


def _one_round(questions: Questions, best: Best, asked: dict[int, Points], searches: dict[int, Evolution],
               severity: float) -> None:  # fmt: skip
    rows = torch.tensor([row for row, points in asked.items() for _ in points])
    unit = torch.from_numpy(np.concatenate(list(asked.values())))
    candidates = Candidates(rows, unit, torch.full((len(rows),), severity, dtype=torch.float64))
    margin, soft = (np.full(len(rows), np.inf) for _ in range(2))
    for answers in questions.answers("evolution", candidates, questions.victim.score):
        best.note(answers, 2)
        margin[answers.places.numpy()] = answers.margin.nan_to_num(nan=torch.inf).numpy()
        soft[answers.places.numpy()] = answers.soft.nan_to_num(nan=torch.inf).numpy()
    end = 0
    for row, points in asked.items():
        begin, end = end, end + len(points)
        searches[row].tell(points, np.lexsort((soft[begin:end], margin[begin:end])))

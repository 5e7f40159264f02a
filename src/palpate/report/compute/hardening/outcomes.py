"""Images that kinds of attacks beat, from the records of one run at one budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from palpate.metrics.intervals import Share
from palpate.metrics.panel import Bools, Outcome
from palpate.metrics.robustness import beaten_within, reach
from palpate.metrics.validity.strength import kind
from palpate.report.compute.compare.measured import Measured
from palpate.report.compute.reading import UNTARGETED
from palpate.report.model.description import AttackDescription
from palpate.report.model.families import family


@dataclass(frozen=True, eq=False)
class Beaten:
    """Images that some attacks beat within a budget.

    Attributes:
        hits: (N,) beaten.
        among: (N,) could be attacked by all of them.
        names: the attacks.
    """

    hits: Bools
    among: Bools
    names: tuple[str, ...]

    @property
    def known(self) -> bool:
        """Whether there was such an attack, and an image to attack."""
        return bool(self.names) and bool(self.among.any())


class Beating:
    """The untargeted attacks of one run."""

    def __init__(self, measured: Measured, eps: float):
        self.measured, self.eps = measured, eps
        self.images = measured.reading.panel.images.count

    def attacks(self) -> Iterator[tuple[AttackDescription, Outcome]]:
        """The untargeted attacks that have records up to the budget."""
        for attack in self.measured.reading.description.attacks:
            outcome = self.measured.reading.outcome(attack)
            if outcome is not None and outcome.goal == UNTARGETED and (outcome.eps <= self.eps * (1 + 1e-9)).any():
                yield attack, outcome

    def white_box(self) -> Beaten:
        """By attacks that follow a gradient; of several stages those that do."""

        def hits(attack: AttackDescription, outcome: Outcome) -> Bools | None:
            if attack.searches:
                return outcome.success & ~np.isin(outcome.stage, list(attack.searches))
            free = kind(outcome, attack.steps) == "gradient-free" or attack.catalog in {"transfer", "square"}
            return None if free else outcome.success

        return self._beaten(hits)

    def without_gradients(self) -> Beaten:
        """By searches without gradients; random noise is none, because it finds too little."""

        def hits(attack: AttackDescription, outcome: Outcome) -> Bools | None:
            if attack.searches:
                return outcome.success & np.isin(outcome.stage, list(attack.searches))
            return outcome.success if family(attack.catalog) == "search without gradients" else None

        return self._beaten(hits)

    def of_kind(self, wanted: str) -> Beaten:
        """By attacks with one step, or with several (`single-step`, `iterative`)."""

        def hits(attack: AttackDescription, outcome: Outcome) -> Bools | None:
            return outcome.success if kind(outcome, attack.steps) == wanted else None

        return self._beaten(hits)

    def of_family(self, wanted: str) -> Beaten:
        """By the attacks of a family."""
        return self._beaten(lambda attack, outcome: outcome.success if family(attack.catalog) == wanted else None)

    def by(self, name: str) -> Beaten:
        """By one attack."""
        return self._beaten(lambda attack, outcome: outcome.success if attack.name == name else None)

    def everything(self) -> Beaten:
        """By any attack."""
        return self._beaten(lambda attack, outcome: outcome.success)

    def left(self, beaten: Beaten) -> Share:
        """Images that were acceptable and stay so, over those with something to lose that the attacks finished."""
        images = self.measured.reading.panel.images
        return Share(images.correct & ~beaten.hits, images.attackable & self._finished(beaten.names))

    def _finished(self, names: tuple[str, ...]) -> Bools:
        covered: Bools = np.ones(self.images, dtype=bool)
        for attack, outcome in self.attacks():
            if attack.name in names:
                covered &= outcome.covered
        return covered

    def _beaten(self, hits: Callable[[AttackDescription, Outcome], Bools | None]) -> Beaten:
        chosen = [
            (attack, outcome, found)
            for attack, outcome in self.attacks()
            if (found := hits(attack, outcome)) is not None
        ]
        distance = reach([outcome for _, outcome, _ in chosen], [found for *_, found in chosen], self.images)
        among: Bools = np.full(self.images, bool(chosen))
        for _, outcome, _ in chosen:
            among &= outcome.eligible & outcome.covered
        return Beaten(beaten_within(distance, self.eps), among, tuple(attack.name for attack, *_ in chosen))

"""Random noise: the baseline that every attack must beat."""

from __future__ import annotations

from dataclasses import dataclass

from palpate.attacks.best_so_far import BestSoFar
from palpate.attacks.search import Search
from palpate.contracts import Threat
from palpate.errors import InputError
from palpate.streams import Streams


@dataclass(frozen=True)
class RandomNoise(Search):
    """The worst of several random images of the ball; it needs no gradient.

    Attributes:
        threat: the ball.
        tries: random images per sample; a sample that one of them beats is not tried again.

    Raises:
        InputError: fewer than one try.
    """

    threat: Threat
    tries: int = 10

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise InputError(f"tries: {self.tries} must be at least 1.")

    def search(self, best_so_far: BestSoFar, streams: Streams) -> None:
        """Draw images of the ball until the tries are spent or every sample is beaten."""
        task = best_so_far.task
        for step in range(1, self.tries + 1):
            rows = best_so_far.open_rows()
            rows = rows[best_so_far.affordable(rows)]
            if not len(rows):
                return
            space = best_so_far.space.take(rows)
            candidates = space.to_image(space.sample(streams.take(rows)))
            outputs = best_so_far.ask(rows, candidates)
            margin = task.margin(outputs, task.take(best_so_far.targets, rows))
            best_so_far.note(rows, candidates, outputs, margin, step, judged=True)
            best_so_far.spend(rows, 1, 0)

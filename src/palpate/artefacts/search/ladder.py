"""How many questions each step of the search may ask of the model."""

from __future__ import annotations

from dataclasses import dataclass

from palpate.artefacts.parameter import WORST
from palpate.errors import InputError

SEVERITIES = (1.0, 2.0, 3.0, 4.0, 5.0)
"""The named severities, at which random draws are made."""


@dataclass(frozen=True)
class Ladder:
    """The settings of the search for the worst artefact, in questions to the model per image.

    | step | questions |
    | --- | --- |
    | the clean image | 1 |
    | random draws at the five named severities | `draws` each, `tries` at the one that is searched |
    | worst of k | none more: k is `tries` |
    | evolution, from the worst draws | `evolution` |
    | gradient, from the best so far | `polish`, with as many backward passes |
    | first failing severity | `bisection` |

    By default this is 1 + 4 * 8 + 64 + 72 + 24 + 8 = 201. A model whose search is not exact (another arithmetic, or
    random numbers) is asked once more about each image that the search found.

    Attributes:
        draws: random parameters at each severity from 1 to 5; their mean is the ordinary corruption figure.
        tries: random parameters at the severity that is searched, those of `draws` included.
        evolution: questions of CMA-ES.
        polish: gradient steps; none where the artefact or the model gives no gradient.
        bisection: questions for the smallest severity that fails.
        severity: the one at which the worst parameters are searched, above 0 and at most 5.
        stop_at_success: search an image no longer once it is beaten. By default the search goes on, because it matters
            how bad an image gets.

    Raises:
        InputError: a number is negative, nothing is tried at the severity that is searched, or it is out of its range.
    """

    draws: int = 8
    tries: int = 64
    evolution: int = 72
    polish: int = 24
    bisection: int = 8
    severity: float = 5.0
    stop_at_success: bool = False

    def __post_init__(self) -> None:
        for name in ("draws", "evolution", "polish", "bisection"):
            if getattr(self, name) < 0:
                raise InputError(f"{name}: {getattr(self, name)} must be at least 0.")
        if self.tries < 1:
            raise InputError(f"tries: {self.tries} must be at least 1: the search starts from the worst of them.")
        if not 0 < self.severity <= WORST:
            raise InputError(f"severity: {self.severity:g} must be above 0 and at most {WORST}.")

    def drawn(self, free: int) -> tuple[tuple[float, int], ...]:
        """Severities in order, and how many parameters are drawn at each; one where no parameter is `free`."""
        counts = dict.fromkeys(SEVERITIES, self.draws)
        counts[self.severity] = max(self.tries, self.draws if self.severity in SEVERITIES else 0)
        return tuple(
            (severity, min(count, count if free else 1)) for severity, count in sorted(counts.items()) if count
        )


USUAL = Ladder()
"""The settings where none are given."""

"""Transfer from a smoothed surrogate: the model itself behind a blur."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from palpate.attacks.ascent import Ascent
from palpate.attacks.best_so_far import BestSoFar
from palpate.attacks.objectives import Margin
from palpate.attacks.search import Search
from palpate.attacks.smoothing import gaussian
from palpate.attacks.steps import Halving
from palpate.contracts import Threat
from palpate.streams import Streams
from palpate.tensors import take
from palpate.victim import Victim


@dataclass(frozen=True)
class Behind:
    """A preprocessing that smooths the image first.

    Attributes:
        after: the model's own preprocessing; None without one.
        sigma: width of the Gaussian in pixels.
    """

    after: Callable[[Tensor], Tensor] | None
    sigma: float

    def __call__(self, images: Tensor) -> Tensor:
        """The smoothed images, preprocessed."""
        smooth = gaussian(images, 2 * round(2 * self.sigma) + 1, self.sigma)
        return smooth if self.after is None else self.after(smooth)


@dataclass(frozen=True)
class Surrogate(Search):
    """A margin climb on the model behind a blur; its best image is tried on the model itself.

    A gradient that is noise from pixel to pixel is not noise behind the blur.

    Attributes:
        threat: what the attack may do.
        steps: steps of the climb.
        sigma: width of the blur in pixels.
    """

    threat: Threat
    steps: int = 40
    sigma: float = 1.0

    def search(self, best_so_far: BestSoFar, streams: Streams) -> None:
        """Climb behind the blur, and judge what it found."""
        rows = best_so_far.open_rows()
        if not len(rows):
            return
        victim, task, images = best_so_far.victim, best_so_far.task, best_so_far.images[rows]
        smoothed = Victim(
            victim.module,
            victim.bounds,
            preprocess=Behind(victim.preprocess, self.sigma),
            inferer=victim.inferer,
            watchdog=victim.watchdog,
            draws=victim.draws,
            defences=victim.defences,
        )
        climb = Ascent(self.threat, self.steps, Margin(), step=Halving(), run_to_end=True)
        some, limits = task.take(best_so_far.targets, rows), take(best_so_far.limits, rows)
        found = climb(smoothed, task, images, some, generator=streams.take(rows), limits=limits)
        outputs = victim.judge(found.images)
        best_so_far.note(rows, found.images, outputs, task.margin(outputs, some), self.steps, judged=True)
        best_so_far.forwards[rows] += found.forwards + 1
        best_so_far.backwards[rows] += found.backwards
        victim.forwards += smoothed.forwards
        victim.backwards += smoothed.backwards

"""Transfer from a smoothed surrogate: the model itself behind a blur."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from palpate.attacks.ascent import Ascent, try_images
from palpate.attacks.best_so_far import BestSoFar
from palpate.attacks.objectives import Margin
from palpate.attacks.smoothing import gaussian
from palpate.attacks.steps import Halving
from palpate.contracts import AttackResult, Limits, Task, Threat
from palpate.streams import Streams
from palpate.tensors import Tree, take
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
class Surrogate:
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

    def __call__(
        self,
        victim: Victim,
        task: Task,
        images: Tensor,
        targets: Tree,
        *,
        generator: torch.Generator | Streams | None = None,
        start: Tensor | None = None,
        limits: Limits | None = None,
    ) -> AttackResult:
        """Attack `images` (B, C, *spatial) in stored values; see `palpate.contracts.Attack`."""
        streams = Streams.of(generator, len(images))
        smoothed = Victim(
            victim.module,
            victim.bounds,
            preprocess=Behind(victim.preprocess, self.sigma),
            inferer=victim.inferer,
            watchdog=victim.watchdog,
            draws=victim.draws,
        )
        climb = Ascent(self.threat, self.steps, Margin(), step=Halving(), run_to_end=True)
        with victim:
            best_so_far = BestSoFar(victim, task, self.threat, images, targets, limits=limits)
            if start is not None:
                try_images(best_so_far, best_so_far.open_rows(), start)
            rows = best_so_far.open_rows()
            if len(rows):
                some = task.take(targets, rows)
                found = climb(
                    smoothed, task, images[rows], some, generator=streams.take(rows), limits=take(limits, rows)
                )
                outputs = victim.judge(found.images)
                best_so_far.note(rows, found.images, outputs, task.margin(outputs, some), self.steps, judged=True)
                best_so_far.forwards[rows] += found.forwards + 1
                best_so_far.backwards[rows] += found.backwards
                victim.forwards, victim.backwards = (
                    victim.forwards + smoothed.forwards,
                    victim.backwards + smoothed.backwards,
                )
            return best_so_far.close()

"""Random noise: the baseline that every attack must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from palpate.attacks.ascent import try_images
from palpate.attacks.best_so_far import BestSoFar
from palpate.contracts import AttackResult, Limits, Task, Threat
from palpate.errors import InputError
from palpate.streams import Streams
from palpate.victim import Victim


@dataclass(frozen=True)
class RandomNoise:
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

    def __call__(
        self,
        victim: Victim,
        task: Task,
        images: Tensor,
        targets: Any,
        *,
        generator: torch.Generator | Streams | None = None,
        start: Tensor | None = None,
        limits: Limits | None = None,
    ) -> AttackResult:
        """Attack `images` (B, C, *spatial) in stored values; see `palpate.contracts.Attack`."""
        streams = Streams.of(generator, len(images))
        with victim:
            best_so_far = BestSoFar(victim, task, self.threat, images, targets, limits=limits)
            if start is not None:
                try_images(best_so_far, best_so_far.open_rows(), start)
            for step in range(1, self.tries + 1):
                rows = best_so_far.open_rows()
                if not len(rows):
                    break
                space = best_so_far.space.take(rows)
                candidates = space.to_image(space.sample(streams.take(rows)))
                outputs = victim.judge(candidates)
                margin = task.margin(outputs, task.take(targets, rows))
                best_so_far.note(rows, candidates, outputs, margin, step, judged=True)
                best_so_far.spend(rows, 1, 0)
            return best_so_far.close()
